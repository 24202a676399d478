// The timers of one peer as a table of deadlines; what each does when it is due is the node's.
// Source: whitepaper section 6.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "base/time.hpp"

namespace warren::wg {

enum class Timer : std::uint8_t {
  RetransmitHandshake,  ///< no response to our initiation yet
  SendKeepalive,        ///< we received data and have sent nothing since
  NewHandshake,         ///< we sent data and have received nothing since
  ZeroKeys,             ///< the last session is long dead: wipe everything
  PersistentKeepalive,  ///< a keepalive every so often, for NATs
  kCount,
};

class Timers {
 public:
  Timers() { at_.fill(kNever); }

  void arm(Timer timer, base::Instant at) { slot(timer) = at; }
  void cancel(Timer timer) { slot(timer) = kNever; }
  void cancel_all() { at_.fill(kNever); }
  [[nodiscard]] bool armed(Timer timer) const {
    return at_[static_cast<std::size_t>(timer)] != kNever;
  }
  /// True, and the timer is no longer armed, if it is due.
  [[nodiscard]] bool take_due(Timer timer, base::Instant now) {
    if (slot(timer) > now) return false;
    cancel(timer);
    return true;
  }
  /// The earliest deadline; nullopt when no timer is armed.
  [[nodiscard]] std::optional<base::Instant> next() const {
    base::Instant earliest = kNever;
    for (const base::Instant at : at_) earliest = at < earliest ? at : earliest;
    if (earliest == kNever) return std::nullopt;
    return earliest;
  }

 private:
  static constexpr base::Instant kNever{std::numeric_limits<std::int64_t>::max()};
  base::Instant& slot(Timer timer) { return at_[static_cast<std::size_t>(timer)]; }

  std::array<base::Instant, static_cast<std::size_t>(Timer::kCount)> at_;
};

}  // namespace warren::wg
