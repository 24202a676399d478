#include "wg/deadlines.hpp"

#include <gtest/gtest.h>

#include <map>

#include "wg/ring.hpp"
#include "wg/timers.hpp"
#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

TEST(Deadlines, AgreesWithItsNaiveTwin) {
  SeededRandom random(5);
  Deadlines deadlines;
  std::map<PeerId, base::Instant> naive;
  for (int step = 0; step < 20'000; ++step) {
    const PeerId peer{static_cast<std::uint32_t>(random.below(50))};
    const base::Instant at{static_cast<std::int64_t>(random.below(1000))};
    const std::uint64_t kind = random.below(10);
    if (kind < 6) {
      deadlines.wake_by(peer, at);
      const auto found = naive.emplace(peer, at).first;
      found->second = std::min(found->second, at);
    } else if (kind < 8) {
      deadlines.remove(peer);
      naive.erase(peer);
    } else if (const auto due = deadlines.take_due(at)) {
      ASSERT_TRUE(naive.contains(*due));
      for (const auto& [other, when] : naive) ASSERT_LE(naive[*due], when);
      ASSERT_LE(naive[*due], at);
      naive.erase(*due);
    } else {
      for (const auto& [other, when] : naive) ASSERT_GT(when, at);
    }
    ASSERT_EQ(deadlines.size(), naive.size());
  }
}

TEST(Timers, KnowTheirEarliest) {
  Timers timers;
  EXPECT_FALSE(timers.next());
  timers.arm(Timer::ZeroKeys, {500});
  timers.arm(Timer::SendKeepalive, {100});
  EXPECT_EQ(timers.next(), base::Instant{100});
  EXPECT_FALSE(timers.take_due(Timer::SendKeepalive, {99}));
  EXPECT_TRUE(timers.take_due(Timer::SendKeepalive, {100}));
  EXPECT_FALSE(timers.take_due(Timer::SendKeepalive, {100}));
  EXPECT_TRUE(timers.armed(Timer::ZeroKeys));
  timers.cancel_all();
  EXPECT_FALSE(timers.next());
}

TEST(Ring, KeepsOrderWhileItGrowsAndErases) {
  Ring<int> ring;
  int next_in = 0;
  int next_out = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < round; ++i) ring.push(next_in++);
    for (int i = 0; i < round / 2; ++i) EXPECT_EQ(ring.pop(), next_out++);
  }
  ring.erase_if([](int value) { return value % 2 == 0; });
  int last = -1;
  while (!ring.empty()) {
    const int value = ring.pop();
    EXPECT_EQ(value % 2, 1);
    EXPECT_GT(value, last);
    last = value;
  }
}

}  // namespace
}  // namespace warren::wg
