// Section 6 of the paper in virtual time.
#include <gtest/gtest.h>

#include "node/node_test_support.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

struct Clocked : World {
  explicit Clocked(Node::Options options = {}) : World(options) { connect(a, b); }
  Host& a = add("10.0.0.1", "192.0.2.1:51820");
  Host& b = add("10.0.0.2", "192.0.2.2:51820");

  void start() {
    a.send(b, "start");
    settle();
    b.send(a, "start");
    settle();
    log.clear();
  }
  [[nodiscard]] std::size_t count_from(const Host& host, MessageType type) const {
    std::size_t out = 0;
    for (const Travelled& one : log) out += one.from == host.endpoint && one.type() == type;
    return out;
  }
};

TEST(Timers, ReceivedDataIsAnsweredByAKeepaliveAfterTenSeconds) {
  Clocked world;
  world.start();
  world.run(30s);
  world.log.clear();
  world.a.send(world.b, "one way");
  world.run(10s - 1ns);
  EXPECT_EQ(world.count_from(world.b, MessageType::Transport), 0U);
  world.run(1ns);
  EXPECT_EQ(world.count_from(world.b, MessageType::Transport), 1U);
  EXPECT_EQ(world.log.back().bytes.size(), wg::kTransportOverhead);
  EXPECT_EQ(world.log.back().traffic_class, 0);
  world.run(60s);  // a keepalive is not answered
  EXPECT_EQ(world.log.size(), 2U);
}

TEST(Timers, AStreamOneWayGetsAKeepaliveEveryTenSeconds) {
  Clocked world;
  world.start();
  for (int i = 0; i < 60; ++i) {
    world.a.send(world.b, "stream");
    world.run(1s);
  }
  EXPECT_EQ(world.b.received.size(), 61U);
  const std::size_t keepalives = world.count_from(world.b, MessageType::Transport);
  EXPECT_GE(keepalives, 5U);
  EXPECT_LE(keepalives, 6U);
  EXPECT_EQ(world.count(MessageType::Initiation), 0U);
}

TEST(Timers, SentDataWithoutAnswerLeadsToANewHandshakeAfterFifteenSeconds) {
  Clocked world;
  world.start();
  world.run(30s);
  world.log.clear();
  world.hook = [&](Travelled& one) { return one.from == world.a.endpoint; };  // b is not heard
  world.a.send(world.b, "anyone?");
  world.run(15s - 1ns);
  EXPECT_EQ(world.count_from(world.a, MessageType::Initiation), 0U);
  world.run(334ms);
  EXPECT_EQ(world.count_from(world.a, MessageType::Initiation), 1U);
}

TEST(Timers, TheInitiatorRenewsASessionAfterTwoMinutesOfUse) {
  Clocked world;
  world.start();
  for (int i = 0; i < 119; ++i) {
    world.a.send(world.b, "tick");
    world.b.send(world.a, "tock");
    world.run(1s);
  }
  EXPECT_EQ(world.count(MessageType::Initiation), 0U);
  for (int i = 0; i < 3; ++i) {
    world.b.send(world.a, "tock");
    world.a.send(world.b, "tick");
    world.run(1s);
  }
  EXPECT_EQ(world.count_from(world.a, MessageType::Initiation), 1U);
  EXPECT_EQ(world.count_from(world.b, MessageType::Initiation), 0U);
  EXPECT_EQ(world.a.received.size(), 123U);
  EXPECT_EQ(world.b.received.size(), 123U);
  EXPECT_EQ(world.a.drops() + world.b.drops(), 0U);
}

TEST(Timers, AnInitiatorThatOnlyReceivesRenewsBeforeTheSessionDies) {
  Clocked world;
  world.start();
  for (int i = 0; i < 200; ++i) {
    world.b.send(world.a, "tock");
    world.run(1s);
  }
  // Its keepalives are sends, so that the renewal comes at 120 seconds; either way nothing is lost.
  EXPECT_EQ(world.a.received.size(), 201U);
  EXPECT_GE(world.count_from(world.a, MessageType::Initiation), 1U);
  EXPECT_EQ(world.count_from(world.b, MessageType::Initiation), 0U);
}

TEST(Timers, DataWhileAKeepaliveIsDueBringsASecondOne) {
  Clocked world;
  world.start();
  world.run(30s);
  world.log.clear();
  world.a.send(world.b, "one");
  world.run(5s);
  world.a.send(world.b, "two");
  world.run(5s);
  EXPECT_EQ(world.count_from(world.b, MessageType::Transport), 1U);
  world.run(60s);
  EXPECT_EQ(world.count_from(world.b, MessageType::Transport), 2U);
}

TEST(Timers, AnAnswerIsAsGoodAsAKeepalive) {
  Clocked world;
  world.start();
  world.run(30s);
  world.log.clear();
  world.a.send(world.b, "question");
  world.run(1s);
  world.b.send(world.a, "answer");
  world.run(60s);
  EXPECT_EQ(world.count_from(world.b, MessageType::Transport), 1U);
  EXPECT_EQ(world.count_from(world.a, MessageType::Transport), 2U);  // the answer's keepalive
}

TEST(Timers, TheResponderDoesNotRenewAnOldSession) {
  Clocked world;
  world.start();
  world.run(121s);
  world.log.clear();
  world.b.send(world.a, "still fine");
  world.settle();
  EXPECT_EQ(world.a.received.back(), "still fine");
  EXPECT_EQ(world.count(MessageType::Initiation), 0U);
}

TEST(Timers, AnInitiatorThatReceivesOnADyingSessionRenewsItOnce) {
  Clocked world;
  world.start();
  world.run(166s);
  world.log.clear();
  world.hook = [](Travelled& one) { return one.type() != MessageType::Initiation; };
  world.b.send(world.a, "last words");
  world.settle();
  EXPECT_EQ(world.count_from(world.a, MessageType::Initiation), 1U);
  world.pass(5001ms);  // no timer runs: a second message alone must not make a second initiation
  world.b.send(world.a, "more");
  world.settle();
  EXPECT_EQ(world.count_from(world.a, MessageType::Initiation), 1U);
}

TEST(Timers, AnIdleSessionExpiresQuietlyAndItsKeysAreWiped) {
  Clocked world;
  world.start();
  std::optional<Travelled> kept;
  world.hook = [&](Travelled& one) {
    if (one.type() == MessageType::Transport) kept = one;
    return false;
  };
  world.a.send(world.b, "held back by the network");
  world.settle();
  world.hook = [](Travelled&) { return false; };
  ASSERT_TRUE(kept);
  world.pass(180s - 1ns);
  world.pass(1ns);
  world.deliver(world.b, *kept);
  EXPECT_EQ(world.b.drops(Drop::SessionExpired), 1U);
  world.run(3 * 180s + 100s);
  world.deliver(world.b, *kept);
  EXPECT_EQ(world.b.drops(Drop::UnknownIndex), 1U);
  EXPECT_TRUE(world.b.received.size() == 1);
}

TEST(Timers, APacketAfterTheEndOfASessionBringsANewOne) {
  Clocked world;
  world.start();
  world.run(1000s);
  EXPECT_EQ(world.count(MessageType::Initiation), 0U);
  EXPECT_FALSE(world.a.node.poll_timeout());
  EXPECT_FALSE(world.b.node.poll_timeout());
  world.b.send(world.a, "long time");
  world.settle();
  EXPECT_EQ(world.a.received.back(), "long time");
  EXPECT_EQ(world.count_from(world.b, MessageType::Initiation), 1U);
}

TEST(Timers, PersistentKeepaliveStartsAtOnceAndGoesOn) {
  Clocked world;
  PeerUpdate update{.public_key = world.b.key(), .persistent_keepalive_s = 25};
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  world.run(0s);
  EXPECT_EQ(world.count(MessageType::Initiation), 1U);
  EXPECT_EQ(world.count(MessageType::Response), 1U);
  world.log.clear();
  world.run(100s + 1s);
  EXPECT_EQ(world.count_from(world.a, MessageType::Transport), 4U);
  world.log.clear();
  update.persistent_keepalive_s = 0;
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  world.run(300s);
  EXPECT_TRUE(world.log.empty());
}

TEST(Timers, PersistentKeepaliveOutlivesASilentPeer) {
  Clocked world;
  world.hook = [](Travelled&) { return false; };
  PeerUpdate update{.public_key = world.b.key(), .persistent_keepalive_s = 25};
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  world.run(3600s);
  world.hook = [](Travelled&) { return true; };
  world.run(30s);
  EXPECT_EQ(world.b.count_events(Event::Kind::HandshakeCompleted), 1U);
}

TEST(Timers, ANetworkChangeIsToldToActivePeers) {
  Clocked world;
  Host& c = world.add("10.0.0.3", "192.0.2.3:51820");
  world.connect(world.a, c);
  world.start();
  world.run(30s);
  world.log.clear();
  world.a.node.handle_network_change(world.now);
  world.run(0s);
  ASSERT_EQ(world.log.size(), 1U);
  EXPECT_EQ(world.log[0].to, world.b.endpoint);
  EXPECT_EQ(world.log[0].type(), MessageType::Transport);
}

TEST(Timers, VeryManyThatAreDueAtOnceAreServedInTurns) {
  World world;
  Host& hub = world.add("10.255.0.1", "192.0.2.1:51820");
  constexpr std::uint32_t kPeers = 1000;
  for (std::uint32_t i = 0; i < kPeers; ++i) {
    base::PublicKey key;
    hub.random.fill(key.bytes);
    ASSERT_TRUE(hub.node.update_peer({.public_key = key,
                                      .endpoint = base::Endpoint::parse("192.0.2.9:1"),
                                      .persistent_keepalive_s = 25},
                                     world.now));
  }
  std::size_t sent = 0;
  std::size_t turns = 0;
  for (; hub.node.poll_timeout() && *hub.node.poll_timeout() <= world.now; ++turns) {
    hub.node.handle_timeout(world.now, world.wall);
    std::size_t at_once = 0;
    while (hub.node.poll_datagram()) ++at_once;
    ASSERT_GT(at_once, 0U);
    ASSERT_LE(at_once, 128U);
    sent += at_once;
  }
  EXPECT_EQ(sent, kPeers);
  EXPECT_EQ(turns, 8U);
  EXPECT_EQ(hub.drops(), 0U);
}

TEST(Timers, ACompressedTimeWorksTheSameWay) {
  Node::Options options;
  options.timing = {.rekey_after = 1200ms,
                    .reject_after = 1800ms,
                    .rekey_attempt = 900ms,
                    .rekey_timeout = 50ms,
                    .rekey_jitter = 3ms,
                    .keepalive = 100ms,
                    .cookie_secret = 1200ms};
  Clocked world(options);
  for (int i = 0; i < 1000; ++i) {
    world.a.send(world.b, "tick");
    world.run(10ms);
  }
  EXPECT_EQ(world.b.received.size(), 1000U);
  const std::size_t handshakes = world.count(MessageType::Initiation);
  EXPECT_GE(handshakes, 8U);
  EXPECT_LE(handshakes, 9U);
}

}  // namespace
}  // namespace warren::node
