// LoadPolicy: how many workers an engine wants, from how busy they are. Pure.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/time.hpp"
#include "engine/limits.hpp"

namespace warren::engine {

class LoadPolicy {
 public:
  enum class Verdict { Stay, Grow, Shrink };

  /// One worker leaves when it has been quiet for so long.
  explicit LoadPolicy(base::Duration quiet_for = kQuietFor) : quiet_for_(quiet_for) {}

  /// `used`: the processor time so far of each worker at work, in an order that stays. The first
  /// call, and one with another number of workers than before, only remembers.
  [[nodiscard]] Verdict handle_tick(base::Instant now, std::span<const base::Duration> used);

 private:
  base::Duration quiet_for_;
  base::Instant last_{};
  std::vector<base::Duration> before_;
  int busy_ticks_ = 0;
  std::optional<base::Instant> quiet_since_;
};

}  // namespace warren::engine
