#include "node/inner.hpp"

namespace warren::node {

namespace {

constexpr std::size_t kIpv4HeaderSize = 20;
constexpr std::size_t kIpv6HeaderSize = 40;
constexpr std::uint8_t kNotEct = 0;
constexpr std::uint8_t kEct1 = 1;
constexpr std::uint8_t kCongestion = 3;

bool parse_v4(base::Bytes packet, InnerHeader& out) {
  if (packet.size() < kIpv4HeaderSize) return false;
  const std::size_t header = std::size_t{packet[0]} % 16 * 4;
  out.length = base::ByteReader(packet.subspan(2, 2)).u16_be();
  if (header < kIpv4HeaderSize || out.length < header || out.length > packet.size()) return false;
  out.source.assign_v4(packet.subspan<12, 4>());
  out.destination.assign_v4(packet.subspan<16, 4>());
  return true;
}

bool parse_v6(base::Bytes packet, InnerHeader& out) {
  if (packet.size() < kIpv6HeaderSize) return false;
  out.length = kIpv6HeaderSize + base::ByteReader(packet.subspan(4, 2)).u16_be();
  if (out.length > packet.size()) return false;
  out.source.assign_v6(packet.subspan<8, 16>());
  out.destination.assign_v6(packet.subspan<24, 16>());
  return true;
}

bool is_v4(base::Bytes packet) { return packet[0] >> 4 == 4; }

void set_ecn(base::MutableBytes packet, std::uint8_t ecn) {
  if (!is_v4(packet)) {  // the traffic class straddles the first two bytes
    packet[1] = static_cast<std::uint8_t>((packet[1] & 0xcf) | ecn << 4);
    return;
  }
  const std::uint8_t before = packet[1];
  packet[1] = static_cast<std::uint8_t>((before & 0xfc) | ecn);
  // RFC 1624, equation 3: the checksum follows the one changed word.
  std::uint32_t sum = base::ByteReader(packet.subspan(10, 2)).u16_be() ^ 0xffffU;
  sum += (before ^ 0xffffU) + packet[1];
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  base::ByteWriter(packet.subspan(10, 2)).u16_be(static_cast<std::uint16_t>(~sum));
}

}  // namespace

bool parse_inner(base::Bytes packet, InnerHeader& out) {
  if (packet.empty()) return false;
  switch (packet[0] >> 4) {
    case 4:
      return parse_v4(packet, out);
    case 6:
      return parse_v6(packet, out);
    default:
      return false;
  }
}

std::uint8_t inner_ecn(base::Bytes packet) {
  return static_cast<std::uint8_t>((is_v4(packet) ? packet[1] : packet[1] >> 4) & 3);
}

bool decapsulate_ecn(base::MutableBytes packet, std::uint8_t outer) {
  outer = static_cast<std::uint8_t>(outer & 3);
  const std::uint8_t inner = inner_ecn(packet);
  if (inner == kNotEct) return outer != kCongestion;
  if (outer == kCongestion || (outer == kEct1 && inner != kCongestion)) {
    if (inner != outer) set_ecn(packet, outer);
  }
  return true;
}

}  // namespace warren::node
