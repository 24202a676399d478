// Every limit of the rootless runner, in one place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace warren::netns {

/// A run ends when its engine, or the process of its exposed ports, ended this often within the
/// window.
inline constexpr std::size_t kMaxEngineEnds = 5;
inline constexpr base::Duration kEngineEndWindow = std::chrono::seconds(10);
/// Pause before the second and later restarts within the window, times their number.
inline constexpr base::Duration kEngineRestartPause = std::chrono::milliseconds(100);
/// How long an engine may take to end after it was told to, before it is killed.
inline constexpr base::Duration kEngineFarewell = std::chrono::seconds(1);
/// How long a started engine may take to say hello and to accept its configuration.
inline constexpr base::Duration kEngineStart = std::chrono::seconds(10);
/// One step of an AnyConnect login, the server's and the user's time included.
inline constexpr base::Duration kLoginStep = std::chrono::seconds(90);
/// How long a later login may take, until packets flow.
inline constexpr base::Duration kSessionStart = std::chrono::seconds(40);
/// How long a session may take to log out, before its process is killed.
inline constexpr base::Duration kSessionFarewell = std::chrono::seconds(2);
/// Pause before a further login, times the number of failed ones.
inline constexpr base::Duration kSessionPause = std::chrono::milliseconds(500);
inline constexpr base::Duration kSessionPauseMax = std::chrono::seconds(10);
/// A run ends when its AnyConnect server refused it so often in a row.
inline constexpr unsigned kMaxRefusedLogins = 3;
inline constexpr std::uint32_t kMinSessionMtu = 576;
/// Tries to get a lock that only looks held, and the pause between them.
inline constexpr int kMaxLockTries = 50;
inline constexpr int kLockPauseMs = 2;
/// Programs that ask a run for its status at the same time.
inline constexpr std::size_t kMaxStatusClients = 16;
/// How long the tunnel of a run without one may take to start.
inline constexpr base::Duration kNetStart = std::chrono::seconds(15);
/// How long a killed run may take to clean up.
inline constexpr base::Duration kStopFarewell = std::chrono::seconds(5);
/// Connections, and senders of datagrams, that exposed ports carry at the same time.
inline constexpr std::size_t kMaxForwards = 256;
inline constexpr int kExposeBacklog = 128;
/// How long what a program said before it ended may take to reach who is connected to its ports.
inline constexpr base::Duration kForwarderFarewell = std::chrono::seconds(3);
inline constexpr std::size_t kRelayBuffer = 64 << 10;
inline constexpr std::size_t kMaxDatagram = 64 << 10;
/// A sender of datagrams that nothing was heard of for so long is forgotten.
inline constexpr base::Duration kDatagramIdle = std::chrono::seconds(60);
/// One message between supervisor and init: the routes of an AnyConnect server are the longest.
inline constexpr std::size_t kMaxControlMessage = 64 << 10;
/// Pause between two echo requests while waiting for the first answer.
inline constexpr base::Duration kEchoInterval = std::chrono::milliseconds(250);
/// The least time one look at a run may take.
inline constexpr base::Duration kOneLook = std::chrono::seconds(1);
/// Pause between two looks at a run that is not ready.
inline constexpr base::Duration kReadyInterval = std::chrono::milliseconds(50);
/// The answer of the userspace API that `check_ready` accepts.
inline constexpr std::size_t kMaxStatusAnswer = 16 << 20;
/// The table of network devices of a run.
inline constexpr std::size_t kMaxDeviceTable = 64 << 10;
/// The host's passwd and group files, when the caller is looked for in them.
inline constexpr std::size_t kMaxUserDatabase = 16 << 20;
/// Tries to find a UDP port that is free for both families.
inline constexpr int kMaxPortTries = 16;

/// How long after the start of its command a run gives back what only the start needed.
inline constexpr base::Duration kSettled = std::chrono::seconds(2);

}  // namespace warren::netns
