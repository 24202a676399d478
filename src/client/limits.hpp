// Every limit of the client, by name.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::client {

/// The daemon's answer: creating a network with its probe, or a revocation, may take a while.
inline constexpr base::Duration kDaemonTimeout = std::chrono::seconds(60);
inline constexpr base::Duration kConnectTimeout = std::chrono::seconds(5);    ///< per address
inline constexpr base::Duration kHandshakeTimeout = std::chrono::seconds(5);  ///< per address
inline constexpr base::Duration kEnrolTimeout = std::chrono::seconds(15);
/// Leaving: a host that is taken down shall not wait for long; a lease ends without it.
inline constexpr base::Duration kLeaveTimeout = std::chrono::seconds(10);
/// How long a gateway that has too much to do is asked again: many runs may end at once.
inline constexpr base::Duration kLeaveBusyFor = std::chrono::seconds(30);
/// How long a request for a member's state waits at the gateway, and at most a part of its lease.
inline constexpr base::Duration kSyncWait = std::chrono::seconds(50);
/// After a failure the next attempt waits, twice as long each time.
inline constexpr base::Duration kFirstRetry = std::chrono::milliseconds(500);
inline constexpr base::Duration kLastRetry = std::chrono::seconds(15);
/// Told to come back: the gateway has too many that wait.
inline constexpr base::Duration kComeBack = std::chrono::seconds(30);
/// How long a gateway that has too much to do is asked again, and the pauses in between, twice as
/// long each time; it may ask for longer ones, up to the last.
inline constexpr base::Duration kBusyFor = std::chrono::minutes(2);
inline constexpr base::Duration kFirstBusyPause = std::chrono::milliseconds(250);
inline constexpr base::Duration kLastBusyPause = std::chrono::seconds(8);
/// Whoever waits for a busy gateway this long is told so.
inline constexpr base::Duration kSilentWait = std::chrono::seconds(3);
/// Two that ask with one key end each other's wait; this keeps them from doing it all the time.
inline constexpr base::Duration kEarlyPause = std::chrono::seconds(10);
/// A gateway that says something new all the time is not heard more often than this.
inline constexpr base::Duration kChangePause = std::chrono::milliseconds(250);
/// A gateway that gives no certificate is asked for one again after this.
inline constexpr base::Duration kCertificatePause = std::chrono::minutes(1);
inline constexpr std::size_t kMaxAddresses = 16;  ///< of one gateway name, tried in turn
inline constexpr std::size_t kMaxAnswerBytes = std::size_t{16} << 20;
/// Of an answer in one read.
inline constexpr std::size_t kReadAtOnce = std::size_t{64} << 10;
/// What of a gateway's error is shown.
inline constexpr std::size_t kMaxMessageBytes = 4096;
inline constexpr std::size_t kMaxEnrolAnswerBytes = std::size_t{64} << 10;
/// A stream of events that says nothing for so long has no server any more.
inline constexpr base::Duration kEventSilence = std::chrono::seconds(45);
inline constexpr std::size_t kMaxEventBytes = std::size_t{64} << 10;
inline constexpr std::size_t kMaxNoteBytes = std::size_t{64} << 10;
/// Members keep their NAT mapping open, so that the network reaches them when they are idle.
inline constexpr std::uint16_t kKeepaliveSeconds = 25;

}  // namespace warren::client
