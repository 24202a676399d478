// Every bound of the engine by its name.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/time.hpp"

namespace warren::engine {

/// The largest inner packet or datagram: IP allows no more.
inline constexpr std::size_t kMaxPacketBytes = 65536;
/// Packet slots of one engine; untouched pages of a slot cost nothing.
inline constexpr std::size_t kPoolPackets = 4096;
/// Packets taken from the tun, and datagrams from a socket, before the other direction has its
/// turn.
inline constexpr std::size_t kTunBatch = 64;
inline constexpr std::size_t kUdpBatch = 64;
/// Datagrams of one family that wait for room in the socket; more are dropped.
inline constexpr std::size_t kMaxPendingDatagrams = 1024;
/// Remote endpoints whose local address is remembered.
inline constexpr std::size_t kSourceCacheEntries = 1024;
/// Connections to the userspace API; one more ends the oldest.
inline constexpr std::size_t kMaxApiConnections = 16;
/// How long the opener may take to answer.
inline constexpr base::Duration kOpenerAnswer = std::chrono::seconds(5);
/// Attempts to find a port that is free in both address families.
inline constexpr int kRandomPortAttempts = 16;
/// After a restart: handshakes started per tick with peers active within the last minutes.
inline constexpr std::size_t kResumePerTick = 64;
inline constexpr base::Duration kResumeTick = std::chrono::milliseconds(10);
inline constexpr base::Duration kResumeWithin = std::chrono::minutes(3);
/// Changes of the host's addresses and routes within this time are answered once: each answer is a
/// keepalive to every active peer.
inline constexpr base::Duration kNetworkChangePace = std::chrono::seconds(1);
/// Unused packet slots are given back after this long without a packet.
inline constexpr base::Duration kIdleAfter = std::chrono::seconds(10);
/// Bytes that a sandboxed engine may add to its log file: /run is memory.
inline constexpr std::size_t kMaxLogGrowth = std::size_t{16} << 20;
/// Descriptors a sandboxed engine may hold.
inline constexpr std::size_t kMaxDescriptors = 64;

}  // namespace warren::engine
