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

}  // namespace warren::node
