// For tests: packets written out of their description byte by byte, with the simplest checksum
// there is: the slow obvious twin of what the module does with offsets and partial sums.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "base/bytes.hpp"
#include "wire/offload.hpp"

namespace warren::wire {

using Buffer = std::vector<std::uint8_t>;

/// RFC 1071 as its text tells it.
inline std::uint16_t naive_checksum(base::Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? static_cast<std::uint32_t>(bytes[i] << 8) : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(~sum);
}

struct Extension {
  std::uint8_t type = 0;       ///< 0 hop-by-hop, 43 routing, 44 fragment, 60 destination options
  std::size_t more_units = 0;  ///< of 8 bytes, above the first
};

/// All that a packet says.
struct Spec {
  Layer layer = Layer::Packet;
  int tags = 0;  ///< VLAN tags of a frame
  bool v6 = false;
  bool tcp = true;
  std::uint8_t source = 1;  ///< last byte of the address
  std::uint8_t destination = 2;
  std::uint8_t final_destination = 0;  ///< where routed: what the checksum is about
  std::uint8_t traffic_class = 0;
  std::uint32_t flow_label = 0;
  std::uint8_t hop_limit = 64;
  std::uint16_t id = 100;
  std::uint16_t fragment = 0x4000;  ///< the IPv4 fragment word
  Buffer ip_options;
  std::vector<Extension> extensions;
  std::uint16_t source_port = 1000;
  std::uint16_t destination_port = 2000;
  std::uint32_t sequence = 1;
  std::uint32_t acknowledgement = 7;
  std::uint8_t reserved = 0;  ///< the four bits beside TCP's data offset
  std::uint8_t flags = 0x10;
  std::uint16_t window = 500;
  std::uint16_t urgent = 0;
  Buffer tcp_options;
  Buffer payload;
  bool udp_checksum = true;
};

struct Built {
  Buffer bytes;
  std::size_t network = 0;
  std::size_t transport = 0;
  std::size_t payload = 0;
  Buffer pseudo;  ///< the pseudo-header

  [[nodiscard]] std::size_t checksum_at(bool tcp) const { return transport + (tcp ? 16 : 6); }
};

inline void put16(Buffer& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}
inline void put32(Buffer& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
inline void set16(Buffer& out, std::size_t at, std::size_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}
inline void append(Buffer& out, const Buffer& more) {
  out.insert(out.end(), more.begin(), more.end());
}

inline Buffer address(const Spec& spec, std::uint8_t host) {
  if (!spec.v6) return {10, 1, 2, host};
  Buffer out(16, 0);
  out[0] = 0xfd;
  out[7] = 9;
  out[15] = host;
  return out;
}

inline void build_link(const Spec& spec, Buffer& out) {
  append(out, Buffer(6, spec.destination));
  append(out, Buffer(6, spec.source));
  for (int tag = 0; tag < spec.tags; ++tag) {
    put16(out, tag + 1 < spec.tags ? 0x88a8U : 0x8100U);
    put16(out, static_cast<std::size_t>(100 + tag));
  }
  put16(out, spec.v6 ? 0x86ddU : 0x0800U);
}

inline Buffer build_transport(const Spec& spec) {
  Buffer out;
  put16(out, spec.source_port);
  put16(out, spec.destination_port);
  if (!spec.tcp) {
    put16(out, 8 + spec.payload.size());
    put16(out, 0);
  } else {
    put32(out, spec.sequence);
    put32(out, spec.acknowledgement);
    out.push_back(
        static_cast<std::uint8_t>((20 + spec.tcp_options.size()) / 4 << 4 | spec.reserved));
    out.push_back(spec.flags);
    put16(out, spec.window);
    put16(out, 0);
    put16(out, spec.urgent);
    append(out, spec.tcp_options);
  }
  append(out, spec.payload);
  return out;
}

inline Buffer build_ipv4(const Spec& spec, std::size_t transport_size) {
  Buffer out;
  const std::size_t size = 20 + spec.ip_options.size();
  out.push_back(static_cast<std::uint8_t>(0x40 | size / 4));
  out.push_back(spec.traffic_class);
  put16(out, size + transport_size);
  put16(out, spec.id);
  put16(out, spec.fragment);
  out.push_back(spec.hop_limit);
  out.push_back(spec.tcp ? 6 : 17);
  put16(out, 0);
  append(out, address(spec, spec.source));
  append(out, address(spec, spec.destination));
  append(out, spec.ip_options);
  set16(out, 10, naive_checksum(out));
  return out;
}

inline Buffer build_ipv6(const Spec& spec, std::size_t transport_size) {
  Buffer extensions;
  const auto type_after = [&](std::size_t index) -> std::uint8_t {
    if (index < spec.extensions.size()) return spec.extensions[index].type;
    return spec.tcp ? 6 : 17;
  };
  for (std::size_t i = 0; i < spec.extensions.size(); ++i) {
    const Extension& extension = spec.extensions[i];
    Buffer header(8 + (extension.type == 44 ? 0 : extension.more_units * 8), 0);
    header[0] = type_after(i + 1);
    if (extension.type != 44) header[1] = static_cast<std::uint8_t>(extension.more_units);
    append(extensions, header);
  }
  Buffer out;
  put32(out, 6U << 28 | std::uint32_t{spec.traffic_class} << 20 | spec.flow_label);
  put16(out, extensions.size() + transport_size);
  out.push_back(type_after(0));
  out.push_back(spec.hop_limit);
  append(out, address(spec, spec.source));
  append(out, address(spec, spec.destination));
  append(out, extensions);
  return out;
}

/// The packet with all checksums right.
inline Built build(const Spec& spec) {
  Built built;
  if (spec.layer == Layer::Frame) build_link(spec, built.bytes);
  Buffer transport = build_transport(spec);
  built.network = built.bytes.size();
  append(built.bytes,
         spec.v6 ? build_ipv6(spec, transport.size()) : build_ipv4(spec, transport.size()));
  built.transport = built.bytes.size();
  built.payload = built.transport + transport.size() - spec.payload.size();
  append(built.pseudo, address(spec, spec.source));
  append(built.pseudo,
         address(spec, spec.final_destination != 0 ? spec.final_destination : spec.destination));
  put16(built.pseudo, spec.tcp ? 6 : 17);
  put16(built.pseudo, transport.size());
  if (spec.tcp || spec.udp_checksum) {
    Buffer whole = built.pseudo;
    append(whole, transport);
    std::uint16_t sum = naive_checksum(whole);
    if (!spec.tcp && sum == 0) sum = 0xffff;
    set16(transport, spec.tcp ? 16 : 6, sum);
  }
  append(built.bytes, transport);
  return built;
}

/// A super-packet as the kernel hands it over: the checksum holds the pseudo-header's sum.
inline Built build_super(const Spec& spec) {
  Built built = build(spec);
  set16(built.bytes, built.checksum_at(spec.tcp),
        static_cast<std::uint16_t>(~naive_checksum(built.pseudo)));
  return built;
}

inline Offload offload_of(const Spec& spec, const Built& built, std::size_t segment_size) {
  using Cut = Offload::Cut;
  Offload offload;
  offload.cut = spec.tcp ? (spec.v6 ? Cut::Tcp6 : Cut::Tcp4) : (spec.v6 ? Cut::Udp6 : Cut::Udp4);
  offload.needs_checksum = true;
  offload.header_size = static_cast<std::uint16_t>(built.payload);
  offload.segment_size = static_cast<std::uint16_t>(segment_size);
  offload.checksum_start = static_cast<std::uint16_t>(built.transport);
  offload.checksum_offset = spec.tcp ? 16 : 6;
  return offload;
}

/// The descriptions of the packets that `spec` stands for.
inline std::vector<Spec> naive_cut(const Spec& spec, std::size_t segment_size) {
  std::vector<Spec> out;
  for (std::size_t at = 0; at == 0 || at < spec.payload.size(); at += segment_size) {
    Spec piece = spec;
    const std::size_t end = std::min(at + segment_size, spec.payload.size());
    piece.payload.assign(spec.payload.begin() + static_cast<std::ptrdiff_t>(at),
                         spec.payload.begin() + static_cast<std::ptrdiff_t>(end));
    piece.id = static_cast<std::uint16_t>(spec.id + out.size());
    piece.sequence = static_cast<std::uint32_t>(spec.sequence + at);
    if (at > 0) piece.flags &= 0x7f;
    if (end < spec.payload.size()) piece.flags &= 0xf6;
    out.push_back(piece);
  }
  return out;
}

/// Random numbers that a seed gives again.
class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  /// From 0 to below `limit`.
  std::size_t below(std::size_t limit) { return engine_() % limit; }
  bool one_in(std::size_t count) { return below(count) == 0; }
  std::uint8_t byte() { return static_cast<std::uint8_t>(engine_()); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(engine_()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(engine_()); }
  Buffer bytes(std::size_t size) {
    Buffer out(size);
    // Runs of one value too: they make sums of zeros and of all ones.
    const std::size_t kind = below(8);
    for (std::uint8_t& value : out) value = kind == 0 ? 0 : kind == 1 ? 0xff : byte();
    return out;
  }

 private:
  std::mt19937 engine_;
};

/// Anything that may be cut.
inline Spec random_spec(Dice& dice) {
  Spec spec;
  if (dice.one_in(2)) {
    spec.layer = Layer::Frame;
    spec.tags = static_cast<int>(dice.below(3));
  }
  spec.v6 = dice.one_in(2);
  spec.tcp = dice.one_in(2);
  spec.source = dice.byte();
  spec.destination = dice.byte();
  spec.traffic_class = dice.byte();
  spec.flow_label = dice.u32() & 0xfffff;
  spec.hop_limit = dice.byte();
  spec.id = dice.u16();
  spec.fragment = dice.one_in(2) ? 0x4000 : 0;
  if (dice.one_in(4)) spec.ip_options = dice.bytes(dice.below(11) * 4);
  if (dice.one_in(3)) {
    const std::uint8_t types[] = {0, 43, 60};
    for (std::size_t i = dice.below(4); i > 0; --i) {
      spec.extensions.push_back({types[dice.below(3)], dice.below(4)});
    }
    if (spec.v6 && !spec.extensions.empty() && dice.one_in(2)) {
      spec.final_destination = dice.byte();
    }
  }
  spec.source_port = dice.u16();
  spec.destination_port = dice.u16();
  spec.sequence = dice.u32();
  spec.acknowledgement = dice.u32();
  spec.reserved = static_cast<std::uint8_t>(dice.below(16));
  spec.flags = dice.byte();
  spec.window = dice.u16();
  spec.urgent = dice.u16();
  if (dice.one_in(2)) spec.tcp_options = dice.bytes(dice.below(11) * 4);
  return spec;
}

}  // namespace warren::wire
