// Coalescer: packets of one flow that follow each other become one super-packet, which a tun takes
// in one write and the kernel carries up in one piece. The reverse of Segments: cutting what comes
// out gives the same packets, byte for byte (but for one freedom with IPv4 identifications, told in
// coalescer.cpp).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "wire/headers.hpp"
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
  /// What a packet of a flow may be: the first of a super-packet or its next.
  struct Candidate {
    std::size_t payload = 0;  ///< where it begins; it ends with the packet
    bool push = false;
  };
  /// A result while it grows.
  struct Result {
    std::uint8_t* first = nullptr;  ///< the first packet
    std::uint32_t first_piece = 0;  ///< in chain_; after finish() in pieces_
    std::uint32_t last_piece = 0;   ///< in chain_
    std::uint32_t packets = 1;
    std::uint32_t bytes = 0;
    std::uint32_t next_sequence = 0;
    std::uint32_t network = 0;
    std::uint32_t transport = 0;
    std::uint32_t payload = 0;  ///< bytes of all headers
    std::uint32_t segment = 0;  ///< payload bytes of the first packet
    std::uint16_t id_step = 0;
    std::uint8_t protocol = 0;
    bool v6 = false;
    bool verified = false;  ///< the first packet's checksums
    bool push = false;
    bool ended = false;  ///< nothing can follow the last packet
  };
  struct OpenFlow {
    std::uint64_t hash = 0;
    std::uint32_t result = 0;
  };
  struct Link {
    base::Bytes piece;
    std::uint32_t next = 0;
  };
  enum class Join : std::uint8_t { Joined, Refused, Damaged };

  [[nodiscard]] std::optional<Candidate> candidate_of(base::Bytes packet,
                                                      const Headers& headers) const;
  [[nodiscard]] std::size_t find(std::uint64_t hash, base::Bytes packet, const Headers& headers);
  [[nodiscard]] Join try_join(Result& result, base::Bytes packet, const Headers& headers,
                              const Candidate& candidate);
  void append(Result& result, base::Bytes packet, const Candidate& candidate);
  void add_alone(base::MutableBytes packet);
  void open(std::uint64_t hash, base::Bytes packet, const Headers& headers,
            const Candidate& candidate);
  void close(std::size_t flow) { open_[flow] = open_[--open_count_]; }
  void close_between(base::Bytes packet, const Headers& headers);
  void complete(const Result& result) const;

  CoalesceOptions options_;
  std::vector<Result> results_;
  std::vector<Link> chain_;          ///< pieces in the order they came
  std::vector<base::Bytes> pieces_;  ///< from finish() on: pieces in the order of the results
  std::array<OpenFlow, kOpenFlows> open_;
  std::size_t open_count_ = 0;
  std::size_t recent_ = 0;  ///< the flow found last: a guess
};

}  // namespace warren::wire
