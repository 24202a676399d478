// Every limit of the node that is not one of the protocol's (those are in wg/limits.hpp). The two
// packet queues need none: they are drained after every batch, and whoever owns the pool has
// bounded what can wait in them.
#pragma once

#include <cstddef>

namespace warren::node {

/// Events kept for the caller; the oldest goes first.
inline constexpr std::size_t kMaxEvents = 4096;
/// Smallest content of a pool that a node accepts.
inline constexpr std::size_t kMinPoolContent = 2048;
/// Packets that wait for handshakes hold at most one in this many of the pool's: peers that do not
/// answer must not take the buffers that the others receive and send with.
inline constexpr std::size_t kStagedShare = 4;

/// Handshake messages that wait to be handled: those whose senders have shown that they receive at
/// their address, and as many others. Their memory (200 bytes each) exists only while they wait.
inline constexpr std::size_t kMaxWaitingHandshakes = 16384;
/// More waiting than this is a load: senders must prove their address.
inline constexpr std::size_t kUnderLoadWaiting = 512;
/// A message that is answered with a cookie, or refused before any public-key work, costs this
/// fraction of one that is not.
inline constexpr std::size_t kCheapHandshakes = 32;
/// So many of those are handled under one lock.
inline constexpr std::size_t kCheapInARow = 8;
/// handle_timeout stops when this many datagrams and initiations wait: far fewer than the pool has
/// slots.
inline constexpr std::size_t kTimeoutOutput = 128;
/// Trains that one batch keeps open at a time: one per peer that it sends to.
inline constexpr std::size_t kOpenTrains = 16;

}  // namespace warren::node
