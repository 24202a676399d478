#include "proxy/inner_filter.hpp"

#include <algorithm>

#include "wire/headers.hpp"

namespace warren::proxy {

namespace {

constexpr std::uint8_t kIcmp4 = 1;
constexpr std::uint8_t kIcmp6 = 58;
constexpr std::uint8_t kFragmentHeader = 44;
constexpr std::size_t kFragmentHeaderSize = 8;

bool is_wanted_v4(std::uint8_t protocol) {
  return protocol == wire::kTcp || protocol == wire::kUdp || protocol == kIcmp4;
}

/// Errors, echo request, echo reply (RFC 4443).
bool is_wanted_icmp6(std::uint8_t type) {
  return (type >= 1 && type <= 4) || type == 128 || type == 129;
}

bool is_wanted_v6(base::Bytes packet) {
  const std::uint8_t next = packet[6];
  const base::Bytes rest = packet.subspan(wire::kIpv6HeaderSize);
  if (next == wire::kTcp || next == wire::kUdp) return true;
  if (next == kIcmp6) return !rest.empty() && is_wanted_icmp6(rest[0]);
  if (next != kFragmentHeader || rest.size() < kFragmentHeaderSize) return false;
  return rest[0] == wire::kTcp || rest[0] == wire::kUdp;
}

bool is_between(base::Bytes from, base::Bytes to, std::span<const base::IpAddress> own) {
  const auto source = base::IpAddress::from_bytes(from);
  const auto target = base::IpAddress::from_bytes(to);
  return source && target && !source->is_multicast() && !source->is_loopback() &&
         !source->is_unspecified() && std::ranges::find(own, *source) == own.end() &&
         std::ranges::find(own, *target) != own.end();
}

}  // namespace

bool is_for_us(base::Bytes packet, std::span<const base::IpAddress> own) {
  if (packet.empty()) return false;
  if (packet[0] >> 4 == 4) {
    if (packet.size() < wire::kIpv4HeaderSize) return false;
    const std::size_t header = static_cast<std::size_t>(packet[0] & 0x0f) * 4;
    const std::size_t total = wire::load_u16_be(packet.data() + 2);
    // Options (source routes among them) are nobody's need.
    return header == wire::kIpv4HeaderSize && total >= header && total <= packet.size() &&
           is_wanted_v4(packet[9]) && is_between(packet.subspan(12, 4), packet.subspan(16, 4), own);
  }
  if (packet[0] >> 4 != 6 || packet.size() < wire::kIpv6HeaderSize) return false;
  const std::size_t total = wire::kIpv6HeaderSize + wire::load_u16_be(packet.data() + 4);
  return total <= packet.size() && is_wanted_v6(packet.first(total)) &&
         is_between(packet.subspan(8, 16), packet.subspan(24, 16), own);
}

}  // namespace warren::proxy
