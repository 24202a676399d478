// Configuration while packets move: adding, changing, removing peers and keys.
#include <gtest/gtest.h>

#include <algorithm>

#include "node/node_test_support.hpp"

namespace warren::node {
namespace {

using namespace std::chrono_literals;
using wg::MessageType;

struct Three : World {
  explicit Three(Node::Options options = {}) : World(options) {
    connect(a, b);
    connect(a, c);
    for (Host* other : {&b, &c}) {
      a.send(*other, "start");
      settle();
      other->send(a, "start");
      settle();
    }
    log.clear();
  }
  Host& a = add("10.0.0.1", "192.0.2.1:51820");
  Host& b = add("10.0.0.2", "192.0.2.2:51820");
  Host& c = add("10.0.0.3", "192.0.2.3:51820");
};

TEST(Peers, KeysComeInPagesOnceEach) {
  Three world;
  std::vector<base::PublicKey> keys;
  std::size_t pages = 0;
  for (std::optional<std::size_t> next = 0; next; ++pages) {
    next = world.a.node.for_some_keys(*next, 1,
                                      [&](const base::PublicKey& key) { keys.push_back(key); });
  }
  EXPECT_GE(pages, 2U);
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_TRUE(std::ranges::is_permutation(keys, std::vector{world.b.key(), world.c.key()}));
}

TEST(Peers, ARemovedPeerIsGoneAtOnceWithEverythingQueued) {
  Three world;
  std::vector<wire::Packet> batch;
  for (const Host* to : {&world.b, &world.c, &world.b}) {
    batch.push_back(world.a.pool.copy_of(ip_packet(world.a.inner, to->inner, "queued")));
  }
  world.a.node.handle_packets(batch, world.now, world.wall);
  // And a packet of b that is decrypted but not yet read.
  world.hook = [](Travelled&) { return false; };
  world.b.send(world.a, "too late");
  world.settle();  // also drains a's queue: fill it again
  const Travelled from_b = world.log.back();
  world.a.node.handle_packets(batch, world.now, world.wall);
  for (const Host* to : {&world.b, &world.c, &world.b}) {
    wire::Packet packet = world.a.pool.copy_of(ip_packet(world.a.inner, to->inner, "queued"));
    world.a.node.handle_packets({&packet, 1}, world.now, world.wall);
  }
  ASSERT_EQ(from_b.from, world.b.endpoint);
  world.deliver(world.a, from_b);

  ASSERT_TRUE(world.a.node.update_peer({.public_key = world.b.key(), .remove = true}, world.now));
  EXPECT_FALSE(world.a.node.poll_packet());
  const auto only = world.a.node.poll_datagram();
  ASSERT_TRUE(only);
  EXPECT_EQ(only->remote, world.c.endpoint);
  EXPECT_FALSE(world.a.node.poll_datagram());
  EXPECT_EQ(world.a.node.peer_count(), 1U);
  EXPECT_FALSE(world.a.node.hints(world.b.key()));

  world.deliver(world.a, from_b);
  EXPECT_EQ(world.a.drops(Drop::UnknownIndex), 1U);
  world.a.send(world.b, "x");
  world.settle();
  EXPECT_EQ(world.a.drops(Drop::NoRoute), 1U);
}

TEST(Peers, RemovingAllLeavesNothing) {
  Three world;
  world.a.send(world.b, "x");
  wire::Packet packet = world.a.pool.copy_of(ip_packet(world.a.inner, world.c.inner, "y"));
  world.a.node.handle_packets({&packet, 1}, world.now, world.wall);
  world.a.node.remove_all_peers();
  EXPECT_EQ(world.a.node.peer_count(), 0U);
  EXPECT_FALSE(world.a.node.poll_datagram());
  EXPECT_FALSE(world.a.node.poll_timeout());
  EXPECT_EQ(world.a.pool.in_use(), 0U);
}

TEST(Peers, AReusedSlotInheritsNothing) {
  Three world;
  ASSERT_TRUE(world.a.node.update_peer({.public_key = world.b.key(), .remove = true}, world.now));
  Host& d = world.add("10.0.0.2", "192.0.2.4:51820");  // b's address goes to d
  world.connect(world.a, d);
  const PeerStatus status = world.a.status_of(d.key());
  EXPECT_EQ(status.rx_bytes + status.tx_bytes, 0U);
  EXPECT_EQ(status.last_handshake, base::WallTime{});
  EXPECT_EQ(status.allowed_ips.size(), 1U);
  world.b.send(world.a, "I am still here");
  world.a.send(d, "welcome");
  world.settle();
  EXPECT_EQ(d.received, std::vector<std::string>{"welcome"});
  EXPECT_EQ(world.a.received.size(), 2U);  // the two of the start
}

TEST(Peers, UpdatesChangeOnlyWhatTheyName) {
  Three world;
  PeerUpdate update{.public_key = world.b.key(), .persistent_keepalive_s = 7};
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  const PeerStatus status = world.a.status_of(world.b.key());
  EXPECT_EQ(status.persistent_keepalive_s, 7);
  EXPECT_EQ(status.endpoint, world.b.endpoint);
  EXPECT_EQ(status.allowed_ips, std::vector{base::Prefix::host(world.b.inner)});

  base::PublicKey unknown;
  unknown.bytes[0] = 9;
  ASSERT_TRUE(world.a.node.update_peer({.public_key = unknown, .update_only = true}, world.now));
  ASSERT_TRUE(world.a.node.update_peer({.public_key = unknown, .remove = true}, world.now));
  EXPECT_EQ(world.a.node.peer_count(), 2U);
}

TEST(Peers, AllowedIpsMoveAreReplacedAndRemoved) {
  Three world;
  PeerUpdate update{.public_key = world.c.key()};
  update.allowed_ips.push_back({.prefix = base::Prefix::host(world.b.inner)});
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  EXPECT_TRUE(world.a.status_of(world.b.key()).allowed_ips.empty());
  EXPECT_EQ(world.a.status_of(world.c.key()).allowed_ips.size(), 2U);
  update.allowed_ips[0].remove = true;
  ASSERT_TRUE(world.a.node.update_peer(update, world.now));
  EXPECT_EQ(world.a.status_of(world.c.key()).allowed_ips.size(), 1U);
  PeerUpdate replace{.public_key = world.c.key(), .replace_allowed_ips = true};
  replace.allowed_ips.push_back({.prefix = *base::Prefix::parse("fd00::/64")});
  ASSERT_TRUE(world.a.node.update_peer(replace, world.now));
  EXPECT_EQ(world.a.status_of(world.c.key()).allowed_ips,
            std::vector{*base::Prefix::parse("fd00::/64")});
}

TEST(Peers, TheTableHasALimit) {
  World world({.max_peers = 2});
  Host& a = world.add("10.0.0.1", "192.0.2.1:1");
  for (std::uint8_t i = 1; i <= 3; ++i) {
    base::PublicKey key;
    key.bytes[0] = i;
    EXPECT_EQ(a.node.update_peer({.public_key = key}, world.now), i <= 2);
  }
  EXPECT_EQ(a.node.peer_count(), 2U);
}

TEST(Peers, ANewPrivateKeyEndsEverySession) {
  Three world;
  const base::PublicKey old_key = world.a.key();
  world.a.node.set_private_key(crypto::generate_private_key(world.a.random), world.now);
  EXPECT_NE(world.a.key(), old_key);
  world.b.send(world.a, "to the old key");
  world.settle();
  EXPECT_EQ(world.a.drops(Drop::UnknownIndex), 1U);
  world.pass(6s);
  // Known by its new key, it talks again at once.
  world.know(world.b, world.a);
  ASSERT_TRUE(world.b.node.update_peer({.public_key = old_key, .remove = true}, world.now));
  world.a.send(world.b, "new key");
  world.settle();
  EXPECT_EQ(world.b.received.back(), "new key");
}

TEST(Peers, TheSamePrivateKeyAgainDisturbsNothing) {
  Three world;
  world.a.node.set_private_key(world.a.node.private_key().clone(), world.now);
  world.b.send(world.a, "undisturbed");
  world.settle();
  EXPECT_EQ(world.a.received.back(), "undisturbed");
}

TEST(Peers, APeerWithOurOwnKeyIsRemovedOrIgnored) {
  Three world;
  crypto::PrivateKey key = crypto::generate_private_key(world.a.random);
  const base::PublicKey own = crypto::public_key(key);
  ASSERT_TRUE(world.a.node.update_peer({.public_key = own}, world.now));
  EXPECT_EQ(world.a.node.peer_count(), 3U);
  world.a.node.set_private_key(std::move(key), world.now);
  EXPECT_EQ(world.a.node.peer_count(), 2U);
  ASSERT_TRUE(world.a.node.update_peer({.public_key = own}, world.now));
  EXPECT_EQ(world.a.node.peer_count(), 2U);
}

TEST(Peers, WithoutAPrivateKeyNothingIsSaid) {
  Three world;
  world.a.node.set_private_key({}, world.now);
  EXPECT_FALSE(world.a.node.public_key());
  EXPECT_TRUE(world.a.node.private_key().is_zero());
  world.a.send(world.b, "x");
  world.settle();
  EXPECT_TRUE(world.log.empty());
  world.pass(20s);
  world.b.node.handle_timeout(world.now, world.wall);
  world.b.send(world.a, "y");
  world.settle();
  world.run(200s);
  EXPECT_EQ(world.a.node.counters().handshakes_answered, 0U);
}

TEST(Peers, TenThousandOfThemAreServedInVirtualTime) {
  World world;
  Host& hub = world.add("10.255.0.1", "192.0.2.1:51820");
  constexpr std::uint32_t kPeers = 10'000;
  for (std::uint32_t i = 0; i < kPeers; ++i) {
    base::PublicKey key;
    hub.random.fill(key.bytes);
    PeerUpdate update{.public_key = key, .persistent_keepalive_s = 25};
    update.allowed_ips.push_back(
        {.prefix = base::Prefix::host(base::IpAddress::v4(0x0a000000 + i))});
    ASSERT_TRUE(hub.node.update_peer(update, world.now));
  }
  for (int i = 0; i < 3; ++i) {  // nobody has an endpoint: only timers run
    hub.node.handle_timeout(world.now, world.wall);
    ASSERT_TRUE(hub.node.poll_timeout());
    world.pass(*hub.node.poll_timeout() - world.now);
  }
  EXPECT_EQ(hub.node.peer_count(), kPeers);
  EXPECT_FALSE(hub.node.poll_datagram());
}

TEST(Peers, ArbitraryBytesNeverHarm) {
  Three world;
  SeededRandom random(99);
  for (int i = 0; i < 20'000; ++i) {
    Travelled junk{world.b.endpoint, world.a.endpoint, 0, {}};
    junk.bytes.resize(random.below(200));
    random.fill(junk.bytes);
    if (junk.bytes.size() >= 4) {
      const auto type = static_cast<std::uint8_t>(1 + random.below(4));
      std::copy_n(std::array<std::uint8_t, 4>{type, 0, 0, 0}.begin(), 4, junk.bytes.begin());
      if (type == 1) junk.bytes.resize(wg::kInitiationSize);
      if (type == 2) junk.bytes.resize(wg::kResponseSize);
      if (type == 3) junk.bytes.resize(wg::kCookieSize);
    }
    world.deliver(world.a, junk);
  }
  world.settle();
  EXPECT_TRUE(world.log.empty());
  world.b.send(world.a, "still there?");
  world.settle();
  EXPECT_EQ(world.a.received.back(), "still there?");
}

}  // namespace
}  // namespace warren::node
