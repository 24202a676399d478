// How often a process that the supervisor replaces has ended lately.
#pragma once

#include <cstddef>
#include <deque>

#include "base/time.hpp"
#include "netns/limits.hpp"

namespace warren::netns {

class RecentEnds {
 public:
  /// The ends within the window, this one included.
  [[nodiscard]] std::size_t add(base::Instant at) {
    while (!ends_.empty() && at - ends_.front() > kEngineEndWindow) ends_.pop_front();
    ends_.push_back(at);
    return ends_.size();
  }
  /// The first is replaced at once, each further one a little later.
  [[nodiscard]] base::Duration pause() const {
    return kEngineRestartPause * (static_cast<std::int64_t>(ends_.size()) - 1);
  }

 private:
  std::deque<base::Instant> ends_;
};

}  // namespace warren::netns
