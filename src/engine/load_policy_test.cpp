#include "engine/load_policy.hpp"

#include <gtest/gtest.h>

#include "engine/limits.hpp"

namespace warren::engine {
namespace {

using Verdict = LoadPolicy::Verdict;

/// Feeds ticks in which each worker is busy for a share of the time.
class Ticks {
 public:
  explicit Ticks(base::Duration quiet_for = kQuietFor) : policy_(quiet_for) {}
  Verdict tick(std::vector<double> shares) {
    if (used_.size() != shares.size()) used_.assign(shares.size(), base::Duration(0));
    now_ += kLoadTick;
    for (std::size_t i = 0; i < shares.size(); ++i) {
      used_[i] += base::Duration(
          static_cast<std::int64_t>(static_cast<double>(kLoadTick.count()) * shares[i]));
    }
    return policy_.handle_tick(now_, used_);
  }
  base::Instant now_{.ns = 1'000'000'000};

 private:
  LoadPolicy policy_;
  std::vector<base::Duration> used_;
};

TEST(LoadPolicy, GrowsWhenAllAreBusy) {
  Ticks ticks;
  EXPECT_EQ(ticks.tick({0.99}), Verdict::Stay) << "the first only remembers";
  EXPECT_EQ(ticks.tick({0.85}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.95}), Verdict::Stay) << "a moment is not a load";
  EXPECT_EQ(ticks.tick({0.85}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.95}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.95}), Verdict::Grow);
  EXPECT_EQ(ticks.tick({0.95}), Verdict::Stay) << "what it changes shows first";
}

TEST(LoadPolicy, DoesNotGrowWhileAWorkerHasLittleToDo) {
  Ticks ticks;
  EXPECT_EQ(ticks.tick({1, 0}), Verdict::Stay);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ticks.tick({1, 0}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.95, 0.95}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.95, 0.95}), Verdict::Grow);
}

TEST(LoadPolicy, ShrinksAfterALongQuietTime) {
  Ticks ticks;
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
  const base::Instant begin = ticks.now_;
  Verdict verdict = Verdict::Stay;
  while (verdict == Verdict::Stay) verdict = ticks.tick({0.2, 0.1});
  EXPECT_EQ(verdict, Verdict::Shrink);
  EXPECT_GE(ticks.now_ - begin, kQuietFor);
  EXPECT_LE(ticks.now_ - begin, kQuietFor + 2 * kLoadTick);
}

TEST(LoadPolicy, HowLongAQuietTimeIsCanBeSaid) {
  Ticks ticks(2 * kLoadTick);
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay) << "it begins to be quiet";
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Shrink);
}

TEST(LoadPolicy, ABusyMomentStartsTheQuietTimeAnew) {
  Ticks ticks;
  EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
  EXPECT_EQ(ticks.tick({0.9, 0.1}), Verdict::Stay);
  for (int i = 0; i < 25; ++i) EXPECT_EQ(ticks.tick({0.2, 0.1}), Verdict::Stay);
}

TEST(LoadPolicy, TheFirstWorkerNeverLeaves) {
  Ticks ticks;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ticks.tick({0}), Verdict::Stay);
}

}  // namespace
}  // namespace warren::engine
