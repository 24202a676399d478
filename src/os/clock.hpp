// The clocks and the random source of the kernel: the only place that reads them.
#pragma once

#include "base/random.hpp"
#include "base/time.hpp"

namespace warren::os {

[[nodiscard]] base::Instant now();        ///< CLOCK_BOOTTIME
[[nodiscard]] base::WallTime wall_now();  ///< CLOCK_REALTIME

/// getrandom(2).
class SystemRandom final : public base::RandomSource {
 public:
  void fill(base::MutableBytes out) override;
};

}  // namespace warren::os
