// Every limit and waiting time of the gateway, by name.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/time.hpp"

namespace warren::gateway {

/// One question to an engine over its userspace API; an engine that is silent for longer is stuck.
inline constexpr base::Duration kEngineExchange = std::chrono::seconds(2);
/// From the start of an engine's process until it has taken its configuration.
inline constexpr base::Duration kEngineStart = std::chrono::seconds(5);
/// From the request to end until the engine is killed.
inline constexpr base::Duration kEngineStop = std::chrono::seconds(2);
/// Engines that are killed before the first of them is waited for.
inline constexpr std::size_t kEnginesEndedTogether = 64;
/// How long an engine may take to accept a new opener, and how often it is asked meanwhile.
inline constexpr base::Duration kAdoption = std::chrono::seconds(2);
inline constexpr base::Duration kAdoptionPause = std::chrono::milliseconds(20);

/// An engine that ends is started again at once this often; then after a pause that doubles.
inline constexpr unsigned kFastRestarts = 3;
inline constexpr base::Duration kFirstBackoff = std::chrono::milliseconds(250);
inline constexpr base::Duration kMaxBackoff = std::chrono::seconds(30);
/// An engine that ran this long is healthy: its earlier ends are forgotten.
inline constexpr base::Duration kStableAfter = std::chrono::seconds(60);

/// An engine's log file is set aside (one generation is kept) when it is larger.
inline constexpr std::size_t kEngineLogBytes = 1 << 20;
/// What the answer of an engine may measure: 130,000 peers with a few allowed IPs each.
inline constexpr std::size_t kEngineAnswerBytes = 64 << 20;

/// How often what a denial could not apply at once is tried again.
inline constexpr base::Duration kRetryPending = std::chrono::seconds(2);
/// Changes of the host's addresses and routes are gathered this long before engines are told.
inline constexpr base::Duration kNetworkChangeDelay = std::chrono::milliseconds(300);

/// Changes of a network are gathered this long before its name server is told. Where that takes
/// long (many members) it is so many times what it took last, at most the second of these.
inline constexpr base::Duration kNameChangeDelay = std::chrono::milliseconds(50);
inline constexpr base::Duration kMaxNameChangeDelay = std::chrono::milliseconds(500);
inline constexpr int kNameChangeShare = 10;

/// A settings file may measure this much.
inline constexpr std::size_t kSettingsBytes = 1 << 20;
/// What relays to resolvers of the host carry at a time: of one network, and of all.
inline constexpr std::size_t kRelayQuestions = 64;
inline constexpr unsigned kRelayQuestionsOfAll = 256;
inline constexpr int kRelayConnections = 8;
inline constexpr unsigned kRelayConnectionsOfAll = 32;
/// Relays of one network: resolvers that it asks through them.
inline constexpr std::size_t kRelaysPerNetwork = 3;
/// A question or answer over UDP; a larger one is not carried.
inline constexpr std::size_t kRelayDatagram = 4096;
/// How long a resolver may take to answer, and a connection to it be silent.
inline constexpr base::Duration kRelayPatience = std::chrono::seconds(5);
inline constexpr base::Duration kRelayIdle = std::chrono::seconds(10);
/// After a failure to receive or to accept.
inline constexpr base::Duration kRelayPause = std::chrono::milliseconds(100);

/// `doctor names`: so many questions are on their way at once, and no more are asked after this.
inline constexpr std::size_t kNamesDoctorQuestions = 256;
inline constexpr base::Duration kNamesDoctor = std::chrono::seconds(3);

/// A file of the state directory, other than the database, that goes into a backup.
inline constexpr std::size_t kBackupFileBytes = 16 << 20;
/// How often old records of the audit are looked for.
inline constexpr base::Duration kForgetAudit = std::chrono::hours(24);

/// Questions of one engine that are answered before others have their turn.
inline constexpr unsigned kOpenerQuestionsPerTurn = 16;
/// Lowest UDP port that an engine may ask for, other than its network's own.
inline constexpr std::uint16_t kFirstFreePort = 1024;

}  // namespace warren::gateway
