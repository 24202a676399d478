// Stories of hosts that sleep for hours: a laptop that is closed, a virtual machine that is paused.
#include <gtest/gtest.h>

#include "sim/world.hpp"

namespace warren::sim {
namespace {

using namespace std::chrono_literals;

std::uint64_t dropped(World& world, HostId host, node::Drop reason) {
  return world.node(host).counters().drops[static_cast<std::size_t>(reason)];
}
std::uint64_t initiated(World& world, HostId host) {
  return world.node(host).counters().handshakes_initiated;
}

/// A laptop behind a NAT and a gateway, which have just talked.
struct Laptop {
  Laptop() {
    world.put_behind_nat(laptop, "198.51.100.1");
    world.connect(laptop, gateway);
    world.send(laptop, gateway, 1);
    world.run_for(1s);
    world.send(gateway, laptop, 2);
    world.run_for(1s);
  }
  void sleep(base::Duration time) {
    world.suspend(laptop);
    world.run_for(time);
    world.put_behind_nat(laptop, "198.51.100.1");  // the box has forgotten
    world.wake(laptop);
  }

  World world{World::seed_from_environment(21)};
  HostId laptop = world.add_host("10.0.0.2", "192.168.1.2:51820");
  HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
};

TEST(Suspend, a_laptop_that_slept_for_hours_is_reachable_at_once) {
  Laptop story;
  story.sleep(9h);
  story.world.run_for(500ms);
  // Nobody has sent anything since it woke up: its engine has called.
  story.world.send(story.gateway, story.laptop, 3);
  story.world.run_for(500ms);
  EXPECT_TRUE(story.world.arrived(story.laptop, 3));
  story.world.send(story.laptop, story.gateway, 4);
  story.world.run_for(500ms);
  EXPECT_TRUE(story.world.arrived(story.gateway, 4));
}

TEST(Suspend, a_short_sleep_costs_a_keepalive_and_no_handshake) {
  Laptop story;
  const std::uint64_t before = initiated(story.world, story.laptop);
  story.sleep(8s);
  story.world.run_for(500ms);
  EXPECT_EQ(initiated(story.world, story.laptop), before);
  story.world.send(story.gateway, story.laptop, 3);
  story.world.run_for(500ms);
  EXPECT_TRUE(story.world.arrived(story.laptop, 3));
}

TEST(Suspend, nothing_of_a_session_from_before_a_long_sleep_is_accepted) {
  Laptop story;
  story.world.record_datagrams(true);
  story.world.unplug(story.laptop, true);  // on the way when the lid is closed
  story.world.send(story.gateway, story.laptop, 66);
  story.world.unplug(story.laptop, false);
  const std::vector<std::uint8_t> late = story.world.recorded().back().bytes;
  story.world.record_datagrams(false);
  story.world.suspend(story.laptop);
  story.world.run_for(4min);
  const std::uint64_t before = dropped(story.world, story.laptop, node::Drop::SessionExpired);
  story.world.wake(story.laptop);
  story.world.inject(story.laptop, "192.0.2.1:51820", late);
  story.world.run_for(5ms);
  EXPECT_EQ(dropped(story.world, story.laptop, node::Drop::SessionExpired), before + 1);
  EXPECT_FALSE(story.world.arrived(story.laptop, 66));
  story.world.run_for(1s);
  story.world.send(story.gateway, story.laptop, 67);
  story.world.run_for(1s);
  EXPECT_TRUE(story.world.arrived(story.laptop, 67));
}

/// A gateway with a thousand members, of which a hundred talk when it is paused for a night.
TEST(Suspend, a_gateway_calls_those_who_were_talking_once_and_nobody_else) {
  constexpr std::size_t kMembers = 1000;
  constexpr std::size_t kTalking = 100;
  World world(World::seed_from_environment(22));
  const HostId gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
  std::vector<HostId> members;
  for (std::size_t i = 0; i < kMembers; ++i) {
    const std::string tail = std::to_string(i / 250) + "." + std::to_string(1 + i % 250);
    members.push_back(world.add_host("10.64." + tail, "100.64." + tail + ":51820"));
    world.connect(members.back(), gateway);
    world.send(members.back(), gateway, 1);
  }
  world.run_for(10min);
  for (std::size_t i = 0; i < kTalking; ++i) world.send(members[i], gateway, 2);
  world.run_for(10s);
  ASSERT_EQ(world.arrivals(gateway).size(), kMembers + kTalking);
  for (const HostId member : members) world.suspend(member);  // the whole site
  world.suspend(gateway);
  world.run_for(8h);
  const std::uint64_t calls = initiated(world, gateway);
  const std::uint64_t sent = world.datagrams_sent(gateway);
  for (const HostId member : members) world.wake(member);
  world.wake(gateway);
  world.run_for(2s);
  EXPECT_LE(initiated(world, gateway) - calls, kTalking);
  EXPECT_LE(world.datagrams_sent(gateway) - sent, 4 * kTalking) << "no storm of our making";
  for (std::size_t i = 0; i < kTalking; ++i) world.send(gateway, members[i], 3);
  world.run_for(1s);
  EXPECT_EQ(world.count_arrived(members, 3), kTalking);
}

/// The clock jumps at every step of a handshake, on either side, forwards by hours.
TEST(Suspend, a_sleep_in_the_middle_of_anything_ends_well) {
  for (int step = 0; step < 30; ++step) {
    for (const bool gateway_sleeps : {false, true}) {
      Laptop story;
      World& world = story.world;
      world.run_for(130s);
      world.send(story.laptop, story.gateway, 5);  // and a renewal of the session
      world.run_for(step * 3ms);
      const HostId sleeper = gateway_sleeps ? story.gateway : story.laptop;
      world.suspend(sleeper);
      world.run_for(3h + step * 1s);
      world.wake(sleeper);
      world.run_for(1s);
      world.send(story.laptop, story.gateway, 6);
      world.run_for(6s);
      EXPECT_TRUE(world.arrived(story.gateway, 6)) << "step " << step << " " << gateway_sleeps;
    }
  }
}

}  // namespace
}  // namespace warren::sim
