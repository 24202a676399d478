// Engines on a host that was suspended, or whose wall clock was set. No test may do that to its
// host, so this program has a clock_gettime of its own in front of the C library's, which can add
// to two of the clocks. What it cannot show is that the kernel wakes the loop after a suspend: its
// timers know nothing of these jumps, and here the next request or the next tick does it.
// (LoopTest.TimersAreOnTheClockThatCountsSuspendedTime asks the kernel.)
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <ctime>

#include "engine/engine_test_support.hpp"

namespace {
std::atomic<std::int64_t> added_to_boot_s = 0;
std::atomic<std::int64_t> added_to_wall_s = 0;
}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* at) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, at);
  if (clock == CLOCK_BOOTTIME) at->tv_sec += added_to_boot_s;
  if (clock == CLOCK_REALTIME) at->tv_sec += added_to_wall_s;
  return static_cast<int>(result);
}

namespace warren::engine {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class ClockJump : public testing::Test {
 protected:
  ~ClockJump() override {
    added_to_boot_s = 0;
    added_to_wall_s = 0;
  }
  /// The host sleeps: the wall clock goes on with it.
  static void suspend(base::Duration time) {
    added_to_boot_s += std::chrono::duration_cast<seconds>(time).count();
    added_to_wall_s += std::chrono::duration_cast<seconds>(time).count();
  }
  static void set_wall_clock(base::Duration by) {
    added_to_wall_s += std::chrono::duration_cast<seconds>(by).count();
  }
  static base::WallTime last_handshake(Rig& rig) { return rig.status().peers.at(0).last_handshake; }
  static void wait_for_a_handshake(Rig& rig, base::WallTime other_than) {
    const base::Instant deadline = os::now() + kTestPatience;
    while (last_handshake(rig) == other_than && os::now() < deadline) std::this_thread::yield();
  }
};

TEST_F(ClockJump, AfterASuspendActivePeersAreCalledAtOnce) {
  Pair pair({}, {});
  pair.expect_traffic(1);
  const base::WallTime before = last_handshake(pair.one);
  suspend(hours(3));
  wait_for_a_handshake(pair.one, before);
  EXPECT_GT(last_handshake(pair.one) - before, hours(2)) << "nobody had to send anything";
  pair.expect_traffic(2);
  ASSERT_TRUE(pair.one.stop());
  EXPECT_NE(pair.one.counters().find(" suspends 1 "), std::string::npos) << pair.one.counters();
  EXPECT_EQ(pair.one.counters().find("clock-steps"), std::string::npos) << pair.one.counters();
}

TEST_F(ClockJump, AShortSuspendKeepsTheSession) {
  Pair pair({}, {});
  pair.expect_traffic(1);
  const base::WallTime before = last_handshake(pair.one);
  suspend(seconds(5));  // no timer of the protocol is due
  pair.expect_traffic(2);
  EXPECT_TRUE(pair.one.logs("the host was suspended for 5 s"));
  EXPECT_EQ(last_handshake(pair.one), before);
}

/// Timestamps of handshakes must grow although the wall clock does not.
TEST_F(ClockJump, AWallClockThatIsSetBackStopsNobody) {
  Pair pair({}, {});
  pair.expect_traffic(1);
  set_wall_clock(-hours(48));
  pair.expect_traffic(2);
  EXPECT_TRUE(pair.one.logs("the wall clock was set by -172800 s"));
  const base::WallTime before = last_handshake(pair.one);
  suspend(hours(1));  // a new session is needed
  wait_for_a_handshake(pair.one, before);
  pair.expect_traffic(3);
  ASSERT_TRUE(pair.one.stop());
  EXPECT_NE(pair.one.counters().find(" clock-steps 1 "), std::string::npos) << pair.one.counters();
}

}  // namespace
}  // namespace warren::engine
