// A byte that leaves the batched path equals the byte of the plain path. Two worlds with the same
// seeds live through the same random traffic: one packet by packet through handle_packets and
// handle_datagrams, the other in super-packets and trains. Everything that can be seen from outside
// has to agree: the datagrams to each remote, the packets, figures, drops, events, timers.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "node/batch_test_support.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using Packets = std::vector<std::vector<std::uint8_t>>;
using PerRemote =
    std::map<base::Endpoint, std::vector<std::pair<TrafficClass, Packets::value_type>>>;

struct Star : World {
  Star() : World(), hub(add("10.0.0.1", "192.0.2.1:51820")) {
    for (int i = 0; i < 4; ++i) {
      const std::string last = std::to_string(2 + i);
      const bool is_v6 = i % 2 == 1;
      add((is_v6 ? "fd00::" : "10.0.0.") + last, "192.0.2." + last + ":51820");
      connect(hub, *hosts.back());
      PeerUpdate update{.public_key = hub.key()};
      update.allowed_ips.push_back({.prefix = *base::Prefix::parse("fd00::1")});
      WARREN_ASSERT(hosts.back()->node.update_peer(update, now));
    }
  }
  Host& hub;
};

/// One round of traffic, the same for both worlds.
struct Action {
  std::size_t peer = 0;  ///< 1..4
  std::size_t payload = 0;
  std::uint16_t segment = 0;
  std::uint8_t ecn = 0;
  std::uint32_t sequence = 0;
};

class Twins {
 public:
  explicit Twins(std::uint64_t seed) : random_(seed) {}

  void round() {
    const std::vector<Action> actions = choose();
    send(actions);
    compare_outgoing();
    shuffle_and_receive();
    compare_state();
    pass();
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }

  std::vector<Action> choose() {
    std::vector<Action> out(1 + below(12));
    for (Action& action : out) {
      action.peer = 1 + below(4);
      action.payload = below(3) == 0 ? below(200) : below(30000);
      action.segment = static_cast<std::uint16_t>(200 + below(1180));
      action.ecn = static_cast<std::uint8_t>(below(4));
      action.sequence = static_cast<std::uint32_t>(random_());
    }
    return out;
  }

  SuperPacket packet_of(const Action& action) {
    const base::IpAddress& to = plain_.hosts[action.peer]->inner;
    const base::IpAddress from = to.is_v4() ? plain_.hub.inner : *base::IpAddress::parse("fd00::1");
    return tcp_super_packet(from, to, action.payload, action.segment, action.ecn, action.sequence);
  }

  void send(const std::vector<Action>& actions) {
    for (const Action& action : actions) {
      const SuperPacket packet = packet_of(action);
      for (const auto& piece : cut(packet)) {
        wire::Packet one = plain_.hub.pool.copy_of(piece);
        plain_.hub.node.handle_packets({&one, 1}, plain_.now, plain_.wall);
      }
      worker_.add(packet.bytes, packet.offload);
    }
    batched_.hub.node.plan(worker_.out, batched_.now, batched_.wall);
    worker_.out.seal();
    ASSERT_EQ(worker_.out.take_lost(), 0U);
  }

  void compare_outgoing() {
    PerRemote from_plain;
    while (auto out = plain_.hub.node.poll_datagram()) {
      const base::Bytes bytes = out->packet.bytes();
      from_plain[out->remote].emplace_back(out->traffic_class,
                                           Packets::value_type(bytes.begin(), bytes.end()));
    }
    PerRemote from_batched;
    while (auto out = batched_.hub.node.poll_datagram()) {
      const base::Bytes bytes = out->packet.bytes();
      from_batched[out->remote].emplace_back(out->traffic_class,
                                             Packets::value_type(bytes.begin(), bytes.end()));
    }
    for (const Datagram& train : worker_.out.trains()) {
      check_shape(train);
      for (auto& one : datagrams_of(train)) {
        from_batched[train.remote].emplace_back(train.traffic_class, std::move(one));
      }
    }
    worker_.out.clear();
    // A renewal's initiation may stand elsewhere among the data; it is put first in both.
    for (PerRemote* all : {&from_plain, &from_batched}) {
      for (auto& [remote, list] : *all) {
        std::stable_partition(list.begin(), list.end(), [](const auto& one) {
          return wg::message_type(one.second) != wg::MessageType::Transport;
        });
      }
    }
    ASSERT_EQ(from_plain, from_batched);
    sent_ = std::move(from_plain);
  }

  static void check_shape(const Datagram& train) {
    const Packets all = datagrams_of(train);
    ASSERT_LE(all.size(), kMaxTrainSegments);
    ASSERT_LE(train.packet.size(), kMaxTrainBytes);
    ASSERT_EQ(train.segment_size, all.size() == 1 ? 0 : all[0].size());
    for (std::size_t i = 0; i + 1 < all.size(); ++i) ASSERT_EQ(all[i].size(), all[0].size());
    ASSERT_LE(all.back().size(), all[0].size());
  }

  /// Loses, doubles, damages and reorders, marks congestion; then the peers receive: the plain one
  /// datagram by datagram, the batched one in trains of a network's making.
  void shuffle_and_receive() {
    for (auto& [remote, list] : sent_) {
      deliver_handshakes(remote, list);
      for (auto& one : list) {
        if (below(10) == 0) one.first = static_cast<TrafficClass>(one.first | 3);
      }
      for (std::size_t i = below(4); i != 0 && !list.empty(); --i) {
        list.insert(list.begin() + static_cast<std::ptrdiff_t>(below(list.size())),
                    list[below(list.size())]);
        auto& damaged = list[below(list.size())].second;
        if (below(2) == 0) damaged[below(damaged.size())] ^= 1;
        std::swap(list[below(list.size())], list[below(list.size())]);
        if (below(2) == 0) list.pop_back();
      }
      for (std::size_t i = 1; i < plain_.hosts.size(); ++i) {
        if (plain_.hosts[i]->endpoint == remote) receive_at(i, list);
      }
    }
    // What the peers answer travels singly in both worlds.
    plain_.settle();
    batched_.settle();
  }

  /// The batched path handles them after the data of their batch; here they come alone and first.
  void deliver_handshakes(const base::Endpoint& remote, PerRemote::mapped_type& list) {
    for (; !list.empty() && wg::message_type(list[0].second) != wg::MessageType::Transport;
         list.erase(list.begin())) {
      for (Star* world : {&plain_, &batched_}) {
        for (const auto& host : world->hosts) {
          if (host->endpoint != remote) continue;
          world->deliver(*host, {world->hub.endpoint, {}, list[0].first, list[0].second});
        }
      }
    }
  }

  void receive_at(std::size_t host, const PerRemote::mapped_type& list) {
    const base::Endpoint from =
        below(20) == 0 ? *base::Endpoint::parse("198.51.100.1:7") : plain_.hub.endpoint;
    for (const auto& [traffic_class, bytes] : list) {
      plain_.deliver(*plain_.hosts[host], {from, {}, traffic_class, bytes});
    }
    Packets expected;
    while (auto packet = plain_.hosts[host]->node.poll_packet()) {
      const base::Bytes bytes = packet->bytes();
      expected.emplace_back(bytes.begin(), bytes.end());
    }
    for (std::size_t i = 0; i < list.size();) {
      const std::size_t size = list[i].second.size();
      std::vector<std::uint8_t> train = list[i].second;
      std::size_t end = i + 1;
      while (end < list.size() && list[end].first == list[i].first &&
             list[end - 1].second.size() == size && list[end].second.size() <= size &&
             train.size() + size <= kMaxTrainBytes) {
        train.insert(train.end(), list[end].second.begin(), list[end].second.end());
        ++end;
      }
      peer_worker_.in.add(
          {.packet = peer_worker_.pool.copy_of(train),
           .remote = from,
           .traffic_class = list[i].first,
           .segment_size = end == i + 1 ? std::uint16_t{0} : static_cast<std::uint16_t>(size)});
      i = end;
    }
    Host& to = *batched_.hosts[host];
    const Packets got = receive(to, peer_worker_, batched_);
    while (to.node.handle_handshakes(1, batched_.now, batched_.wall)) {
    }
    ASSERT_EQ(got, expected);
  }

  /// A damaged copy of a message of the same batch counts as one or the other.
  static auto drops_of(const Host& host) {
    auto drops = host.node.counters().drops;
    drops[static_cast<std::size_t>(Drop::BadTag)] +=
        std::exchange(drops[static_cast<std::size_t>(Drop::Replayed)], 0);
    return drops;
  }

  void compare_state() {
    for (std::size_t i = 0; i < plain_.hosts.size(); ++i) {
      Host& a = *plain_.hosts[i];
      Host& b = *batched_.hosts[i];
      ASSERT_EQ(drops_of(a), drops_of(b)) << "host " << i;
      ASSERT_EQ(a.node.counters().handshakes_completed, b.node.counters().handshakes_completed);
      ASSERT_EQ(a.node.poll_timeout(), b.node.poll_timeout()) << "host " << i;
      ASSERT_EQ(a.events.size(), b.events.size());
      for (std::size_t j = 0; j < a.events.size(); ++j) {
        ASSERT_EQ(a.events[j].kind, b.events[j].kind);
      }
      for (const auto& other : plain_.hosts) {
        const PeerStatus one = a.status_of(other->key());
        const PeerStatus two = b.status_of(other->key());
        ASSERT_EQ(one.rx_bytes, two.rx_bytes);
        ASSERT_EQ(one.tx_bytes, two.tx_bytes);
        ASSERT_EQ(one.endpoint, two.endpoint);
        ASSERT_EQ(one.last_handshake, two.last_handshake);
      }
    }
  }

  void pass() {
    const Duration duration = below(8) == 0 ? Duration(40s) : Duration(50ms);
    plain_.run(duration);
    batched_.run(duration);
  }

  std::mt19937_64 random_;
  Star plain_;
  Star batched_;
  Worker worker_;
  Worker peer_worker_;
  PerRemote sent_;
};

TEST(BatchTwin, BatchedAndPlainPathAgreeInEveryByte) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Twins twins(seed);
    for (int round = 0; round < 60 && !testing::Test::HasFatalFailure(); ++round) {
      SCOPED_TRACE("seed " + std::to_string(seed) + " round " + std::to_string(round));
      twins.round();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace warren::node
