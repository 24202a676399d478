// The TAI64N timestamps of initiations: monotonic per peer, and coarse, so that they tell an
// observer nothing about the machine's load (whitepaper section 5.1).
#pragma once

#include "base/time.hpp"
#include "wg/messages.hpp"

namespace warren::wg {

/// Timestamps are multiples of this many nanoseconds (about 17 ms).
inline constexpr std::uint32_t kTimestampStep_ns = 1U << 24;

/// The timestamp of a wall-clock time, rounded down to a step.
[[nodiscard]] Timestamp timestamp_of(base::WallTime wall);
/// The larger of timestamp_of(wall) and `last` plus one step: a clock set back never makes an
/// initiation look like a replay.
[[nodiscard]] Timestamp next_timestamp(base::WallTime wall, const Timestamp& last);

}  // namespace warren::wg
