// A peer for tests: sends echo requests from an address of a network into the network's tun, as the
// engine does with what it decrypted, and waits for the reply there.
#pragma once

#include <poll.h>

#include <array>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "os/netns.hpp"
#include "os/tun.hpp"

namespace warren::hostnet {

inline std::uint16_t ones_complement(base::Bytes bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += (std::uint32_t{bytes[i]} << 8) + (i + 1 < bytes.size() ? bytes[i + 1] : 0U);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

inline std::vector<std::uint8_t> echo_request(const base::IpAddress& from,
                                              const base::IpAddress& to) {
  const bool v4 = from.is_v4();
  constexpr std::size_t kEcho = 16;
  std::vector<std::uint8_t> out(v4 ? 20 : 40);
  const std::size_t header = out.size();
  if (v4) {
    base::ByteWriter(out)
        .u8(0x45)
        .u8(0)
        .u16_be(20 + kEcho)
        .u32_be(0)
        .u8(64)
        .u8(1)
        .u16_be(0)
        .bytes(from.bytes())
        .bytes(to.bytes());
    const std::uint16_t sum = ones_complement(out);
    base::ByteWriter(std::span(out).subspan(10)).u16_be(sum);
  } else {
    base::ByteWriter(out)
        .u32_be(0x60000000)
        .u16_be(kEcho)
        .u8(58)
        .u8(64)
        .bytes(from.bytes())
        .bytes(to.bytes());
  }
  out.resize(header + kEcho);
  const std::span echo = std::span(out).subspan(header);
  base::ByteWriter(echo).u8(v4 ? 8 : 128).u8(0).u16_be(0).u16_be(77).u16_be(1).u64_be(0x1234);
  std::vector<std::uint8_t> covered;
  if (!v4) {
    covered.assign(out.begin() + 8, out.begin() + 40);
    covered.insert(covered.end(), {0, 0, 0, kEcho, 0, 0, 0, 58});
  }
  covered.insert(covered.end(), echo.begin(), echo.end());
  base::ByteWriter(echo.subspan(2)).u16_be(ones_complement(covered));
  return out;
}

/// One attached queue of a network's tun.
class Peer {
 public:
  static Peer attach(const std::string& netns, const std::string& tun) {
    Peer out;
    const auto space = os::open_named_netns(netns);
    if (!space) return out;
    const auto done = os::in_netns(*space, [&]() -> base::Status {
      WARREN_TRY_ASSIGN(
          os::Tun opened,
          os::open_tun({.name = tun, .multi_queue = true, .offloads = true, .persistent = true}));
      out.tun_ = std::move(opened.descriptor);
      if (opened.offloads.vnet_header) out.before_packet_ = kVnetHeader;
      return {};
    });
    (void)done;
    return out;
  }
  /// True when an echo reply from `to` for `from` arrives within `wait_ms`. Asks more than once:
  /// the kernel starts to send on a device only some time after a queue was attached.
  bool ping(const base::IpAddress& from, const base::IpAddress& to, int wait_ms = 5000) {
    constexpr int kPatienceMs = 250;
    for (; wait_ms > 0; wait_ms -= kPatienceMs)
      if (send(from, to) && hears(to, from, kPatienceMs, from.is_v4() ? 0 : 129)) return true;
    return false;
  }
  bool send(const base::IpAddress& from, const base::IpAddress& to) {
    return send(echo_request(from, to));
  }
  bool send(base::Bytes packet) {
    const std::vector<std::uint8_t> header(before_packet_);  // zeros: nothing is left to do
    const std::array<base::Bytes, 2> pieces = {header, packet};
    const auto written = os::write_pieces(tun_, pieces);
    return written && *written;
  }
  /// The next packet that comes out of the tun; empty when none does within `wait_ms`.
  std::vector<std::uint8_t> receive(int wait_ms) {
    std::vector<std::uint8_t> buffer(2048);
    pollfd waiting{.fd = tun_.get(), .events = POLLIN, .revents = 0};
    while (poll(&waiting, 1, wait_ms) == 1) {
      const auto size = os::read_packet(tun_, buffer);
      if (!size || *size <= before_packet_) continue;
      const auto begin = buffer.begin() + static_cast<std::ptrdiff_t>(before_packet_);
      return {begin, buffer.begin() + static_cast<std::ptrdiff_t>(*size)};
    }
    return {};
  }
  /// True when an ICMP message of this type, between these addresses, comes out of the tun.
  bool hears(const base::IpAddress& from, const base::IpAddress& to, int wait_ms, int type) {
    for (auto packet = receive(wait_ms); !packet.empty(); packet = receive(wait_ms)) {
      const bool v4 = packet[0] >> 4 == 4;
      const std::size_t header = v4 ? 20 : 40;
      if (packet.size() <= header || v4 != from.is_v4()) continue;
      const std::size_t width = v4 ? 4 : 16;
      const base::Bytes source = base::Bytes(packet).subspan(v4 ? 12 : 8, width);
      const base::Bytes target = base::Bytes(packet).subspan((v4 ? 12U : 8U) + width, width);
      if (base::IpAddress::from_bytes(source) == from &&
          base::IpAddress::from_bytes(target) == to && packet[header] == type)
        return true;
    }
    return false;
  }

 private:
  static constexpr std::size_t kVnetHeader = 10;

  os::Fd tun_;
  std::size_t before_packet_ = 0;
};

}  // namespace warren::hostnet
