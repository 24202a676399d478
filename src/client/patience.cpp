#include "client/patience.hpp"

#include <poll.h>

#include <algorithm>
#include <tuple>

#include "client/limits.hpp"

namespace warren::client {

std::optional<base::Duration> Patience::next(base::Duration at_least, base::Instant now,
                                             base::RandomSource& random) {
  const base::Duration left = longest_ - (now - began_);
  if (left <= base::Duration(0)) return std::nullopt;
  base::Duration span = kFirstBusyPause;
  for (unsigned doubled = 0; doubled < attempts_ && span < kLastBusyPause; ++doubled) span *= 2;
  span = std::min(span, kLastBusyPause);
  ++attempts_;
  // Spread over a whole span behind what was asked for: those who were refused together come apart.
  const auto part = static_cast<std::int64_t>(random.u32() % 1024);
  const base::Duration pause = std::min(at_least, kLastBusyPause) + span / 2 + span * part / 2048;
  return std::min(pause, left);
}

void rest(base::Duration time) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  std::ignore = poll(nullptr, 0, static_cast<int>(ms) + 1);
}

}  // namespace warren::client
