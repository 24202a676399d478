#include "icmp.hpp"

namespace warren::rekey {

namespace {

constexpr std::size_t kIpHeader = 20;
constexpr std::size_t kEchoHeader = 8;
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kEchoRequest = 8;
constexpr std::uint8_t kEchoReply = 0;

/// RFC 1071.
std::uint16_t checksum(base::Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8 : bytes[i];
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace

std::vector<std::uint8_t> write_echo(const Echo& echo) {
  std::vector<std::uint8_t> out(kIpHeader + kEchoHeader + echo.data.size());
  const base::MutableBytes all(out);
  base::ByteWriter ip(all);
  ip.u8(0x45).u8(0).u16_be(static_cast<std::uint16_t>(out.size())).u32_be(0);
  ip.u8(64).u8(kIcmp).u16_be(0).bytes(echo.source.bytes()).bytes(echo.destination.bytes());
  base::ByteWriter(all.subspan(10)).u16_be(checksum(all.first(kIpHeader)));
  base::ByteWriter icmp(all.subspan(kIpHeader));
  icmp.u8(echo.request ? kEchoRequest : kEchoReply).u8(0).u16_be(0);
  icmp.u16_be(echo.id).u16_be(echo.sequence).bytes(echo.data);
  base::ByteWriter(all.subspan(kIpHeader + 2)).u16_be(checksum(all.subspan(kIpHeader)));
  return out;
}

std::optional<Echo> parse_echo(base::Bytes packet) {
  if (packet.size() < kIpHeader + kEchoHeader || packet[0] != 0x45 || packet[9] != kIcmp) {
    return std::nullopt;
  }
  const base::Bytes icmp = packet.subspan(kIpHeader);
  if (icmp[0] != kEchoRequest && icmp[0] != kEchoReply) return std::nullopt;
  Echo echo;
  echo.request = icmp[0] == kEchoRequest;
  echo.source = *base::IpAddress::from_bytes(packet.subspan(12, 4));
  echo.destination = *base::IpAddress::from_bytes(packet.subspan(16, 4));
  base::ByteReader rest(icmp.subspan(4));
  echo.id = rest.u16_be();
  echo.sequence = rest.u16_be();
  echo.data.assign(rest.rest().begin(), rest.rest().end());
  return echo;
}

}  // namespace warren::rekey
