// Two kinds of time, never mixed. Nobody below `os` reads a clock: times are passed in.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace warren::base {

using Duration = std::chrono::nanoseconds;

/// A point on CLOCK_BOOTTIME (it goes on during suspend and never jumps). For timers.
struct Instant {
  std::int64_t ns = 0;

  auto operator<=>(const Instant&) const = default;
  friend Instant operator+(Instant at, Duration d) { return {at.ns + d.count()}; }
  friend Instant operator-(Instant at, Duration d) { return {at.ns - d.count()}; }
  friend Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }
  Instant& operator+=(Duration d) { return *this = *this + d; }
};

/// A point on CLOCK_REALTIME, in nanoseconds since 1970-01-01T00:00:00Z. It may jump either way.
/// For what people and other machines are told: handshake timestamps, expiries, logs.
struct WallTime {
  std::int64_t ns = 0;

  auto operator<=>(const WallTime&) const = default;
  friend WallTime operator+(WallTime at, Duration d) { return {at.ns + d.count()}; }
  friend Duration operator-(WallTime a, WallTime b) { return Duration(a.ns - b.ns); }
  [[nodiscard]] std::int64_t seconds() const { return ns / 1'000'000'000; }
};

}  // namespace warren::base
