// Handshakes between nodes: what completes, what is refused, what load changes.
#include <gtest/gtest.h>

#include "node/node_test_support.hpp"
#include "wg/limits.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

/// A world of two connected hosts.
struct Two : World {
  explicit Two(Node::Options options = {}) : World(options) { connect(a, b); }
  Host& a = add("10.0.0.1", "192.0.2.1:51820");
  Host& b = add("10.0.0.2", "192.0.2.2:51820");

  void set_psk(Host& who, const Host& about, std::uint8_t value) {
    PeerUpdate update{.public_key = about.key()};
    update.preshared_key.emplace();
    update.preshared_key->fill()[0] = value;
    ASSERT_TRUE(who.node.update_peer(update, now));
  }
};

TEST(Handshakes, TwoNodesShakeHandsAndCarryPackets) {
  Two world;
  world.a.send(world.b, "hello");
  world.settle();
  EXPECT_EQ(world.b.received, std::vector<std::string>{"hello"});
  world.b.send(world.a, "and back");
  world.settle();
  EXPECT_EQ(world.a.received, std::vector<std::string>{"and back"});
  EXPECT_EQ(world.count(MessageType::Initiation), 1U);
  EXPECT_EQ(world.a.node.counters().handshakes_completed, 1U);
  EXPECT_EQ(world.b.node.counters().handshakes_completed, 1U);
  EXPECT_EQ(world.b.node.counters().handshakes_answered, 1U);
  EXPECT_EQ(world.a.count_events(Event::Kind::HandshakeCompleted), 1U);
  EXPECT_EQ(world.a.status_of(world.b.key()).last_handshake, world.wall);
  EXPECT_EQ(world.a.drops() + world.b.drops(), 0U);
  EXPECT_EQ(world.a.pool.in_use(), 0U);
}

TEST(Handshakes, PresharedKeysMustAgree) {
  Two world;
  world.set_psk(world.a, world.b, 1);
  world.set_psk(world.b, world.a, 2);
  world.a.send(world.b, "lost for now");
  world.settle();
  EXPECT_EQ(world.a.drops(Drop::BadHandshake), 1U);
  EXPECT_TRUE(world.b.received.empty());
  world.set_psk(world.b, world.a, 1);
  world.run(6s);
  EXPECT_EQ(world.b.received, std::vector<std::string>{"lost for now"});
}

TEST(Handshakes, AStrangerGetsNoAnswer) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:51820");
  Host& b = world.add("10.0.0.2", "192.0.2.2:51820");
  world.know(a, b);  // b has never heard of a
  a.send(b, "hello?");
  world.settle();
  EXPECT_EQ(world.log.size(), 1U);
  EXPECT_EQ(b.drops(Drop::UnknownPeer), 1U);
}

TEST(Handshakes, OneWithoutOurKeyGetsNoAnswerEvenUnderLoad) {
  Two world({.under_load_always = true});
  world.hook = [](Travelled& one) {
    if (one.type() == MessageType::Initiation) one.bytes[120] ^= 1;  // mac1
    return true;
  };
  world.a.send(world.b, "hello?");
  world.settle();
  EXPECT_EQ(world.log.size(), 1U);
  EXPECT_EQ(world.b.drops(Drop::BadMac1), 1U);
}

TEST(Handshakes, UnderLoadACookieComesFirst) {
  Two world({.under_load_always = true});
  world.a.send(world.b, "patience");
  world.settle();
  EXPECT_EQ(world.count(MessageType::Cookie), 1U);
  EXPECT_EQ(world.count(MessageType::Response), 0U);
  EXPECT_EQ(world.log.back().traffic_class, 0x88);
  EXPECT_EQ(world.b.node.counters().cookies_sent, 1U);
  world.run(6s);  // a repeats with mac2; its answer from b has to prove its address to a, too
  EXPECT_EQ(world.count(MessageType::Response), 1U);
  EXPECT_EQ(world.a.node.counters().cookies_sent, 1U);
  world.run(6s);
  EXPECT_EQ(world.b.received, std::vector<std::string>{"patience"});
}

TEST(Handshakes, AFloodBringsTheStateOfLoadAndItsEnd) {
  Two world;
  world.a.send(world.b, "x");
  world.hook = [](Travelled& one) { return one.type() != MessageType::Initiation; };
  world.settle();
  const Travelled initiation = world.log.front();
  // The first authenticates and is answered; its copies are replays, each at the price of a DH.
  world.deliver(world.b, initiation);
  for (std::size_t i = 0; i <= wg::kUnderLoadHandshakes; ++i) world.deliver(world.b, initiation);
  EXPECT_EQ(world.b.drops(Drop::UnderLoad), 0U);
  EXPECT_EQ(world.b.drops(Drop::BadHandshake), wg::kUnderLoadHandshakes + 1);
  for (int i = 0; i < 100; ++i) world.deliver(world.b, initiation);
  EXPECT_EQ(world.b.drops(Drop::UnderLoad), 100U);
  world.pass(1001ms);
  world.deliver(world.b, initiation);
  EXPECT_EQ(world.b.drops(Drop::UnderLoad), 100U);
  EXPECT_EQ(world.b.drops(Drop::BadHandshake), wg::kUnderLoadHandshakes + 2);
}

TEST(Handshakes, AReplayedInitiationChangesNothing) {
  Two world;
  world.a.send(world.b, "x");
  world.settle();
  Travelled initiation = world.log.front();
  ASSERT_EQ(initiation.type(), MessageType::Initiation);
  const std::size_t before = world.log.size();
  world.pass(1s);
  initiation.from = *base::Endpoint::parse("198.51.100.66:6666");
  world.deliver(world.b, initiation);
  world.settle();
  EXPECT_EQ(world.log.size(), before);
  EXPECT_EQ(world.b.drops(Drop::BadHandshake), 1U);
  EXPECT_EQ(world.b.status_of(world.a.key()).endpoint, world.a.endpoint);
}

TEST(Handshakes, InitiationsOfOnePeerAreAtLeastTwentyMillisecondsApart) {
  Two world;
  world.hook = [](Travelled&) { return false; };
  world.a.send(world.b, "x");
  world.settle();
  world.pass(5s + 100ms);
  world.a.node.handle_timeout(world.now + 1s, world.wall);  // the retransmission
  world.settle();
  ASSERT_EQ(world.count(MessageType::Initiation), 2U);
  world.deliver(world.b, world.log[0]);
  world.pass(19ms);
  world.deliver(world.b, world.log[1]);
  EXPECT_EQ(world.b.drops(Drop::HandshakeFlood), 1U);
  world.pass(1ms);
  world.deliver(world.b, world.log[1]);
  EXPECT_EQ(world.b.drops(Drop::HandshakeFlood), 1U);
  EXPECT_EQ(world.b.node.counters().handshakes_answered, 2U);
}

TEST(Handshakes, InitiationsThatCrossConverge) {
  Two world;
  std::vector<Travelled> held;
  world.hook = [&](Travelled& one) {
    if (one.type() != MessageType::Initiation) return true;
    held.push_back(one);
    return false;
  };
  world.a.send(world.b, "from a");
  world.b.send(world.a, "from b");
  world.settle();
  ASSERT_EQ(held.size(), 2U);
  world.deliver(world.b, held[0]);
  world.deliver(world.a, held[1]);
  world.settle();
  EXPECT_EQ(world.a.received, std::vector<std::string>{"from b"});
  EXPECT_EQ(world.b.received, std::vector<std::string>{"from a"});
  for (int i = 0; i < 5; ++i) {
    world.a.send(world.b, "more");
    world.b.send(world.a, "more");
    world.run(1s);
  }
  EXPECT_EQ(world.a.received.size(), 6U);
  EXPECT_EQ(world.b.received.size(), 6U);
  EXPECT_EQ(world.count(MessageType::Initiation), 2U);
}

TEST(Handshakes, OnesOwnInitiationIsForgottenOnceAnotherHasLedToASession) {
  Two world;
  std::vector<Travelled> held;
  world.hook = [&](Travelled& one) {
    if (one.type() == MessageType::Transport) return true;
    held.push_back(one);
    return false;
  };
  world.a.send(world.b, "from a");
  world.b.send(world.a, "from b");
  world.settle();
  ASSERT_EQ(held.size(), 2U);
  world.deliver(world.b, held[0]);
  world.deliver(world.a, held[1]);
  world.settle();
  ASSERT_EQ(held.size(), 4U);
  const bool a_answered_last = held[3].to == world.b.endpoint;
  const Travelled& to_a = held[a_answered_last ? 2 : 3];
  const Travelled& to_b = held[a_answered_last ? 3 : 2];
  // a's session with b works and has been confirmed; b's answer to a's initiation is very late.
  world.deliver(world.b, to_b);
  world.settle();
  ASSERT_EQ(world.a.node.counters().handshakes_completed, 1U);
  world.deliver(world.a, to_a);
  EXPECT_EQ(world.a.drops(Drop::UnknownIndex), 1U);
  EXPECT_EQ(world.a.node.counters().handshakes_completed, 1U);
  world.a.send(world.b, "after");
  world.settle();
  EXPECT_EQ(world.b.received.back(), "after");
  EXPECT_EQ(world.a.received, std::vector<std::string>{"from b"});
}

TEST(Handshakes, ALostResponseIsAskedForAgain) {
  Two world;
  int lost = 0;
  world.hook = [&](Travelled& one) { return one.type() != MessageType::Response || ++lost > 2; };
  world.a.send(world.b, "third time lucky");
  world.settle();
  const base::Instant start = world.now;
  world.run(5s - 1ns);
  EXPECT_EQ(world.count(MessageType::Initiation), 1U);
  world.run(5s);
  world.run(1s);
  EXPECT_EQ(world.b.received, std::vector<std::string>{"third time lucky"});
  EXPECT_EQ(world.count(MessageType::Initiation), 3U);
  EXPECT_LE(world.now - start, 11s);
}

TEST(Handshakes, WhatWaitsDoesNotDependOnAHandshakeTheOtherSideBegan) {
  Two world;
  world.hook = [](Travelled& one) { return one.type() != MessageType::Response; };
  world.b.node.initiate(world.a.key(), world.now, world.wall);
  world.settle();
  ASSERT_EQ(world.a.node.counters().handshakes_answered, 1U);
  world.pass(1s);
  world.a.send(world.b, "waiting");
  world.settle();
  EXPECT_EQ(world.a.node.counters().handshakes_initiated, 0U);  // one was just answered
  // b forgets that it ever began, as after a crash.
  world.b.node.set_private_key({}, world.now);
  world.pass(4s + 400ms);
  world.a.node.handle_timeout(world.now, world.wall);
  world.settle();
  EXPECT_EQ(world.a.node.counters().handshakes_initiated, 1U);
}

TEST(Handshakes, ASilentPeerIsGivenUpAfterNinetySeconds) {
  Two world;
  world.hook = [](Travelled&) { return false; };
  for (int i = 0; i < 200; ++i) world.a.send(world.b, std::to_string(i));
  world.settle();
  EXPECT_EQ(world.a.drops(Drop::QueueFull), 200U - wg::kStagedPackets);
  EXPECT_EQ(world.a.pool.in_use(), wg::kStagedPackets);
  world.run(89s);
  EXPECT_EQ(world.a.count_events(Event::Kind::HandshakeGivenUp), 0U);
  const std::size_t tries = world.count(MessageType::Initiation);
  EXPECT_GE(tries, 16U);
  EXPECT_LE(tries, 18U);
  world.run(10s);
  EXPECT_EQ(world.a.count_events(Event::Kind::HandshakeGivenUp), 1U);
  EXPECT_EQ(world.a.pool.in_use(), 0U);
  const std::size_t given_up_at = world.log.size();
  world.run(600s);
  EXPECT_EQ(world.log.size(), given_up_at);
  EXPECT_FALSE(world.a.node.poll_timeout());
  // A new packet begins anew.
  world.hook = [](Travelled&) { return true; };
  world.a.send(world.b, "again");
  world.settle();
  EXPECT_EQ(world.b.received, std::vector<std::string>{"again"});
}

TEST(Handshakes, TheOldestStagedPacketGoesFirst) {
  Two world;
  world.hook = [](Travelled& one) { return one.type() != MessageType::Initiation; };
  for (std::size_t i = 0; i < wg::kStagedPackets + 2; ++i) {
    world.a.send(world.b, std::to_string(i));
  }
  world.settle();
  world.hook = [](Travelled&) { return true; };
  world.run(6s);
  ASSERT_EQ(world.b.received.size(), wg::kStagedPackets);
  EXPECT_EQ(world.b.received.front(), "2");
  EXPECT_EQ(world.b.received.back(), std::to_string(wg::kStagedPackets + 1));
}

TEST(Handshakes, PacketsForManySilentPeersLeaveRoomForTheOthers) {
  Two world;
  world.a.send(world.b, "start");
  world.settle();
  // As many packets for silent peers as the pool has slots, and more.
  const std::size_t silent = world.a.pool.limit() / wg::kStagedPackets + 8;
  for (std::size_t i = 0; i < silent; ++i) {
    Host& host = world.add("10.1.0." + std::to_string(i), "192.0.2.3:" + std::to_string(1000 + i));
    world.know(world.a, host);
    for (std::size_t j = 0; j < wg::kStagedPackets; ++j) world.a.send(host, "to nobody");
  }
  world.hook = [&](Travelled& one) {
    return one.to.address != world.hosts.back()->endpoint.address;
  };
  world.settle();
  EXPECT_LE(world.a.pool.in_use(), world.a.pool.limit() / 4);
  EXPECT_GT(world.a.drops(Drop::QueueFull), 0U);
  // Every one of them was called all the same.
  EXPECT_EQ(world.a.node.counters().handshakes_initiated, silent + 1);
  world.a.send(world.b, "to b");
  world.b.send(world.a, "to a");
  world.settle();
  EXPECT_EQ(world.b.received.back(), "to b");
  EXPECT_EQ(world.a.received.back(), "to a");
  // Given up, removed or sent: what waited is no longer counted.
  world.a.node.remove_all_peers();
  EXPECT_EQ(world.a.pool.in_use(), 0U);
  world.know(world.a, world.b);
  world.pass(6s);
  world.hook = [](Travelled& one) { return one.type() != MessageType::Initiation; };
  for (std::size_t i = 0; i < 200; ++i) world.a.send(world.b, "x");
  world.settle();
  EXPECT_EQ(world.a.pool.in_use(), wg::kStagedPackets);
}

TEST(Handshakes, NothingWaitsForAPeerWhoseKeyCanNeverAgree) {
  Two world;
  const base::IpAddress there = *base::IpAddress::parse("10.0.0.9");
  PeerUpdate update{.public_key = {}, .endpoint = base::Endpoint::parse("192.0.2.9:1")};
  update.allowed_ips.push_back({.prefix = base::Prefix::host(there)});
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  for (int i = 0; i < 3; ++i) world.a.outbox.push_back(ip_packet(world.a.inner, there, "x"));
  world.settle();
  EXPECT_TRUE(world.log.empty());
  EXPECT_EQ(world.a.pool.in_use(), 0U);
}

TEST(Handshakes, TimestampsGoOnAfterARestartWithItsHints) {
  Two world;
  world.a.send(world.b, "first life");
  world.settle();
  const PeerHints hints = *world.a.node.hints(world.b.key());
  EXPECT_EQ(hints.last_activity, world.now);
  EXPECT_EQ(hints.endpoint, world.b.endpoint);

  for (const bool with_hints : {false, true}) {
    Host& reborn = world.add("10.0.0.1", with_hints ? "192.0.2.31:1" : "192.0.2.30:1");
    reborn.node.set_private_key(world.a.node.private_key().clone(), world.now);
    world.know(reborn, world.b);
    if (with_hints) reborn.node.restore_hints(world.b.key(), hints);
    world.pass(1s);
    world.wall = {world.wall.ns - 3'600'000'000'000};  // and the clock was set back
    reborn.node.initiate(world.b.key(), world.now, world.wall);
    world.settle();
    EXPECT_EQ(reborn.count_events(Event::Kind::HandshakeCompleted), with_hints ? 1U : 0U);
  }
}

TEST(Handshakes, AResponderKeepsItsLastAcceptedTimestampThroughHints) {
  Two world;
  world.a.send(world.b, "x");
  world.settle();
  const Travelled initiation = world.log.front();
  const PeerHints hints = *world.b.node.hints(world.a.key());
  Host& reborn = world.add("10.0.0.2", "192.0.2.99:1");
  reborn.node.set_private_key(world.b.node.private_key().clone(), world.now);
  world.know(reborn, world.a);
  reborn.node.restore_hints(world.a.key(), hints);
  world.deliver(reborn, initiation);
  EXPECT_EQ(reborn.drops(Drop::BadHandshake), 1U);
  EXPECT_EQ(reborn.node.counters().handshakes_answered, 0U);
}

TEST(Handshakes, InitiateDoesNothingWhereThereIsASession) {
  Two world;
  world.a.node.initiate(world.b.key(), world.now, world.wall);
  world.settle();
  EXPECT_EQ(world.a.count_events(Event::Kind::HandshakeCompleted), 1U);
  world.pass(20s);
  world.a.node.initiate(world.b.key(), world.now, world.wall);
  world.settle();
  EXPECT_EQ(world.count(MessageType::Initiation), 1U);
}

TEST(Handshakes, TrafficClassOfHandshakeMessagesIsAf41) {
  Two world;
  world.a.send(world.b, "x");
  world.settle();
  for (const Travelled& one : world.log) {
    EXPECT_EQ(one.traffic_class, one.type() == MessageType::Transport ? 0 : 0x88);
  }
}

}  // namespace
}  // namespace warren::node
