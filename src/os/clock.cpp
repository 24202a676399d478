#include "os/clock.hpp"

#include <sys/random.h>

#include <cerrno>
#include <ctime>

#include "base/assert.hpp"

namespace warren::os {

namespace {

std::int64_t read_clock(clockid_t clock) {
  timespec at{};
  WARREN_ASSERT(clock_gettime(clock, &at) == 0);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

base::Instant now() { return {read_clock(CLOCK_BOOTTIME)}; }
base::Instant awake_now() { return {read_clock(CLOCK_MONOTONIC)}; }
base::WallTime wall_now() { return {read_clock(CLOCK_REALTIME)}; }

base::Duration thread_cpu_time() { return base::Duration(read_clock(CLOCK_THREAD_CPUTIME_ID)); }

base::Duration thread_cpu_time(pthread_t thread) {
  clockid_t clock{};
  WARREN_ASSERT(pthread_getcpuclockid(thread, &clock) == 0);
  return base::Duration(read_clock(clock));
}

void SystemRandom::fill(base::MutableBytes out) {
  while (!out.empty()) {
    const ssize_t got = getrandom(out.data(), out.size(), 0);
    // Nothing safe can be done without randomness: no key, no nonce. EINTR is the only way on.
    WARREN_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace warren::os
