// Every limit and waiting time of foreign programs that run as children, by name.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::services {

/// From the start of a name server until it answers.
inline constexpr base::Duration kNameServerStart = std::chrono::seconds(3);
inline constexpr base::Duration kNameServerPause = std::chrono::milliseconds(10);
/// From the request to end until it is killed.
inline constexpr base::Duration kNameServerStop = std::chrono::seconds(1);
/// One question to a name server in the same host.
inline constexpr base::Duration kNameAnswer = std::chrono::milliseconds(500);

/// What a name server says is set aside when it is more than this (one generation is kept).
inline constexpr std::size_t kNameServerLogBytes = 1 << 20;
/// Answers of other name servers that it keeps.
inline constexpr unsigned kCachedNames = 2000;
/// The names of 130,000 members.
inline constexpr std::size_t kNameFileBytes = 64 << 20;
inline constexpr std::size_t kResolvConfBytes = 64 << 10;

/// What is kept of what resolvectl or resolvconf says.
inline constexpr std::size_t kMaxProgramOutput = 4096;
/// How long each of them may hold up the daemon.
inline constexpr base::Duration kHostNamesPatience = std::chrono::seconds(3);

}  // namespace warren::services
