#include "engine/load_policy.hpp"

#include <algorithm>
#include <utility>

#include "engine/limits.hpp"

namespace warren::engine {

LoadPolicy::Verdict LoadPolicy::handle_tick(base::Instant now,
                                            std::span<const base::Duration> used) {
  const std::vector<base::Duration> before =
      std::exchange(before_, std::vector<base::Duration>(used.begin(), used.end()));
  const auto wall = static_cast<double>((now - std::exchange(last_, now)).count());
  if (before.size() != used.size() || wall <= 0) {
    quiet_since_.reset();
    busy_ticks_ = 0;
    return Verdict::Stay;
  }
  double least = 1;
  double sum = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    const double share = static_cast<double>((used[i] - before[i]).count()) / wall;
    least = std::min(least, share);
    sum += share;
  }
  busy_ticks_ = least >= kBusyShare ? busy_ticks_ + 1 : 0;
  if (busy_ticks_ >= kBusyTicks) {
    busy_ticks_ = 0;
    return Verdict::Grow;
  }
  if (used.size() == 1 || sum >= kQuietShare * static_cast<double>(used.size() - 1)) {
    quiet_since_.reset();
    return Verdict::Stay;
  }
  if (!quiet_since_) quiet_since_ = now;
  if (now - *quiet_since_ < quiet_for_) return Verdict::Stay;
  quiet_since_.reset();
  return Verdict::Shrink;
}

}  // namespace warren::engine
