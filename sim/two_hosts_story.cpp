// Stories of two hosts: handshakes, loss, clocks, restarts, roaming.
#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::sim {
namespace {

using namespace std::chrono_literals;
using Kind = node::Event::Kind;

class TwoHosts : public testing::Test {
 protected:
  TwoHosts() : world(World::seed_from_environment(1)) {
    a = world.add_host("10.0.0.1", "192.0.2.1:51820");
    b = world.add_host("10.0.0.2", "192.0.2.2:51820");
  }
  /// Sends and waits: did the packet come out at the other end within the time?
  bool passes(HostId from, HostId to, base::Duration within = 2s) {
    const std::uint64_t payload = ++last_payload;
    world.send(from, to, payload);
    return world.run_until([&] { return world.arrived(to, payload); }, within);
  }

  World world;
  HostId a, b;
  std::uint64_t last_payload = 0;
};

TEST_F(TwoHosts, the_first_packet_waits_for_the_handshake_and_arrives) {
  world.connect(a, b);
  world.send(a, b, 7);
  world.run_for(45ms);  // two messages of handshake and the data: three times 10 ms
  ASSERT_TRUE(world.arrived(b, 7));
  EXPECT_EQ(world.arrivals(b)[0].source.to_string(), "10.0.0.1");
  EXPECT_TRUE(passes(b, a)) << "the responder has learned where the initiator is";
}

TEST_F(TwoHosts, preshared_keys_must_agree) {
  world.connect(a, b);
  world.set_preshared_key(a, b, 1, 2);
  EXPECT_FALSE(passes(a, b, 30s));
  world.set_preshared_key(a, b, 3, 3);
  EXPECT_TRUE(passes(a, b, 30s));
}

TEST_F(TwoHosts, both_sides_initiate_at_once) {
  world.connect(a, b, true);
  world.send(a, b, 1001);
  world.send(b, a, 1002);
  world.run_for(12s);
  EXPECT_TRUE(world.arrived(b, 1001));
  EXPECT_TRUE(world.arrived(a, 1002));
  EXPECT_TRUE(passes(a, b));
  EXPECT_TRUE(passes(b, a));
}

TEST_F(TwoHosts, a_rekey_every_two_minutes_loses_nothing) {
  world.connect(a, b);
  std::uint64_t payload = 0;
  for (int second = 0; second < 1000; ++second) {
    world.send(a, b, ++payload);
    world.send(b, a, ++payload);
    world.run_for(1s);
  }
  // b cannot send before a's first packet told it where a is.
  EXPECT_GE(world.arrivals(b).size() + world.arrivals(a).size(), 1999U);
  EXPECT_GE(world.events(a, Kind::HandshakeCompleted), 7U);
  EXPECT_LE(world.events(a, Kind::HandshakeCompleted), 10U);
}

TEST_F(TwoHosts, an_idle_tunnel_is_silent) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.run_for(60s);
  const auto sent = world.datagrams_sent(a) + world.datagrams_sent(b);
  world.run_for(24h * 365);
  EXPECT_LE(world.datagrams_sent(a) + world.datagrams_sent(b), sent + 1);
  EXPECT_TRUE(passes(a, b)) << "after a year it shakes hands again";
}

TEST_F(TwoHosts, persistent_keepalive_keeps_its_beat) {
  world.connect(a, b);
  world.set_keepalive(a, b, 25);
  ASSERT_TRUE(passes(a, b));
  world.run_for(10s);
  const auto before = world.datagrams_sent(a);
  world.run_for(1000s);
  const auto sent = world.datagrams_sent(a) - before;
  EXPECT_GE(sent, 1000U / 25);
  EXPECT_LE(sent, 1000U / 25 + 2 * 1000U / 120 + 2) << "beats and a rekey every two minutes";
}

TEST_F(TwoHosts, no_answer_is_given_up_after_ninety_seconds) {
  world.connect(a, b);
  world.unplug(b, true);
  EXPECT_FALSE(passes(a, b, 89s));
  EXPECT_EQ(world.events(a, Kind::HandshakeGivenUp), 0U);
  world.run_for(20s);
  EXPECT_EQ(world.events(a, Kind::HandshakeGivenUp), 1U);
  const auto sent = world.datagrams_sent(a);
  EXPECT_GE(sent, 17U) << "one try in five seconds, jittered";
  EXPECT_LE(sent, 20U);
  world.run_for(600s);
  EXPECT_EQ(world.datagrams_sent(a), sent) << "silent until there is something to send";
  world.unplug(b, false);
  EXPECT_TRUE(passes(a, b));
}

TEST_F(TwoHosts, a_restarted_responder_is_found_again) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.restart(b, true);
  std::uint64_t lost = 0;
  bool back = false;
  for (int second = 0; second < 40 && !back; ++second) {
    back = passes(a, b, 1s);
    lost += back ? 0 : 1;
  }
  EXPECT_TRUE(back);
  EXPECT_LE(lost, 17U) << "15 s without an answer start a new handshake";
}

TEST_F(TwoHosts, a_restarted_initiator_never_repeats_a_timestamp) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  // The wall clock falls back by an hour: only the hint keeps the next timestamp larger.
  world.shift_wall_clock(a, -1h);
  world.restart(a, true);
  EXPECT_TRUE(passes(a, b));
}

TEST_F(TwoHosts, a_clock_that_falls_back_does_not_lock_a_running_host_out) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.shift_wall_clock(a, -48h);
  world.run_for(10min);
  EXPECT_TRUE(passes(a, b));
  world.shift_wall_clock(a, 96h);
  world.run_for(10min);
  EXPECT_TRUE(passes(a, b));
}

TEST_F(TwoHosts, a_host_that_roams_is_followed) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.move_host(a, "198.51.100.9:40000");
  ASSERT_TRUE(passes(a, b)) << "the session goes on from the new address";
  EXPECT_TRUE(passes(b, a)) << "and answers go there";
  EXPECT_EQ(world.events(b, Kind::EndpointChanged), 1U);
}

TEST_F(TwoHosts, a_nat_box_that_rebinds_does_not_cut_the_tunnel) {
  world.put_behind_nat(a, "203.0.113.1");
  world.connect(a, b);
  world.set_keepalive(a, b, 25);
  ASSERT_TRUE(passes(a, b));
  world.put_behind_nat(a, "203.0.113.1");
  EXPECT_FALSE(passes(b, a, 1s)) << "the old mapping is gone";
  world.run_for(26s);
  EXPECT_TRUE(passes(b, a)) << "the keepalive has made a new one";
}

TEST_F(TwoHosts, a_removed_peer_is_out_at_once) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.remove_peer(b, a);
  EXPECT_FALSE(passes(a, b, 30s));
  EXPECT_EQ(world.node(b).peer_count(), 0U);
}

TEST_F(TwoHosts, a_replayed_recording_changes_nothing) {
  world.connect(a, b);
  world.record_datagrams(true);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(passes(a, b));
  world.record_datagrams(false);
  const auto before = world.arrivals(b).size();
  const auto recorded = world.recorded();
  for (const auto& datagram : recorded) {
    if (datagram.from == a) world.inject(b, "203.0.113.66:6666", datagram.bytes);
  }
  world.run_for(1s);
  EXPECT_EQ(world.arrivals(b).size(), before);
  EXPECT_TRUE(passes(b, a)) << "and the recorder's address was not believed";
}

TEST_F(TwoHosts, congestion_marks_come_through) {
  world.connect(a, b);
  ASSERT_TRUE(passes(a, b));
  world.send(a, b, 5001, 0x02);  // ECT(0)
  world.run_for(1s);
  ASSERT_TRUE(world.arrived(b, 5001));
  EXPECT_EQ(world.arrivals(b).back().traffic_class, 0x02);
}

class Weather : public testing::TestWithParam<std::tuple<unsigned, unsigned, int>> {};

TEST_P(Weather, traffic_resumes_whatever_the_network_does) {
  const auto [loss, duplicates, jitter_ms] = GetParam();
  const std::uint64_t seed = World::seed_from_environment(loss * 1000 + duplicates + 7);
  SCOPED_TRACE("WARREN_SIM_SEED=" + std::to_string(seed));
  World world(seed);
  const HostId a = world.add_host("10.0.0.1", "192.0.2.1:51820");
  const HostId b = world.add_host("10.0.0.2", "192.0.2.2:51820");
  world.connect(a, b, true);
  world.conditions = {loss, duplicates, 20ms, std::chrono::milliseconds(jitter_ms)};
  for (std::uint64_t i = 1; i <= 6000; ++i) {
    world.send(a, b, 2 * i);
    world.send(b, a, 2 * i + 1);
    world.run_for(100ms);
  }
  const auto received = world.arrivals(a).size() + world.arrivals(b).size();
  EXPECT_LE(received, 12000U) << "a duplicate is never delivered";
  EXPECT_GE(received, 12000U * (100 - loss) / 100 * 95 / 100);
}

INSTANTIATE_TEST_SUITE_P(Networks, Weather,
                         testing::Values(std::tuple(0U, 0U, 0), std::tuple(20U, 0U, 0),
                                         std::tuple(0U, 30U, 0), std::tuple(0U, 0U, 500),
                                         std::tuple(30U, 30U, 300), std::tuple(50U, 10U, 50)));

}  // namespace
}  // namespace warren::sim
