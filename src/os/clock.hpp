// The clocks and the random source of the kernel: the only place that reads them.
#pragma once

#include <pthread.h>

#include "base/random.hpp"
#include "base/time.hpp"

namespace warren::os {

[[nodiscard]] base::Instant now();        ///< CLOCK_BOOTTIME
[[nodiscard]] base::WallTime wall_now();  ///< CLOCK_REALTIME
/// CLOCK_MONOTONIC: stands still while the host is suspended. Not to be mixed with now().
[[nodiscard]] base::Instant awake_now();
/// Processor time that the calling thread, or another one that still runs, has used.
[[nodiscard]] base::Duration thread_cpu_time();
[[nodiscard]] base::Duration thread_cpu_time(pthread_t thread);

/// getrandom(2).
class SystemRandom final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override;
};

}  // namespace warren::os
