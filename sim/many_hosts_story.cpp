// Stories of a gateway with many members, of crashes at every step, and of attackers.
#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::sim {
namespace {

using namespace std::chrono_literals;
using Kind = node::Event::Kind;

std::string inner_address(std::size_t index) {
  return "10." + std::to_string(64 + index / 65536) + "." + std::to_string(index / 256 % 256) +
         "." + std::to_string(index % 256);
}
std::string outer_endpoint(std::size_t index) {
  return "100." + std::to_string(64 + index / 65536) + "." + std::to_string(index / 256 % 256) +
         "." + std::to_string(index % 256) + ":51820";
}

TEST(ManyHosts, ten_thousand_members_knock_and_all_get_in) {
  constexpr std::size_t kMembers = 10'000;
  World world(World::seed_from_environment(3));
  const HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
  std::vector<HostId> members;
  for (std::size_t i = 0; i < kMembers; ++i) {
    members.push_back(world.add_host(inner_address(i), outer_endpoint(i)));
    world.connect(members.back(), gateway);
  }
  ASSERT_EQ(world.node(gateway).peer_count(), kMembers);
  for (std::size_t i = 0; i < kMembers; ++i) {
    world.send(members[i], gateway, i + 1);
    if (i % 500 == 499) world.run_for(250ms);  // 2,000 newcomers a second
  }
  world.run_for(60s);
  EXPECT_EQ(world.arrivals(gateway).size(), kMembers);

  // Two hours later half of them are still talking; nobody else costs anything.
  const auto before = world.arrivals(gateway).size();
  for (int minute = 0; minute < 6; ++minute) {
    for (std::size_t i = 0; i < kMembers; i += 20) world.send(members[i], gateway, 1);
    world.run_for(20min);
  }
  EXPECT_EQ(world.arrivals(gateway).size(), before + 6 * kMembers / 20);
}

TEST(ManyHosts, a_gateway_that_restarts_gets_everyone_back) {
  constexpr std::size_t kMembers = 500;
  World world(World::seed_from_environment(4));
  const HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
  std::vector<HostId> members;
  for (std::size_t i = 0; i < kMembers; ++i) {
    members.push_back(world.add_host(inner_address(i), outer_endpoint(i)));
    world.connect(members.back(), gateway);
    world.send(members.back(), gateway, i + 1);
    world.run_for(5ms);
  }
  world.run_for(5s);
  ASSERT_EQ(world.arrivals(gateway).size(), kMembers);
  world.restart(gateway, true);
  // With the hints it can call them itself: no member has to notice first.
  for (const HostId member : members) {
    world.node(gateway).initiate(world.key(member), world.now(),
                                 base::WallTime{1'700'000'000'000'000'000 + world.now().ns});
  }
  world.send(gateway, members[0], 1);  // drains the initiations too
  world.run_for(2s);
  for (const HostId member : members) world.send(gateway, member, 77);
  world.run_for(1s);
  EXPECT_EQ(world.count_arrived(members, 77), kMembers);
}

/// A crash of either side after every single datagram of a conversation: it always recovers, and
/// the world checks that no counter of a session is ever used twice.
TEST(ManyHosts, a_crash_at_every_step_recovers) {
  for (int step = 0; step < 40; ++step) {
    for (const bool keep_hints : {true, false}) {
      World world(World::seed_from_environment(100 + static_cast<std::uint64_t>(step)));
      const HostId a = world.add_host("10.0.0.1", "192.0.2.1:51820");
      const HostId b = world.add_host("10.0.0.2", "192.0.2.2:51820");
      world.connect(a, b, true);
      for (std::uint64_t i = 0; i < 10; ++i) {
        world.send(a, b, i);
        world.send(b, a, i);
      }
      world.run_for(std::chrono::milliseconds(step));
      world.restart(step % 2 == 0 ? a : b, keep_hints);
      bool back = false;
      for (std::uint64_t second = 1; second < 60 && !back; ++second) {
        world.send(a, b, 1000 + second);
        world.send(b, a, 2000 + second);
        world.run_for(1s);
        back = world.arrived(b, 1000 + second) && world.arrived(a, 2000 + second);
      }
      EXPECT_TRUE(back) << "step " << step << (keep_hints ? " with" : " without") << " hints";
    }
  }
}

TEST(ManyHosts, three_peers_behind_nat_meet_at_a_gateway) {
  World world(World::seed_from_environment(5));
  const HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
  std::vector<HostId> members;
  for (std::size_t i = 0; i < 3; ++i) {
    members.push_back(world.add_host(inner_address(i), outer_endpoint(i)));
    world.put_behind_nat(members[i], "203.0.113." + std::to_string(i + 1));
    world.connect(members[i], gateway);
    world.set_keepalive(members[i], gateway, 25);
  }
  world.run_for(1h);
  for (const HostId member : members) world.send(gateway, member, 9);
  world.run_for(1s);
  for (const HostId member : members) EXPECT_TRUE(world.arrived(member, 9));
}

TEST(ManyHosts, an_honest_member_gets_in_through_a_flood_of_noise) {
  World world(World::seed_from_environment(6));
  const HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
  const HostId member = world.add_host("10.0.0.2", "192.0.2.2:51820");
  world.connect(member, gateway);
  std::vector<std::uint8_t> noise(148);
  for (int i = 0; i < 20'000; ++i) {
    world.random.fill(noise);
    noise[0] = static_cast<std::uint8_t>(1 + i % 4);
    noise[1] = noise[2] = noise[3] = 0;
    noise.resize(i % 3 == 0 ? 148 : i % 3 == 1 ? 92 : 64, 0);
    world.inject(gateway, "203.0.113.7:1000", noise);
    noise.resize(148);
    if (i % 100 == 0) world.run_for(1ms);
  }
  EXPECT_EQ(world.datagrams_sent(gateway), 0U) << "a stranger without the key gets no answer";
  world.send(member, gateway, 1);
  world.run_for(10s);
  EXPECT_TRUE(world.arrived(gateway, 1));
}

TEST(ManyHosts, under_load_a_cookie_proves_the_address_first) {
  World world(World::seed_from_environment(8));
  const HostId gateway =
      world.add_host("10.0.0.1", "192.0.2.1:51820", {.timing = {}, .under_load_always = true});
  const HostId member = world.add_host("10.0.0.2", "192.0.2.2:51820");
  world.connect(member, gateway);
  world.send(member, gateway, 1);
  world.run_for(4s);
  EXPECT_FALSE(world.arrived(gateway, 1));
  EXPECT_EQ(world.node(gateway).counters().cookies_sent, 1U);
  world.run_for(4s);
  EXPECT_TRUE(world.arrived(gateway, 1)) << "the retry after five seconds carries the cookie";
}

}  // namespace
}  // namespace warren::sim
