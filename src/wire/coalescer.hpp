// Coalescer: packets of one flow that follow each other become one super-packet, which a tun takes
// in one write and the kernel carries up in one piece. The reverse of Segments: cutting what comes
// out gives the same packets, byte for byte.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "wire/offload.hpp"

namespace warren::wire {

/// What may be merged: what the device was probed to accept.
struct CoalesceOptions {
  Layer layer = Layer::Packet;
  bool tcp4 = true;
  bool tcp6 = true;
  bool udp4 = true;
  bool udp6 = true;
};

/// One packet or super-packet to write: the pieces one after the other, the vnet header of
/// `offload` in front of them.
struct Coalesced {
  Offload offload;
  std::span<const base::Bytes> pieces;
  std::size_t packets = 1;  ///< how many came together
  std::size_t bytes = 0;    ///< of all pieces
};

/// Bounds: flows open at once, packets in one super-packet, its bytes.
inline constexpr std::size_t kOpenFlows = 32;
inline constexpr std::size_t kMaxCoalesced = 64;
inline constexpr std::size_t kMaxCoalescedBytes = 65535;

/// Usage: add() each packet of a batch in its order, then finish(), then take the results in their
/// order with results(), then clear(). Packets of one flow keep their order; nothing is held back
/// beyond one batch. Nothing allocates once the vectors have grown.
class Coalescer {
 public:
  explicit Coalescer(CoalesceOptions options) : options_(options) {}

  /// The bytes must stay, and may be changed (headers), until clear().  HOT PATH
  void add(base::MutableBytes packet);
  /// Completes the headers of all super-packets.
  void finish();
  [[nodiscard]] std::size_t result_count() const;
  [[nodiscard]] Coalesced result(std::size_t index) const;
  void clear();

 private:
  CoalesceOptions options_;
  // The implementer's state.
};

}  // namespace warren::wire
