#include "wg/replay.hpp"

#include <gtest/gtest.h>

#include <set>

#include "wg/wg_test_support.hpp"

namespace warren::wg {
namespace {

/// The obvious twin: remembers everything.
class NaiveWindow {
 public:
  bool accept(std::uint64_t counter) {
    if (!seen_.empty() && *seen_.rbegin() >= counter &&
        *seen_.rbegin() - counter >= kReplayWindow) {
      return false;
    }
    return seen_.insert(counter).second;
  }

 private:
  std::set<std::uint64_t> seen_;
};

TEST(Replay, AcceptsEachCounterOnce) {
  ReplayWindow window;
  EXPECT_TRUE(window.accept(0));
  EXPECT_FALSE(window.accept(0));
  EXPECT_TRUE(window.accept(2));
  EXPECT_TRUE(window.accept(1));
  EXPECT_FALSE(window.accept(1));
  EXPECT_FALSE(window.accept(2));
}

TEST(Replay, KnowsTheEdgesOfItsWindow) {
  ReplayWindow window;
  const std::uint64_t newest = 3 * kReplayWindow;
  EXPECT_TRUE(window.accept(newest));
  EXPECT_FALSE(window.accept(newest - kReplayWindow));
  EXPECT_FALSE(window.accept(0));
  EXPECT_TRUE(window.accept(newest - kReplayWindow + 1));
  EXPECT_FALSE(window.accept(newest - kReplayWindow + 1));
  EXPECT_TRUE(window.accept(newest + 1));
  EXPECT_FALSE(window.would_accept(newest - kReplayWindow + 1));
}

TEST(Replay, ForgetsNothingInAFullWindow) {
  ReplayWindow window;
  for (std::uint64_t i = 0; i < kReplayWindow; ++i) ASSERT_TRUE(window.accept(i));
  for (std::uint64_t i = 0; i < kReplayWindow; ++i) ASSERT_FALSE(window.accept(i));
}

TEST(Replay, TakesTheHighestCounters) {
  ReplayWindow window;
  const std::uint64_t top = ~std::uint64_t{0};
  EXPECT_TRUE(window.accept(1));
  EXPECT_TRUE(window.accept(top));
  EXPECT_FALSE(window.accept(top));
  EXPECT_TRUE(window.accept(top - 1));
  EXPECT_FALSE(window.accept(1));
}

TEST(Replay, AgreesWithItsNaiveTwin) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SeededRandom random(seed);
    ReplayWindow window;
    NaiveWindow naive;
    std::uint64_t centre = 0;
    for (int i = 0; i < 5000; ++i) {
      const std::uint64_t kind = random.below(100);
      if (kind < 50) centre += random.below(3);
      if (kind == 99) centre += random.below(3 * kReplayWindow);
      const std::uint64_t back = random.below(kind < 80 ? 70 : kReplayWindow + 200);
      const std::uint64_t counter = centre > back ? centre - back : centre;
      const bool would = window.would_accept(counter);
      const bool expected = naive.accept(counter);
      ASSERT_EQ(would, expected) << "seed " << seed << " counter " << counter;
      ASSERT_EQ(window.accept(counter), expected) << "seed " << seed << " counter " << counter;
    }
  }
}

}  // namespace
}  // namespace warren::wg
