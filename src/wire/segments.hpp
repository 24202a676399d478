// Segments: a super-packet (TSO, USO) seen as the packets that it stands for, each with its own
// lengths, sequence numbers and checksums: what the kernel's own segmentation would have sent.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "wire/offload.hpp"

namespace warren::wire {

class Segments {
 public:
  /// Checks headers against `offload` and the lengths in the headers against the bytes. A packet
  /// with Cut::None is one segment, its checksum completed where asked for. nullopt: malformed. The
  /// bytes must outlive this.
  [[nodiscard]] static std::optional<Segments> of(base::Bytes packet, const Offload& offload,
                                                  Layer layer);

  /// At least 1.
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Bytes of segment `index`, headers included; all but the last are equal.
  [[nodiscard]] std::size_t size(std::size_t index) const {
    return index + 1 < count_ ? header_ + payload_ : last_;
  }
  /// Writes segment `index` whole; `out` has exactly size(index) bytes.  HOT PATH
  void write(std::size_t index, base::MutableBytes out) const;

 private:
  Segments() = default;

  base::Bytes packet_;
  Offload offload_;
  Layer layer_ = Layer::Packet;
  std::size_t header_ = 0;   ///< bytes before the payload
  std::size_t payload_ = 0;  ///< payload bytes of every segment but the last
  std::size_t last_ = 0;     ///< size of the last segment, headers included
  std::size_t count_ = 0;
  // The writer may keep here what is the same for all segments (partial checksums, offsets).
};

}  // namespace warren::wire
