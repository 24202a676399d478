// Theory of operation
//
// A timer on the wall clock that never expires, but is cancelled whenever that clock is set or the
// host has slept (TFD_TIMER_CANCEL_ON_SET): a program that has nothing to do need not look. What
// has happened is worked out from the distances between three clocks, which change for no other
// reason. The readings of one moment lie nanoseconds apart, or a scheduler's turn: jumps that small
// are not looked for.
#include "os/clock_watch.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <ctime>
#include <tuple>

#include "os/clock.hpp"

namespace warren::os {

namespace {

/// A timer so late that it never expires: some 34,000 years.
constexpr std::int64_t kNeverSeconds = std::int64_t{1} << 40;
/// Readings further apart than this are taken again, a few times.
constexpr base::Duration kOneMoment = std::chrono::milliseconds(20);
constexpr int kReadings = 5;

ClockReading read_clocks() {
  ClockReading reading;
  for (int i = 0; i < kReadings; ++i) {
    const base::Instant began = awake_now();
    reading = {.boot = now(), .awake = began, .wall = wall_now()};
    if (awake_now() - began < kOneMoment) break;
  }
  return reading;
}

bool is_jump(base::Duration change) {
  return change >= kSmallestClockJump || change <= -kSmallestClockJump;
}

}  // namespace

ClockJump ClockComparison::compare(const ClockReading& reading) {
  const base::Duration passed = reading.boot - reference_.boot;
  const base::Duration suspended = passed - (reading.awake - reference_.awake);
  const base::Duration step = (reading.wall - reference_.wall) - passed;
  ClockJump jump;
  if (is_jump(suspended)) jump.suspended = suspended;
  if (is_jump(step)) jump.wall_step = step;
  if (jump.suspended != base::Duration(0)) reference_.awake = reading.awake - passed;
  if (jump.wall_step != base::Duration(0)) reference_.wall = reading.wall + -passed;
  return jump;
}

ClockWatch::ClockWatch(Fd alarm) : alarm_(std::move(alarm)), comparison_(read_clocks()) {}

base::Result<ClockWatch> ClockWatch::create() {
  Fd alarm(timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!alarm) return base::os_error("create a timer descriptor");
  const itimerspec never{.it_interval = {}, .it_value = {.tv_sec = kNeverSeconds, .tv_nsec = 0}};
  constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
  if (timerfd_settime(alarm.get(), kFlags, &never, nullptr) < 0) {
    return base::os_error("watch the wall clock");
  }
  return ClockWatch(std::move(alarm));
}

ClockJump ClockWatch::look() {
  std::uint64_t expirations = 0;
  std::ignore = ::read(alarm_.get(), &expirations, sizeof expirations);  // ECANCELED: it was set
  return comparison_.compare(read_clocks());
}

}  // namespace warren::os
