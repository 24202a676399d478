#include "os/clock.hpp"

#include <gtest/gtest.h>

#include "os/loop.hpp"

#include <algorithm>
#include <ctime>
#include <vector>

namespace warren::os {
namespace {

TEST(Clock, NeverGoesBack) {
  base::Instant last = now();
  for (int i = 0; i < 1000; ++i) {
    const base::Instant at = now();
    ASSERT_GE(at, last);
    last = at;
  }
}

TEST(Clock, WallTimeIsTheWallTime) {
  EXPECT_NEAR(static_cast<double>(wall_now().seconds()), static_cast<double>(time(nullptr)), 2.0);
}

TEST(SystemRandom, FillsTheWholeSpanAndNothingBeside) {
  SystemRandom random;
  std::vector<std::uint8_t> room(1 << 20, 0);
  random.fill({room.data() + 1, room.size() - 2});
  EXPECT_EQ(room.front(), 0);
  EXPECT_EQ(room.back(), 0);
  // Every 64-byte block holds something: all zero has a chance of 2^-512.
  for (std::size_t at = 64; at + 128 < room.size(); at += 64)
    ASSERT_TRUE(std::any_of(room.begin() + static_cast<std::ptrdiff_t>(at),
                            room.begin() + static_cast<std::ptrdiff_t>(at + 64),
                            [](std::uint8_t byte) { return byte != 0; }));
  EXPECT_NE(random.u64(), random.u64());
  random.fill({});
}

TEST(Clock, AThreadThatWaitsUsesNoProcessorTime) {
  const base::Duration before = thread_cpu_time();
  const base::Instant until = now() + std::chrono::milliseconds(30);
  volatile unsigned work = 0;
  while (now() < until) work = work + 1;
  const base::Duration worked = thread_cpu_time() - before;
  EXPECT_GT(worked.count(), 0);
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  const base::Duration idle_from = thread_cpu_time();
  ASSERT_TRUE((*loop)->run_once(now() + std::chrono::milliseconds(30)));
  EXPECT_LT(thread_cpu_time() - idle_from, std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace warren::os
