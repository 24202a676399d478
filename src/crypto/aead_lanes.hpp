// ChaCha20-Poly1305 of many packets at once: what a vector unit must offer, and the order in which
// it is used. Private to this module.
//
// Theory of operation. One packet is a chain of dependent steps; many packets are as many chains
// that do not know each other. So packets are worked on in groups of up to kLanes, and a vector
// register holds the same variable of different blocks (ChaCha20) or different packets (Poly1305):
//
//   poly_keys   block 0 of every packet of the group, one lane each: the Poly1305 keys
//   crypt       the other blocks of all packets in one line, the next free lane takes the next
//               block of whatever packet; no lane is idle but in the last pass
//   macs        one packet per lane, blocks in lockstep; a lane whose packet has ended is masked
//
// Packets are ordered by size first, so that the lanes of a group end at about the same time.
// Opening computes all tags of a group and compares them before any text is decrypted, and
// decrypts only what is authentic. Branches and addresses depend on sizes, never on contents.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "crypto/crypto.hpp"

namespace warren::crypto {

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kChachaBlock = 64;

/// The one-time keys of a group of packets, before clamping, as little-endian halves.
struct alignas(64) PolyKeys {
  std::uint64_t r_low[kLanes];
  std::uint64_t r_high[kLanes];
  std::uint64_t s_low[kLanes];
  std::uint64_t s_high[kLanes];
};
struct alignas(64) PolyTags {
  std::uint64_t low[kLanes];
  std::uint64_t high[kLanes];
};
/// 1..kLanes packets.
using Group = std::span<const AeadJob* const>;

/// What a vector unit does for one group.
struct VectorUnit {
  void (*poly_keys)(Group group, PolyKeys& keys);
  void (*crypt)(Group group);
  void (*macs)(Group group, const PolyKeys& keys, PolyTags& tags);
};

/// The contracts of the public `seal` and `open`, on a vector unit.
void seal_in_lanes(const VectorUnit& unit, std::span<AeadJob> jobs);
void open_in_lanes(const VectorUnit& unit, std::span<AeadJob> jobs);

/// Whether all packets of a group have one key, so that it can be broadcast.
[[nodiscard]] bool one_key(Group group);

/// Gives out the blocks 1.. of a group's packets in line. Inline: it is asked once or twice per
/// packet, and by code that has its vector registers full.
class BlockLine {
 public:
  explicit BlockLine(Group group) : group_(group) { skip_finished(); }

  /// Consecutive blocks of one packet.
  struct Run {
    const AeadJob* job;
    std::uint32_t first;  ///< ChaCha20's block counter of the first one
    std::size_t blocks;
    base::MutableBytes text;  ///< what they cover; shorter than the blocks at a packet's end
  };
  [[nodiscard]] bool done() const { return index_ == group_.size(); }
  /// At most `limit` blocks. Not to be called when done.
  [[nodiscard]] Run take(std::size_t limit) {
    const AeadJob& job = *group_[index_];
    const std::size_t left = job.text.size() - offset_;
    const std::size_t size = left < limit * kChachaBlock ? left : limit * kChachaBlock;
    const Run run{.job = &job,
                  .first = static_cast<std::uint32_t>(1 + offset_ / kChachaBlock),
                  .blocks = (size + kChachaBlock - 1) / kChachaBlock,
                  .text = {job.text.data() + offset_, size}};
    offset_ += size;
    skip_finished();
    return run;
  }

 private:
  void skip_finished() {
    while (index_ < group_.size() && offset_ == group_[index_]->text.size()) {
      ++index_;
      offset_ = 0;
    }
  }

  Group group_;
  std::size_t index_ = 0;
  std::size_t offset_ = 0;
};

}  // namespace warren::crypto
