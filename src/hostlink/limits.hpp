// Every limit of `warren up`, in one place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace warren::hostlink {

/// How long another `warren up` or `down` on this host may keep us waiting.
inline constexpr base::Duration kTurn = std::chrono::seconds(30);
/// Pause before an engine is tried again that ended too often.
inline constexpr base::Duration kEnginePause = std::chrono::seconds(5);
/// How long resolvconf or resolvectl may take.
inline constexpr base::Duration kProgramPatience = std::chrono::seconds(15);
/// How long a supervisor may take to undo everything before `down` kills it and does so itself.
inline constexpr base::Duration kDownPatience = std::chrono::seconds(40);
inline constexpr base::Duration kKillPatience = std::chrono::seconds(5);
/// The first table, and the first mark, that is tried for default routes.
inline constexpr std::uint32_t kFirstTable = 51820;
inline constexpr std::uint32_t kTablesTried = 4096;
/// A supervisor's list of what it did.
inline constexpr std::size_t kMaxJournal = 1 << 20;
/// Pause between two looks for a handshake that is waited for, and how long one may take.
inline constexpr base::Duration kReadyInterval = std::chrono::milliseconds(200);
inline constexpr base::Duration kEngineAnswer = std::chrono::seconds(1);
/// How long after the start a supervisor gives back what only the start needed.
inline constexpr base::Duration kSettled = std::chrono::seconds(2);
inline constexpr std::uint32_t kTunQueueLength = 1000;

}  // namespace warren::hostlink
