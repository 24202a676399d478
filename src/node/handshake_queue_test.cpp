// Handshake messages that wait: bounds, the order of service, and what counts as load.
#include <gtest/gtest.h>

#include "node/batch_test_support.hpp"
#include "node/limits.hpp"
#include "wg/limits.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

/// A gateway that takes datagrams in as a worker does: handshakes wait until they are handled.
struct Gate : World {
  Gate() {
    connect(peer, gateway);
    hook = [](Travelled&) { return false; };
  }
  /// The initiation that `from` sends now.
  Travelled knock(Host& from) {
    from.node.initiate(gateway.key(), now, wall);
    settle();
    WARREN_ASSERT(log.back().type() == MessageType::Initiation);
    return log.back();
  }
  void arrive(const Travelled& what) {
    worker.in.add({.packet = worker.pool.copy_of(what.bytes), .remote = what.from});
    static_cast<void>(receive(gateway, worker, *this));
  }
  bool handle(std::size_t at_most) { return gateway.node.handle_handshakes(at_most, now, wall); }
  /// What the gateway sends: kinds and where to.
  std::vector<std::pair<MessageType, base::Endpoint>> answers() {
    std::vector<std::pair<MessageType, base::Endpoint>> out;
    while (auto datagram = gateway.node.poll_datagram()) {
      out.emplace_back(*wg::message_type(datagram->packet.bytes()), datagram->remote);
    }
    return out;
  }
  static base::Endpoint made_up(std::size_t i) {
    return {base::IpAddress::v4(static_cast<std::uint32_t>(0xc6336400 + i)), 7, 0};
  }

  Host& gateway = add("10.0.0.1", "192.0.2.1:51820");
  Host& peer = add("10.0.0.2", "192.0.2.2:51820");
  Worker worker{2048, 16};
};

TEST(HandshakeQueue, IsBoundedAndItsDropsAreCounted) {
  Gate world;
  Travelled message = world.knock(world.peer);
  for (std::size_t i = 0; i < kMaxWaitingHandshakes + 10; ++i) {
    message.from = Gate::made_up(i);
    world.arrive(message);
  }
  EXPECT_EQ(world.gateway.drops(Drop::HandshakeQueueFull), 10U);
  EXPECT_EQ(world.gateway.drops(), 10U);
  // Under load, so that all of them get a cookie, which costs next to nothing of the budget.
  std::size_t calls = 0;
  std::size_t cookies = 0;
  for (bool more = true; more; ++calls) {
    more = world.handle(1);
    for (const auto& [type, remote] : world.answers()) {
      EXPECT_EQ(type, MessageType::Cookie);
      EXPECT_EQ(remote, Gate::made_up(cookies++));
    }
  }
  EXPECT_EQ(calls, kMaxWaitingHandshakes / kCheapHandshakes);
  EXPECT_EQ(cookies, kMaxWaitingHandshakes);
}

TEST(HandshakeQueue, WithoutOurKeyNothingWaits) {
  Gate world;
  Travelled message = world.knock(world.peer);
  message.bytes[120] ^= 1;  // mac1
  world.arrive(message);
  EXPECT_FALSE(world.handle(1));
  EXPECT_EQ(world.gateway.drops(Drop::BadMac1), 1U);
  EXPECT_TRUE(world.answers().empty());
}

TEST(HandshakeQueue, HandlesNoMoreThanItIsTold) {
  World world;
  Host& gateway = world.add("10.0.0.1", "192.0.2.1:51820");
  world.hook = [](Travelled&) { return false; };
  Worker worker(2048, 16);
  for (std::size_t i = 2; i < 6; ++i) {
    const std::string last = std::to_string(i);
    Host& peer = world.add("10.0.0." + last, "192.0.2." + last + ":51820");
    world.connect(gateway, peer);
    peer.node.initiate(gateway.key(), world.now, world.wall);
    const auto message = peer.node.poll_datagram();
    worker.add({.packet = worker.pool.copy_of(message->packet.bytes()), .remote = peer.endpoint});
  }
  static_cast<void>(receive(gateway, worker, world));
  EXPECT_TRUE(gateway.node.handle_handshakes(3, world.now, world.wall));
  EXPECT_EQ(gateway.node.counters().handshakes_answered, 3U);
  EXPECT_FALSE(gateway.node.handle_handshakes(3, world.now, world.wall));
  EXPECT_EQ(gateway.node.counters().handshakes_answered, 4U);
}

TEST(HandshakeQueue, UnderLoadWhoHasShownItsAddressIsServedFirst) {
  Gate world;
  Travelled junk = world.knock(world.peer);
  const auto flood = [&] {
    for (std::size_t i = 0; i < kMaxWaitingHandshakes + 100; ++i) {
      junk.from = Gate::made_up(i);
      world.arrive(junk);
    }
  };
  flood();
  while (world.handle(8)) {
  }
  static_cast<void>(world.answers());
  // A peer of ours knocks in the middle of it and is told to come again.
  world.pass(500ms);
  Host& late = world.add("10.0.0.3", "192.0.2.3:51820");
  world.connect(late, world.gateway);
  world.arrive(world.knock(late));
  EXPECT_FALSE(world.handle(1));
  auto cookie = world.gateway.node.poll_datagram();
  ASSERT_TRUE(cookie);
  cookie->remote = world.gateway.endpoint;
  late.node.handle_datagrams({&*cookie, 1}, world.now, world.wall);

  world.hook = [&](Travelled& one) {
    if (one.type() != MessageType::Initiation) return false;
    junk.bytes = one.bytes;  // what the flood repeats is as good as the real one but for its source
    return false;
  };
  world.run(6s);
  flood();
  Travelled again = junk;
  again.from = late.endpoint;
  world.arrive(again);
  EXPECT_GT(world.gateway.drops(Drop::HandshakeQueueFull), 100U);
  EXPECT_TRUE(world.handle(1));
  const auto answers = world.answers();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0], std::pair(MessageType::Response, late.endpoint));
}

TEST(HandshakeQueue, OneAddressIsHeldToItsRate) {
  Gate world;
  Travelled junk = world.knock(world.peer);
  junk.from = Gate::made_up(1);
  for (std::size_t i = 0; i < kUnderLoadWaiting; ++i) world.arrive(junk);
  junk.from = world.peer.endpoint;
  world.arrive(junk);
  while (world.handle(8)) {
  }
  std::optional<Datagram> cookie;
  while (auto out = world.gateway.node.poll_datagram()) cookie = std::move(out);
  cookie->remote = world.gateway.endpoint;
  world.peer.node.handle_datagrams({&*cookie, 1}, world.now, world.wall);
  world.run(6s);
  Travelled again = world.log.back();
  ASSERT_EQ(again.type(), MessageType::Initiation);
  junk.from = Gate::made_up(1);
  for (std::size_t i = 0; i < kUnderLoadWaiting; ++i) world.arrive(junk);
  const std::uint64_t before = world.gateway.drops(Drop::UnderLoad);
  for (std::size_t i = 0; i < wg::kSourceHandshakeBurst + 3; ++i) world.arrive(again);
  EXPECT_EQ(world.gateway.drops(Drop::UnderLoad), before + 3);
}

TEST(HandshakeQueue, ManyPeersOfOursAreServedAtOnceWhileWeKeepUp) {
  World world;
  Host& gateway = world.add("10.0.0.1", "192.0.2.1:51820");
  const std::size_t count = wg::kUnderLoadHandshakes + 200;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string tail = std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
    Host& peer = world.add("10.1." + tail, "198.18." + tail + ":51820");
    world.connect(gateway, peer);
    peer.send(gateway, "back again");
    world.settle();  // all of it within one moment
  }
  EXPECT_EQ(gateway.node.counters().cookies_sent, 0U);
  EXPECT_EQ(gateway.node.counters().handshakes_completed, count);
  EXPECT_EQ(gateway.received.size(), count);
}

}  // namespace
}  // namespace warren::node
