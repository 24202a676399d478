#include "client/patience.hpp"

#include <gtest/gtest.h>

#include <set>

#include "client/limits.hpp"
#include "control/control_fakes.hpp"

namespace warren::client {
namespace {

using base::Duration;
using base::Instant;

constexpr Instant kBegan{5'000'000'000};

TEST(Patience, WaitsLongerEachTimeUpToALimit) {
  control::testing::SeededRandom random{1};
  Patience patience(kBegan, kBusyFor);
  Duration longest = kFirstBusyPause / 2;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const auto pause = patience.next(Duration(0), kBegan, random);
    ASSERT_TRUE(pause);
    EXPECT_GE(*pause, longest / 2) << attempt;
    EXPECT_LE(*pause, kLastBusyPause) << attempt;
    longest = std::max(longest, *pause);
  }
  EXPECT_GE(longest, kLastBusyPause / 2);
}

TEST(Patience, NeverAsksEarlierThanTheGatewayWants) {
  control::testing::SeededRandom random{2};
  Patience patience(kBegan, kBusyFor);
  for (int attempt = 0; attempt < 5; ++attempt) {
    EXPECT_GE(*patience.next(std::chrono::seconds(3), kBegan, random), std::chrono::seconds(3));
  }
  // A gateway cannot make anybody wait for ever.
  EXPECT_LE(*patience.next(std::chrono::hours(9), kBegan, random), 2 * kLastBusyPause);
}

TEST(Patience, ThoseWhoWereRefusedTogetherComeApart) {
  std::set<Duration> pauses;
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    control::testing::SeededRandom random{seed};
    pauses.insert(*Patience(kBegan, kBusyFor).next(Duration(0), kBegan, random));
  }
  EXPECT_GT(pauses.size(), 40U);
}

TEST(Patience, EndsWithItsTime) {
  control::testing::SeededRandom random{3};
  Patience patience(kBegan, kBusyFor);
  const auto last = patience.next(Duration(0), kBegan + (kBusyFor - Duration(7)), random);
  ASSERT_TRUE(last);
  EXPECT_EQ(*last, Duration(7)) << "the last attempt is made at the end, not behind it";
  EXPECT_FALSE(patience.next(Duration(0), kBegan + kBusyFor, random));
}

}  // namespace
}  // namespace warren::client
