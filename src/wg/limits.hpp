// Every limit of the protocol engine that is not a timer of the paper.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::wg {

/// Counters this far behind the newest are still accepted once.
inline constexpr std::size_t kReplayWindow = 8192;
/// Accepted initiations of one peer are at least this far apart (50 per second, as in the kernel).
inline constexpr base::Duration kInitiationInterval = std::chrono::milliseconds(20);
/// Packets of one peer kept while its handshake runs; the oldest goes first.
inline constexpr std::size_t kStagedPackets = 128;
/// More handshake messages than this in one second that cost public-key work for nothing are a
/// load: senders must prove their address.
inline constexpr std::size_t kUnderLoadHandshakes = 512;
/// How long the engine stays in the state of load after the last such second.
inline constexpr base::Duration kUnderLoadPeriod = std::chrono::seconds(1);
/// Under load: handshake messages per second and burst of one source (/32 or /64).
inline constexpr std::size_t kSourceHandshakesPerSecond = 20;
inline constexpr std::size_t kSourceHandshakeBurst = 5;
/// Sources remembered by the rate limit; under load a new source beyond them waits.
inline constexpr std::size_t kMaxSources = 16384;

}  // namespace warren::wg
