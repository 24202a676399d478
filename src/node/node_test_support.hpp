// A tiny network for the node's own tests: hosts that exchange datagrams at once or after a hook
// has looked at them, in virtual time. Checks in passing that no session counter is sealed twice.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "node/node.hpp"
#include "wg/messages.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::node {

using base::Duration;

using wg::SeededRandom;

/// An IPv4 or IPv6 packet (after the family of `from`) with `text` behind its header.
inline std::vector<std::uint8_t> ip_packet(const base::IpAddress& from, const base::IpAddress& to,
                                           std::string_view text, std::uint8_t traffic_class = 0) {
  std::vector<std::uint8_t> out((from.is_v4() ? 20 : 40) + text.size());
  base::ByteWriter writer(out);
  if (from.is_v4()) {
    writer.u8(0x45).u8(traffic_class).u16_be(static_cast<std::uint16_t>(out.size()));
    writer.u32_be(0).u8(64).u8(17).u16_be(0);
  } else {
    writer.u32_be(0x60000000U | std::uint32_t{traffic_class} << 20);
    writer.u16_be(static_cast<std::uint16_t>(text.size())).u8(59).u8(64);
  }
  writer.bytes(from.bytes()).bytes(to.bytes()).bytes(base::as_bytes(text));
  if (from.is_v4()) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) {
      sum += static_cast<std::uint32_t>(out[i] << 8 | out[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    const std::uint32_t check = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    out[10] = static_cast<std::uint8_t>(check >> 8);
    out[11] = static_cast<std::uint8_t>(check);
  }
  return out;
}

struct Host {
  Host(Node::Options options, std::uint64_t seed, std::string_view inner_text,
       std::string_view endpoint_text)
      : random(seed),
        pool(2048, 8192),
        node(options, random, pool),
        inner(*base::IpAddress::parse(inner_text)),
        endpoint(*base::Endpoint::parse(endpoint_text)) {
    node.set_private_key(crypto::generate_private_key(random), {});
  }

  [[nodiscard]] base::PublicKey key() const { return *node.public_key(); }
  void send(const Host& to, std::string_view text) {
    outbox.push_back(ip_packet(inner, to.inner, text));
  }
  [[nodiscard]] std::uint64_t drops() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : node.counters().drops) sum += count;
    return sum;
  }
  [[nodiscard]] std::uint64_t drops(Drop reason) const {
    return node.counters().drops[static_cast<std::size_t>(reason)];
  }
  [[nodiscard]] PeerStatus status_of(const base::PublicKey& peer) const {
    PeerStatus out;
    node.for_each_peer([&](const PeerStatus& status) {
      if (status.public_key == peer) out = status;
    });
    return out;
  }
  [[nodiscard]] std::size_t count_events(Event::Kind kind) const {
    std::size_t count = 0;
    for (const Event& event : events) count += event.kind == kind ? 1U : 0U;
    return count;
  }

  SeededRandom random;
  wire::PacketPool pool;
  Node node;
  base::IpAddress inner;
  base::Endpoint endpoint;
  std::deque<std::vector<std::uint8_t>> outbox;
  std::vector<std::string> received;  ///< texts of the packets that came out
  std::vector<std::vector<std::uint8_t>> received_packets;
  std::vector<Event> events;
};

/// What travelled: kept so that tests can look at it and replay it.
struct Travelled {
  base::Endpoint from;
  base::Endpoint to;
  TrafficClass traffic_class = 0;
  std::vector<std::uint8_t> bytes;
  [[nodiscard]] wg::MessageType type() const { return *wg::message_type(bytes); }
};

class World {
 public:
  explicit World(Node::Options options = {}) : options_(options) {}

  Host& add(std::string_view inner, std::string_view endpoint) {
    hosts.push_back(std::make_unique<Host>(options_, ++seed_, inner, endpoint));
    return *hosts.back();
  }
  /// Each becomes the other's peer, with a host route and a known endpoint.
  void connect(Host& a, Host& b) {
    know(a, b);
    know(b, a);
  }
  void know(Host& who, const Host& whom) {
    PeerUpdate update{.public_key = whom.key(), .endpoint = whom.endpoint};
    update.allowed_ips.push_back({.prefix = base::Prefix::host(whom.inner)});
    WARREN_ASSERT(who.node.update_peer(update, now));
  }

  /// Delivers everything until nothing moves, without time passing.
  void settle() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (const auto& host : hosts) moved = step(*host) || moved;
    }
  }
  /// Lets time pass, running every timer at its moment.
  void run(Duration duration) {
    const base::Instant end = now + duration;
    settle();
    for (;;) {
      base::Instant next = end;
      for (const auto& host : hosts) {
        if (const auto at = host->node.poll_timeout()) next = std::min(next, *at);
      }
      pass(std::max(next - now, Duration(0)));
      for (const auto& host : hosts) host->node.handle_timeout(now, wall);
      settle();
      if (now >= end) return;
    }
  }
  void pass(Duration duration) {
    now += duration;
    wall = wall + duration;
  }
  void deliver(Host& to, const Travelled& what) {
    Datagram datagram{.packet = to.pool.copy_of(what.bytes),
                      .remote = what.from,
                      .traffic_class = what.traffic_class};
    to.node.handle_datagrams({&datagram, 1}, now, wall);
  }
  [[nodiscard]] std::size_t count(wg::MessageType type) const {
    std::size_t out = 0;
    for (const Travelled& one : log) out += one.type() == type ? 1U : 0U;
    return out;
  }

  std::vector<std::unique_ptr<Host>> hosts;
  std::vector<Travelled> log;
  /// Looks at (and may change) each datagram; false loses it.
  std::function<bool(Travelled&)> hook = [](Travelled&) { return true; };
  base::Instant now{1'000'000'000'000};
  base::WallTime wall{1'800'000'000'000'000'000};

 private:
  bool step(Host& host) {
    bool moved = false;
    for (; !host.outbox.empty(); host.outbox.pop_front(), moved = true) {
      wire::Packet packet = host.pool.copy_of(host.outbox.front());
      host.node.handle_packets({&packet, 1}, now, wall);
    }
    while (auto out = host.node.poll_datagram()) {
      moved = true;
      travel(host, *out);
    }
    while (auto packet = host.node.poll_packet()) {
      moved = true;
      const base::Bytes bytes = packet->bytes();
      host.received_packets.emplace_back(bytes.begin(), bytes.end());
      const base::Bytes text = bytes.subspan(bytes[0] >> 4 == 4 ? 20 : 40);
      host.received.emplace_back(text.begin(), text.end());
    }
    while (auto event = host.node.poll_event()) host.events.push_back(*event);
    return moved;
  }

  void travel(Host& from, Datagram& out) {
    const base::Bytes bytes = out.packet.bytes();
    Travelled one{from.endpoint, out.remote, out.traffic_class, {bytes.begin(), bytes.end()}};
    out.packet = {};
    if (const auto header = wg::parse_transport(one.bytes)) {
      const bool fresh = sealed_.emplace(&from, header->receiver, header->counter).second;
      WARREN_ASSERT(fresh);  // a counter sealed twice is a broken cipher
    }
    const bool kept = hook(one);
    log.push_back(one);
    if (!kept) return;
    for (const auto& host : hosts) {
      if (host->endpoint == one.to) deliver(*host, one);
    }
  }

  Node::Options options_;
  std::uint64_t seed_ = 0;
  std::set<std::tuple<const Host*, wg::Index, std::uint64_t>> sealed_;
};

}  // namespace warren::node
