// IP addresses, prefixes and endpoints, with the textual forms of RFC 4291/5952.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::base {

enum class Family : std::uint8_t { V4, V6 };

/// An IPv4 or IPv6 address in network byte order. V4 uses the first four bytes; the rest are zero.
class IpAddress {
 public:
  constexpr IpAddress() = default;  ///< 0.0.0.0
  [[nodiscard]] static IpAddress v4(std::array<std::uint8_t, 4> bytes);
  [[nodiscard]] static IpAddress v4(std::uint32_t host_order);
  [[nodiscard]] static IpAddress v6(std::array<std::uint8_t, 16> bytes);
  /// From 4 or 16 bytes of network order; nullopt for any other length.
  [[nodiscard]] static std::optional<IpAddress> from_bytes(Bytes bytes) {
    IpAddress address;
    if (bytes.size() == 4) {  // sizes that the compiler knows: twice per packet
      std::memcpy(address.bytes_.data(), bytes.data(), 4);
    } else if (bytes.size() == 16) {
      address.family_ = Family::V6;
      std::memcpy(address.bytes_.data(), bytes.data(), 16);
    } else {
      return std::nullopt;
    }
    return address;
  }
  /// Becomes the IPv4 address in these bytes. In place: an address that is put together from a few
  /// bytes and then copied as a whole makes the processor wait until the bytes have reached its
  /// cache, behind everything that was stored before them.  HOT PATH
  void assign_v4(std::span<const std::uint8_t, 4> bytes) {
    family_ = Family::V4;
    bytes_ = {};
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
  }
  void assign_v6(std::span<const std::uint8_t, 16> bytes) {
    family_ = Family::V6;
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
  }
  /// Strict: dotted quad or RFC 4291 text, no zone, no blanks.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::V4; }
  [[nodiscard]] bool is_v6() const { return family_ == Family::V6; }
  /// 4 or 16 bytes, network order.
  [[nodiscard]] Bytes bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
  [[nodiscard]] unsigned bit_count() const { return is_v4() ? 32 : 128; }
  [[nodiscard]] bool bit(unsigned index) const {
    return (bytes_[index / 8] >> (7 - index % 8) & 1) != 0;
  }
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_link_local() const;
  [[nodiscard]] bool is_multicast() const;
  [[nodiscard]] bool is_loopback() const;
  /// The address `offset` further (wraps silently at the end of the family's space).
  [[nodiscard]] IpAddress plus(std::uint64_t offset) const;
  /// RFC 5952 text.
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::V4;
  std::array<std::uint8_t, 16> bytes_{};
};

/// An address with a prefix length. `address` may have host bits set ("10.0.0.1/24" is how an
/// interface address is written); `network()` clears them.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  /// "10.0.0.0/24"; without "/N" the length is the family's full length.
  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  /// The whole-address prefix (/32 or /128).
  [[nodiscard]] static Prefix host(IpAddress address);
  [[nodiscard]] Prefix network() const;
  [[nodiscard]] bool is_network() const { return *this == network(); }
  [[nodiscard]] bool contains(const IpAddress& inner) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const;
  /// The last address of the prefix (the broadcast address for IPv4).
  [[nodiscard]] IpAddress last() const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;
};

/// Where a UDP datagram goes to or came from. `scope` is the interface index of a link-local IPv6
/// address, otherwise 0.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;
  std::uint32_t scope = 0;

  /// "192.0.2.1:51820" or "[2001:db8::1]:51820" (a numeric zone "%3" is allowed inside brackets).
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Endpoint&) const = default;
};

/// The local address that a datagram came to, so that the answer leaves from it.
struct LocalAddress {
  IpAddress address;
  std::uint32_t interface_index = 0;
  bool known = false;

  bool operator==(const LocalAddress&) const = default;
};

/// "host:port" split at the last colon, brackets removed; host may be a name. For endpoints that
/// still have to be resolved.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  [[nodiscard]] static std::optional<HostPort> parse(std::string_view text);
};

}  // namespace warren::base

template <>
struct std::hash<warren::base::IpAddress> {
  std::size_t operator()(const warren::base::IpAddress& address) const noexcept;
};
template <>
struct std::hash<warren::base::Endpoint> {
  std::size_t operator()(const warren::base::Endpoint& endpoint) const noexcept;
};
