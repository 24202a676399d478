// Packets through sessions: what comes out, what is refused, what is counted.
#include <gtest/gtest.h>

#include "node/node_test_support.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

struct Pair : World {
  explicit Pair(Node::Options options = {}, std::string_view inner_a = "10.0.0.1",
                std::string_view inner_b = "10.0.0.2")
      : World(options), a(add(inner_a, "192.0.2.1:51820")), b(add(inner_b, "[2001:db8::2]:51820")) {
    connect(a, b);
    a.send(b, "warm up");
    settle();
    b.send(a, "warm up");
    settle();
    a.received.clear();
    b.received.clear();
    b.received_packets.clear();
    log.clear();
  }
  Host& a;
  Host& b;
};

TEST(Data, AnIpv6PacketTravelsToo) {
  Pair world({}, "fd00::1", "fd00::2");
  world.a.send(world.b, "six");
  world.settle();
  EXPECT_EQ(world.b.received, std::vector<std::string>{"six"});
}

TEST(Data, EveryPacketLengthComesOutAsItWentIn) {
  Pair world;
  for (std::size_t size = 0; size < 1500; size += 7) {
    world.a.send(world.b, std::string(size, 'x'));
    world.settle();
    ASSERT_EQ(world.b.received.back().size(), size);
    const std::size_t inner = size + 20;
    const std::size_t outer = world.log.back().bytes.size() - wg::kTransportOverhead;
    ASSERT_GE(outer, inner);
    ASSERT_TRUE(outer % 16 == 0 || outer == 1420 || inner > 1420) << outer;
    ASSERT_LT(outer - inner, 16U);
  }
}

TEST(Data, BytesAreCountedAsOnTheOuterWire) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:1");
  Host& b = world.add("10.0.0.2", "192.0.2.2:1");
  world.connect(a, b);
  a.send(b, "counted");
  world.settle();
  const std::uint64_t sent = wg::kInitiationSize + 32 + 32;  // 27 bytes, padded to 32
  EXPECT_EQ(a.status_of(b.key()).tx_bytes, sent);
  EXPECT_EQ(a.status_of(b.key()).rx_bytes, wg::kResponseSize);
  EXPECT_EQ(b.status_of(a.key()).rx_bytes, sent);
  EXPECT_EQ(b.status_of(a.key()).tx_bytes, wg::kResponseSize);
}

TEST(Data, ASourceThatIsNotThePeersIsDropped) {
  Pair world;
  const base::IpAddress other = *base::IpAddress::parse("10.0.0.77");
  world.a.outbox.push_back(ip_packet(other, world.b.inner, "spoofed"));
  world.settle();
  EXPECT_TRUE(world.b.received.empty());
  EXPECT_EQ(world.b.drops(Drop::BadSource), 1U);
}

TEST(Data, WhatIsNotIpOrHasNoRouteIsDropped) {
  Pair world;
  world.a.outbox.push_back({});
  world.a.outbox.push_back({0x45, 0, 0});
  world.a.outbox.push_back(std::vector<std::uint8_t>(60, 0x30));
  auto lying = ip_packet(world.a.inner, world.b.inner, "short");
  lying[3] = 200;  // a total length beyond the packet
  world.a.outbox.push_back(lying);
  world.a.outbox.push_back(ip_packet(world.a.inner, *base::IpAddress::parse("10.9.9.9"), "where"));
  world.settle();
  EXPECT_EQ(world.a.drops(Drop::Malformed), 4U);
  EXPECT_EQ(world.a.drops(Drop::NoRoute), 1U);
  EXPECT_TRUE(world.log.empty());
}

TEST(Data, APeerWithoutEndpointIsSaid) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:1");
  Host& b = world.add("10.0.0.2", "192.0.2.2:1");
  PeerUpdate update{.public_key = b.key()};
  update.allowed_ips.push_back({.prefix = base::Prefix::host(b.inner)});
  ASSERT_TRUE(a.node.update_peer(update, world.now));
  a.send(b, "x");
  world.settle();
  EXPECT_EQ(a.drops(Drop::NoEndpoint), 1U);
  // It is learned from b's handshake.
  world.know(b, a);
  b.send(a, "here I am");
  world.settle();
  EXPECT_EQ(a.received, std::vector<std::string>{"here I am"});
  EXPECT_EQ(a.status_of(b.key()).endpoint, b.endpoint);
  EXPECT_EQ(a.count_events(Event::Kind::EndpointChanged), 0U);
}

TEST(Data, ReplayedAndDamagedMessagesAreDropped) {
  Pair world;
  world.a.send(world.b, "once");
  world.settle();
  Travelled message = world.log.front();
  world.deliver(world.b, message);
  EXPECT_EQ(world.b.drops(Drop::Replayed), 1U);
  message.bytes[8] = 99;  // another counter: the tag does not fit
  world.deliver(world.b, message);
  EXPECT_EQ(world.b.drops(Drop::BadTag), 1U);
  message.bytes[4] ^= 1;
  world.deliver(world.b, message);
  EXPECT_EQ(world.b.drops(Drop::UnknownIndex), 1U);
  EXPECT_EQ(world.b.received.size(), 1U);
}

TEST(Data, OnlyAuthenticatedMessagesMoveTheEndpoint) {
  Pair world;
  world.hook = [](Travelled&) { return false; };
  world.a.send(world.b, "moving");
  world.settle();
  Travelled message = world.log.front();
  const base::Endpoint new_place = *base::Endpoint::parse("[fe80::5%7]:999");
  message.from = new_place;
  Travelled damaged = message;
  damaged.bytes.back() ^= 1;
  world.deliver(world.b, damaged);
  EXPECT_EQ(world.b.status_of(world.a.key()).endpoint, world.a.endpoint);
  world.deliver(world.b, message);
  EXPECT_EQ(world.b.status_of(world.a.key()).endpoint, new_place);
  world.settle();
  EXPECT_EQ(world.b.count_events(Event::Kind::EndpointChanged), 1U);
  message.from = *base::Endpoint::parse("198.51.100.1:1");
  world.deliver(world.b, message);  // a replay does not move it
  EXPECT_EQ(world.b.status_of(world.a.key()).endpoint, new_place);
  world.log.clear();
  world.b.send(world.a, "follow");
  world.settle();
  EXPECT_EQ(world.log.front().to, new_place);
}

struct EcnCase {
  std::uint8_t inner;
  std::uint8_t outer;
  int result;  ///< -1: dropped
};

TEST(Data, EcnFollowsRfc6040) {
  constexpr EcnCase kCases[] = {{0, 0, 0}, {0, 1, 0}, {0, 2, 0}, {0, 3, -1}, {1, 0, 1}, {1, 1, 1},
                                {1, 2, 1}, {1, 3, 3}, {2, 0, 2}, {2, 1, 1},  {2, 2, 2}, {2, 3, 3},
                                {3, 0, 3}, {3, 1, 3}, {3, 2, 3}, {3, 3, 3}};
  for (const std::string_view net : {"10.0.0.", "fd00::"}) {
    Pair world({}, std::string(net) + "1", std::string(net) + "2");
    for (const EcnCase& one : kCases) {
      const auto dscp = std::uint8_t{0xb8};
      world.hook = [&](Travelled& sent) {
        EXPECT_EQ(sent.traffic_class, one.inner);  // ECN copied, DSCP zero
        sent.traffic_class = static_cast<std::uint8_t>(0x28 | one.outer);
        return true;
      };
      world.b.received_packets.clear();
      world.a.outbox.push_back(ip_packet(world.a.inner, world.b.inner, "ecn",
                                         static_cast<std::uint8_t>(dscp | one.inner)));
      world.settle();
      if (one.result < 0) {
        EXPECT_TRUE(world.b.received_packets.empty());
        continue;
      }
      ASSERT_EQ(world.b.received_packets.size(), 1U);
      EXPECT_EQ(world.b.received_packets[0],
                ip_packet(world.a.inner, world.b.inner, "ecn",
                          static_cast<std::uint8_t>(dscp | one.result)))
          << int{one.inner} << " " << int{one.outer};
    }
    EXPECT_EQ(world.b.drops(Drop::Congestion), 1U);
  }
}

TEST(Data, AUsedUpSessionIsRenewedAndThenRefused) {
  Node::Options options;
  options.timing.rekey_after_messages = 20;
  options.timing.reject_after_messages = 30;
  Pair world(options);
  world.pass(10s);  // beyond the pause between two handshakes
  world.hook = [](Travelled& one) { return one.type() != MessageType::Initiation; };
  for (int i = 0; i < 40; ++i) {
    world.a.send(world.b, std::to_string(i));
    world.settle();
  }
  EXPECT_LT(world.b.received.size(), 30U);
  EXPECT_GE(world.b.received.size(), 28U);
  world.hook = [](Travelled&) { return true; };
  world.run(6s);
  EXPECT_EQ(world.b.received.size(), 40U);  // the rest waited for the new session
  EXPECT_EQ(world.a.drops(), 0U);
}

TEST(Data, NothingIsLeftInThePoolAfterwards) {
  Pair world;
  for (int i = 0; i < 300; ++i) world.a.send(world.b, "x");
  world.settle();
  EXPECT_EQ(world.b.received.size(), 300U);
  EXPECT_EQ(world.a.pool.in_use(), 0U);
  EXPECT_EQ(world.b.pool.in_use(), 0U);
}

TEST(Data, AnExhaustedPoolDropsAndRecovers) {
  World world;
  Host& a = world.add("10.0.0.1", "192.0.2.1:1");
  Host& b = world.add("10.0.0.2", "192.0.2.2:1");
  world.connect(a, b);
  std::vector<wire::Packet> hoard;
  while (wire::Packet packet = a.pool.take(1)) hoard.push_back(std::move(packet));
  hoard.pop_back();
  a.send(b, "stuck");
  world.settle();
  EXPECT_EQ(a.drops(Drop::NoBuffer), 1U);
  hoard.clear();
  world.run(6s);
  EXPECT_EQ(b.received, std::vector<std::string>{"stuck"});
}

}  // namespace
}  // namespace warren::node
