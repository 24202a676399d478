// First packets of connections, as a member sends them: TCP SYN, UDP, ICMP echo.
#pragma once

#include "hostnet/test_ping.hpp"
#include "model/service.hpp"

namespace warren::hostnet {

struct Probe {
  base::IpAddress from;
  base::IpAddress to;
  std::uint8_t protocol = model::kTcp;
  std::uint16_t from_port = 0;
  std::uint16_t to_port = 0;
  auto operator<=>(const Probe&) const = default;
};

inline std::vector<std::uint8_t> packet_of(const Probe& probe) {
  if (probe.protocol == model::kIcmp) return echo_request(probe.from, probe.to);
  const bool v4 = probe.from.is_v4();
  const bool tcp = probe.protocol == model::kTcp;
  const std::uint16_t size = tcp ? 20 : 12;
  std::vector<std::uint8_t> body(size);
  base::ByteWriter writer(body);
  writer.u16_be(probe.from_port).u16_be(probe.to_port);
  if (tcp) {
    writer.u32_be(1).u32_be(0).u16_be(0x5002).u16_be(0xffff).u32_be(0);
  } else {
    writer.u16_be(size).u16_be(0).u32_be(0x70726f62);
  }
  std::vector<std::uint8_t> covered(v4 ? 12 : 40);
  base::ByteWriter pseudo(covered);
  pseudo.bytes(probe.from.bytes()).bytes(probe.to.bytes());
  if (!v4) pseudo.u16_be(0).u16_be(size).u16_be(0);
  if (v4) pseudo.u8(0).u8(probe.protocol).u16_be(size);
  if (!v4) pseudo.u8(0).u8(probe.protocol);
  covered.insert(covered.end(), body.begin(), body.end());
  base::ByteWriter(std::span(body).subspan(tcp ? 16 : 6)).u16_be(ones_complement(covered));

  std::vector<std::uint8_t> packet(v4 ? 20 : 40);
  base::ByteWriter header(packet);
  if (v4) {
    header.u16_be(0x4500).u16_be(static_cast<std::uint16_t>(20 + size)).u32_be(0);
    header.u8(64).u8(probe.protocol).u16_be(0);
  } else {
    header.u32_be(0x60000000).u16_be(size).u8(probe.protocol).u8(64);
  }
  header.bytes(probe.from.bytes()).bytes(probe.to.bytes());
  if (v4) base::ByteWriter(std::span(packet).subspan(10)).u16_be(ones_complement(packet));
  packet.insert(packet.end(), body.begin(), body.end());
  return packet;
}

/// Between whom a packet of these protocols goes; an echo has no ports.
inline Probe probe_of(base::Bytes packet) {
  const bool v4 = packet[0] >> 4 == 4;
  const std::size_t width = v4 ? 4 : 16;
  const std::size_t begin = v4 ? 12 : 8;
  Probe out;
  out.protocol = v4 ? packet[9] : packet[6];
  out.from = base::IpAddress::from_bytes(packet.subspan(begin, width)).value();
  out.to = base::IpAddress::from_bytes(packet.subspan(begin + width, width)).value();
  if (out.protocol == model::kIcmp6) out.protocol = model::kIcmp;
  if (out.protocol == model::kIcmp) return out;
  base::ByteReader ports(packet.subspan(v4 ? 20 : 40));
  out.from_port = ports.u16_be();
  out.to_port = ports.u16_be();
  return out;
}

}  // namespace warren::hostnet
