// ClockWatch: notices that the host was suspended or that somebody set its wall clock.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// What happened to the clocks between two looks; 0: nothing.
struct ClockJump {
  base::Duration suspended{};  ///< the host slept so long
  base::Duration wall_step{};  ///< the wall clock was set forward by so much, or back
  bool operator==(const ClockJump&) const = default;
};

/// Three clocks at one moment.
struct ClockReading {
  base::Instant boot;   ///< CLOCK_BOOTTIME: counts suspended time
  base::Instant awake;  ///< CLOCK_MONOTONIC: does not
  base::WallTime wall;  ///< CLOCK_REALTIME: may be set
};

/// Smaller jumps than this are told when they have come to so much together.
inline constexpr base::Duration kSmallestClockJump = std::chrono::seconds(1);

/// Compares readings: the boot clock gains on the monotonic one only while the host is suspended,
/// and a wall clock that is slewed, as NTP does, slews the others as well.
class ClockComparison {
 public:
  explicit ClockComparison(const ClockReading& first) : reference_(first) {}
  [[nodiscard]] ClockJump compare(const ClockReading& reading);

 private:
  ClockReading reference_;
};

class ClockWatch {
 public:
  [[nodiscard]] static base::Result<ClockWatch> create();
  /// Readable from such an event to the next look(), where the kernel tells; look from time to time
  /// all the same.
  [[nodiscard]] int descriptor() const { return alarm_.get(); }
  [[nodiscard]] ClockJump look();

 private:
  explicit ClockWatch(Fd alarm);
  Fd alarm_;
  ClockComparison comparison_;
};

}  // namespace warren::os
