// The story of a gateway that comes back while everybody knocks. Its processor is given a budget
// of handshakes per millisecond, so that the storm takes the (virtual) time that it would take.
#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "node/limits.hpp"
#include "sim/world.hpp"

namespace warren::sim {
namespace {

using namespace std::chrono_literals;

/// About 60 % of what one core can: a handshake costs its responder some 0.12 ms.
constexpr std::size_t kHandshakesPerMillisecond = 5;
/// Members that have a session already and go on talking through the storm.
constexpr std::size_t kTalkers = 50;

/// WARREN_SIM_STORM=N knocks with another number of members.
std::size_t members_of_the_storm() {
  const char* text = std::getenv("WARREN_SIM_STORM");
  return text == nullptr ? 10'000 : base::parse_number(text, 1, 1'000'000).value_or(10'000);
}

struct Storm {
  Storm() : world(World::seed_from_environment(11)) {
    gateway = world.add_host("10.0.0.1", "192.0.2.1:51820");
    world.limit_handshakes(gateway, kHandshakesPerMillisecond);
  }
  void add_members(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto number = static_cast<std::uint32_t>(members.size());
      members.push_back(
          world.add_host(base::IpAddress::v4(0x0a400000 + number).to_string(),
                         base::IpAddress::v4(0x64400000 + number).to_string() + ":51820"));
      world.connect(members.back(), gateway);
    }
  }
  /// Handshake messages that wait in the gateway: what came in less what became of it.
  [[nodiscard]] std::uint64_t waiting() {
    const node::Counters& counters = world.node(gateway).counters();
    const std::uint64_t dropped =
        std::accumulate(counters.drops.begin(), counters.drops.end(), std::uint64_t{0});
    return world.datagrams_received(gateway) - world.arrivals(gateway).size() -
           counters.handshakes_answered - dropped;
  }
  [[nodiscard]] std::uint64_t dropped(node::Drop reason) {
    return world.node(gateway).counters().drops[static_cast<std::size_t>(reason)];
  }

  World world;
  HostId gateway;
  std::vector<HostId> members;
};

TEST(Storm, everybody_gets_in_and_nobody_who_talks_loses_a_packet) {
  Storm storm;
  World& world = storm.world;
  const std::size_t count = members_of_the_storm();
  storm.add_members(kTalkers + count);
  world.restart(storm.gateway, true);
  for (std::size_t i = 0; i < kTalkers; ++i) world.send(storm.members[i], storm.gateway, 1);
  world.run_for(1s);
  ASSERT_EQ(world.arrivals(storm.gateway).size(), kTalkers);

  std::uint64_t sent = kTalkers;
  std::uint64_t most_waiting = 0;
  std::size_t knocked = 0;
  const auto a_millisecond_passes = [&](std::size_t knocks) {
    for (; knocks != 0 && knocked < count; --knocks, ++knocked) {
      world.send(storm.members[kTalkers + knocked], storm.gateway, 2);
      ++sent;
    }
    world.send(storm.members[sent % kTalkers], storm.gateway, 3);
    ++sent;
    world.run_for(1ms);
    most_waiting = std::max(most_waiting, storm.waiting());
  };
  while (knocked < count) a_millisecond_passes(100);  // 100,000 a second
  const base::Instant all_have_knocked = world.now();
  const auto everybody_is_in = [&] { return world.arrivals(storm.gateway).size() + 20 >= sent; };
  // What the budget needs, and for each time that a queue was full one retry of five seconds.
  const base::Duration work = std::chrono::milliseconds(count / kHandshakesPerMillisecond);
  const base::Duration bound = 2 * work + 15s;
  while (!everybody_is_in() && world.now() - all_have_knocked < bound) a_millisecond_passes(0);
  const base::Duration took = world.now() - all_have_knocked;
  world.run_for(1s);

  EXPECT_EQ(world.arrivals(storm.gateway).size(), sent)
      << "every packet came out, the talkers' too";
  EXPECT_LE(took, bound);
  EXPECT_LE(most_waiting, 2 * node::kMaxWaitingHandshakes) << "memory is bounded";
  if (count >= 2 * node::kMaxWaitingHandshakes) {
    EXPECT_GT(world.node(storm.gateway).counters().cookies_sent, count / 4) << "it defends itself";
  }
  const auto seconds = [](base::Duration time) {
    return std::to_string(std::chrono::duration<double>(time).count());
  };
  RecordProperty("seconds_until_everybody_is_in", seconds(took));
  std::printf(
      "[ storm    ] %zu members, %zu handshakes/ms: all in %s s after the last knock; "
      "at most %llu messages waiting, %llu cookies, %llu dropped\n",
      count, kHandshakesPerMillisecond, seconds(took).c_str(),
      static_cast<unsigned long long>(most_waiting),
      static_cast<unsigned long long>(world.node(storm.gateway).counters().cookies_sent),
      static_cast<unsigned long long>(storm.dropped(node::Drop::HandshakeQueueFull)));
}

}  // namespace
}  // namespace warren::sim
