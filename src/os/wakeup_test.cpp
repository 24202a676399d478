#include "os/wakeup.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "os/clock.hpp"
#include "os/loop.hpp"

namespace warren::os {
namespace {

TEST(Wakeup, WakesALoopInAnotherThreadOnceForManySignals) {
  const auto wakeup = Wakeup::create();
  ASSERT_TRUE(wakeup);
  auto loop = Loop::create();
  ASSERT_TRUE(loop);
  int woken = 0;
  ASSERT_TRUE((*loop)->watch(wakeup->descriptor(), [&](Ready) {
    wakeup->clear();
    ++woken;
  }));
  std::thread other([&] {
    for (int i = 0; i < 3; ++i) wakeup->signal();
  });
  other.join();
  const auto soon = [] { return now() + std::chrono::milliseconds(20); };
  ASSERT_TRUE((*loop)->run_once(soon()));
  ASSERT_TRUE((*loop)->run_once(soon()));
  EXPECT_EQ(woken, 1);
  wakeup->signal();
  ASSERT_TRUE((*loop)->run_once(soon()));
  EXPECT_EQ(woken, 2);
}

}  // namespace
}  // namespace warren::os
