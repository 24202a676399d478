// Workers for tests of the batched path, super-packets for them to cut, and trains taken apart.
#pragma once

#include <vector>

#include "node/node_test_support.hpp"
#include "wire/segments.hpp"

namespace warren::node {

/// What one thread of an engine has.
struct Worker {
  explicit Worker(std::size_t content = 65536, std::size_t slots = 256)
      : pool(content, slots), out(pool) {}

  void add(base::Bytes packet, const wire::Offload& offload = {}) {
    out.add(pool.copy_of(packet), offload);
  }
  void add(const Datagram& datagram) {
    in.add({.packet = pool.copy_of(datagram.packet.bytes()),
            .remote = datagram.remote,
            .traffic_class = datagram.traffic_class,
            .segment_size = datagram.segment_size,
            .local = datagram.local});
  }

  wire::PacketPool pool;
  Outgoing out;
  Incoming in;
};

/// A packet of many: `payload` bytes of one TCP flow, to be cut every `segment` bytes.
struct SuperPacket {
  std::vector<std::uint8_t> bytes;
  wire::Offload offload;
};

inline std::uint16_t folded(std::uint32_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

inline SuperPacket tcp_super_packet(const base::IpAddress& from, const base::IpAddress& to,
                                    std::size_t payload, std::uint16_t segment,
                                    std::uint8_t traffic_class = 0, std::uint32_t sequence = 7) {
  constexpr std::uint8_t kTcp = 6;
  std::string tcp(20 + payload, '\0');
  base::ByteWriter writer(
      base::MutableBytes(reinterpret_cast<std::uint8_t*>(tcp.data()), tcp.size()));
  std::uint32_t pseudo = kTcp + static_cast<std::uint32_t>(tcp.size());
  for (const base::Bytes address : {from.bytes(), to.bytes()}) {
    for (std::size_t i = 0; i < address.size(); i += 2) {
      pseudo += static_cast<std::uint32_t>(address[i] << 8 | address[i + 1]);
    }
  }
  writer.u16_be(1000).u16_be(2000).u32_be(sequence).u32_be(9);
  writer.u8(0x50).u8(0x18).u16_be(512).u16_be(folded(pseudo)).u16_be(0);
  for (std::size_t i = 20; i < tcp.size(); ++i) tcp[i] = static_cast<char>(i * 7 + sequence);
  SuperPacket out{.bytes = ip_packet(from, to, tcp, traffic_class), .offload = {}};
  const std::uint16_t network = from.is_v4() ? 20 : 40;
  out.bytes[from.is_v4() ? 9 : 6] = kTcp;
  if (from.is_v4()) {  // ip_packet has summed it as UDP
    const auto sum = static_cast<std::uint16_t>(out.bytes[10] << 8 | out.bytes[11]);
    const std::uint16_t fixed = folded(std::uint32_t{sum} + 17 - kTcp);
    out.bytes[10] = static_cast<std::uint8_t>(fixed >> 8);
    out.bytes[11] = static_cast<std::uint8_t>(fixed);
  }
  using Cut = wire::Offload::Cut;
  out.offload = {.cut = payload <= segment ? Cut::None : (from.is_v4() ? Cut::Tcp4 : Cut::Tcp6),
                 .needs_checksum = true,
                 .header_size = static_cast<std::uint16_t>(network + 20),
                 .segment_size = payload <= segment ? std::uint16_t{0} : segment,
                 .checksum_start = network,
                 .checksum_offset = 16};
  return out;
}

/// The packets that a super-packet stands for.
inline std::vector<std::vector<std::uint8_t>> cut(const SuperPacket& packet) {
  const auto segments = wire::Segments::of(packet.bytes, packet.offload, wire::Layer::Packet);
  WARREN_ASSERT(segments.has_value());
  std::vector<std::vector<std::uint8_t>> out;
  for (std::size_t i = 0; i < segments->count(); ++i) {
    segments->write(i, out.emplace_back(segments->size(i)));
  }
  return out;
}

/// The datagrams of a train.
inline std::vector<std::vector<std::uint8_t>> datagrams_of(const Datagram& train) {
  std::vector<std::vector<std::uint8_t>> out;
  base::Bytes rest = train.packet.bytes();
  const std::size_t step = train.segment_size == 0 ? rest.size() : train.segment_size;
  while (!rest.empty()) {
    const base::Bytes one = rest.first(std::min(step, rest.size()));
    out.emplace_back(one.begin(), one.end());
    rest = rest.subspan(one.size());
  }
  return out;
}

/// Takes a whole batch in.
inline std::vector<std::vector<std::uint8_t>> receive(Host& host, Worker& worker, const World& at) {
  host.node.identify(worker.in, at.now, at.wall);
  worker.in.open();
  host.node.accept(worker.in, at.now, at.wall);
  std::vector<std::vector<std::uint8_t>> out;
  for (const base::MutableBytes packet : worker.in.packets()) {
    out.emplace_back(packet.begin(), packet.end());
  }
  worker.in.clear();
  return out;
}

/// Two hosts with a session between them, each with a worker.
struct Linked : World {
  explicit Linked(Node::Options options = {}, std::string_view inner_a = "10.0.0.1",
                  std::string_view inner_b = "10.0.0.2")
      : World(options), a(add(inner_a, "192.0.2.1:51820")), b(add(inner_b, "192.0.2.2:51820")) {
    connect(a, b);
    a.send(b, "start");
    settle();
    b.send(a, "start");
    settle();
    log.clear();
  }
  void plan(Worker& batch) { a.node.plan(batch.out, now, wall); }
  /// What `from_a` sealed arrives at b's worker.
  void carry(Worker& from, Worker& to) {
    for (Datagram& train : from.out.trains()) {
      train.remote = a.endpoint;
      to.add(train);
    }
    from.out.clear();
  }

  Host& a;
  Host& b;
  Worker worker;  ///< of a
  Worker other;   ///< of b
};

}  // namespace warren::node
