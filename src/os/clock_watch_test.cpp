#include "os/clock_watch.hpp"

#include <gtest/gtest.h>

#include "os/clock.hpp"
#include "os/loop.hpp"

namespace warren::os {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class ClockComparisonTest : public testing::Test {
 protected:
  /// Time passes, of which the host sleeps a part, and its wall clock is set.
  ClockJump after(base::Duration passed, base::Duration asleep, base::Duration step) {
    reading_.boot += passed;
    reading_.awake += passed - asleep;
    reading_.wall = reading_.wall + passed + step;
    return comparison_.compare(reading_);
  }

  ClockReading reading_{.boot = {seconds(500).count() * 1'000'000'000},
                        .awake = {seconds(100).count() * 1'000'000'000},
                        .wall = {1'700'000'000'000'000'000}};
  ClockComparison comparison_{reading_};
};

TEST_F(ClockComparisonTest, TimeThatPassesIsNoJump) {
  EXPECT_EQ(after(hours(1000), {}, {}), ClockJump{});
}

TEST_F(ClockComparisonTest, ASuspendIsToldOnce) {
  EXPECT_EQ(after(hours(3), hours(2), {}), (ClockJump{.suspended = hours(2)}));
  EXPECT_EQ(after(hours(1), {}, {}), ClockJump{});
  EXPECT_EQ(after(seconds(5), seconds(4), {}), (ClockJump{.suspended = seconds(4)}));
}

TEST_F(ClockComparisonTest, AStepOfTheWallClockIsToldOnceInEitherDirection) {
  EXPECT_EQ(after(seconds(1), {}, hours(24)), (ClockJump{.wall_step = hours(24)}));
  EXPECT_EQ(after(seconds(1), {}, {}), ClockJump{});
  EXPECT_EQ(after(seconds(1), {}, -hours(48)), (ClockJump{.wall_step = -hours(48)}));
  EXPECT_EQ(after(seconds(1), {}, {}), ClockJump{});
}

TEST_F(ClockComparisonTest, BothAtOnceAreToldApart) {
  EXPECT_EQ(after(hours(9), hours(8), -seconds(30)),
            (ClockJump{.suspended = hours(8), .wall_step = -seconds(30)}));
  EXPECT_EQ(after(hours(1), {}, {}), ClockJump{});
}

TEST_F(ClockComparisonTest, SmallJumpsAreToldWhenTheyHaveAddedUp) {
  EXPECT_EQ(after(seconds(10), milliseconds(400), {}), ClockJump{});
  EXPECT_EQ(after(seconds(10), milliseconds(400), {}), ClockJump{});
  EXPECT_EQ(after(seconds(10), milliseconds(400), {}),
            (ClockJump{.suspended = milliseconds(1200)}));
}

TEST(ClockWatch, OnAClockThatNobodySetsThereIsNothingToTell) {
  auto watch = ClockWatch::create();
  ASSERT_TRUE(watch);
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  int told = 0;
  ASSERT_TRUE((*loop)->watch(watch->descriptor(), [&](Ready) { ++told; }));
  ASSERT_TRUE((*loop)->run_once(now() + milliseconds(5)));
  EXPECT_EQ(told, 0);
  EXPECT_EQ(watch->look(), ClockJump{});
}

}  // namespace
}  // namespace warren::os
