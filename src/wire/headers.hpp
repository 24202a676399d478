// Headers: where the headers of a packet or frame lie, every length checked against the bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "wire/offload.hpp"

namespace warren::wire {

inline constexpr std::size_t kIpv4HeaderSize = 20;
inline constexpr std::size_t kIpv6HeaderSize = 40;
inline constexpr std::size_t kTcpHeaderSize = 20;
inline constexpr std::size_t kUdpHeaderSize = 8;
inline constexpr std::size_t kTcpChecksumOffset = 16;
inline constexpr std::size_t kUdpChecksumOffset = 6;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;

inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpPsh = 0x08;
inline constexpr std::uint8_t kTcpAck = 0x10;
inline constexpr std::uint8_t kTcpCwr = 0x80;

/// Network byte order, any alignment.
[[nodiscard]] inline std::uint16_t load_u16_be(const std::uint8_t* from) {
  return static_cast<std::uint16_t>(from[0] << 8 | from[1]);
}
[[nodiscard]] inline std::uint32_t load_u32_be(const std::uint8_t* from) {
  return std::uint32_t{load_u16_be(from)} << 16 | load_u16_be(from + 2);
}
inline void store_u16_be(std::uint8_t* to, std::size_t value) {
  to[0] = static_cast<std::uint8_t>(value >> 8);
  to[1] = static_cast<std::uint8_t>(value);
}
inline void store_u32_be(std::uint8_t* to, std::uint32_t value) {
  store_u16_be(to, value >> 16);
  store_u16_be(to + 2, value & 0xffff);
}

/// Offsets are from the first byte of the packet or frame.
struct Headers {
  std::size_t network = 0;    ///< the IP header: whole, with its options
  std::size_t transport = 0;  ///< behind IP options or extension headers; <= end
  std::size_t end = 0;        ///< by the IP header's own length; <= the bytes there are
  std::uint8_t protocol = 0;  ///< of what is at `transport`
  bool v6 = false;
  bool plain = true;      ///< IPv4 without options, IPv6 without extension headers
  bool fragment = false;  ///< a part of a packet, the first one included

  /// Source and destination, as they lie together: 8 or 32 bytes.
  [[nodiscard]] base::Bytes addresses(base::Bytes packet) const {
    return v6 ? packet.subspan(network + 8, 32) : packet.subspan(network + 12, 8);
  }
};

/// An Ethernet header may carry up to two VLAN tags (802.1Q, 802.1ad); IPv6 hop-by-hop, routing and
/// destination options are walked over. nullopt: not IP, or malformed.  HOT PATH
[[nodiscard]] std::optional<Headers> parse_headers(base::Bytes packet, Layer layer);

}  // namespace warren::wire
