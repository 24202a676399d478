// Every limit of the proxy, in one place.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::proxy {

/// Programs connected at the same time; more wait in the listener's queue.
inline constexpr std::size_t kMaxConnections = 512;
/// How long a client may take to say who it is and what it wants.
inline constexpr base::Duration kRequestTime = std::chrono::seconds(10);
/// One address of a target may take so long to accept when there are others to try …
inline constexpr base::Duration kConnectOneTime = std::chrono::seconds(5);
/// … and the last one.
inline constexpr base::Duration kConnectTime = std::chrono::seconds(30);
/// Addresses of a name that are tried.
inline constexpr std::size_t kMaxTargets = 8;
/// A target that acknowledges nothing of what was sent for so long is gone.
inline constexpr base::Duration kStallTime = std::chrono::seconds(60);
/// A connection on which neither side said anything for so long is ended.
inline constexpr base::Duration kIdleTime = std::chrono::hours(2);
/// A connection at rest is tried after this time, so often, with these pauses.
inline constexpr base::Duration kKeepaliveIdle = std::chrono::minutes(5);
inline constexpr base::Duration kKeepalivePause = std::chrono::seconds(30);
inline constexpr unsigned kKeepaliveTries = 6;
/// How long the rest of what a refused client sends is read, so that it sees the answer.
inline constexpr base::Duration kFarewellTime = std::chrono::seconds(2);
/// The head of an HTTP request.
inline constexpr std::size_t kMaxHttpHead = 16 << 10;
/// Read from a client at once, and in one turn of the loop.
inline constexpr std::size_t kReadChunk = 16 << 10;
inline constexpr std::size_t kReadPerTurn = 64 << 10;
/// Packets taken from the tunnel in one turn of the loop.
inline constexpr std::size_t kPacketsPerTurn = 128;
/// Connections that have ended but whose port the stack still keeps (TIME-WAIT).
inline constexpr std::size_t kMaxTimeWait = 256;

/// Names being looked up at the same time, over all clients.
inline constexpr std::size_t kMaxLookups = 256;
/// Name servers that are asked, rounds over all of them, and the wait for each.
inline constexpr std::size_t kMaxDnsServers = 3;
inline constexpr std::size_t kDnsRounds = 4;
inline constexpr base::Duration kDnsPatience = std::chrono::seconds(2);
inline constexpr std::size_t kMaxDnsAddresses = 16;
inline constexpr std::size_t kMaxDnsSearch = 6;
/// Names whose addresses are kept, and how long at least and at most.
inline constexpr std::size_t kMaxKnownNames = 256;
inline constexpr base::Duration kLeastTtl = std::chrono::seconds(1);
inline constexpr base::Duration kMostTtl = std::chrono::minutes(5);

/// UDP associations at the same time are as many as relay sockets were given (StackSettings).
/// Datagrams of one association that wait for a name.
inline constexpr std::size_t kMaxWaitingDatagrams = 16;
/// Datagrams that one association hands on in one turn of the loop.
inline constexpr std::size_t kDatagramsPerTurn = 32;
inline constexpr std::size_t kMaxDatagram = 65507;

/// Clients, relays, and what the process itself needs.
inline constexpr std::size_t kStackDescriptors = kMaxConnections + 256 + 64;
/// The stack's own clock (lwIP's TCP_TMR_INTERVAL).
inline constexpr base::Duration kStackTick = std::chrono::milliseconds(250);
/// It rests when nothing has come through the tunnel for so long and no connection is open.
inline constexpr base::Duration kStackRest = std::chrono::seconds(60);
/// Pause between two echo requests while waiting for the first answer.
inline constexpr base::Duration kEchoPause = std::chrono::milliseconds(250);

}  // namespace warren::proxy
