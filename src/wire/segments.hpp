// Segments: a super-packet (TSO, USO) seen as the packets that it stands for, each with its own
// lengths, sequence numbers and checksums: what the kernel's own segmentation would have sent.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"
#include "wire/checksum.hpp"
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

  [[nodiscard]] bool prepare_cut(Layer layer);
  void write_whole(std::uint8_t* out) const;
  void write_network(std::size_t index, base::MutableBytes out) const;
  void write_tcp(std::size_t index, base::MutableBytes out, Sum payload_sum) const;
  void write_udp(base::MutableBytes out, Sum payload_sum) const;

  base::Bytes packet_;
  Offload offload_;
  std::size_t header_ = 0;   ///< bytes before the payload
  std::size_t payload_ = 0;  ///< payload bytes of every segment but the last
  std::size_t last_ = 0;     ///< size of the last segment, headers included
  std::size_t count_ = 0;

  // Where cut: the headers' places, and what all segments share.
  bool v6_ = false;
  bool tcp_ = false;
  std::size_t network_ = 0;
  std::size_t transport_ = 0;
  Sum network_sum_ = 0;    ///< the unchanging words of an IPv4 header
  Sum transport_sum_ = 0;  ///< of the pseudo-header and the transport header
  std::uint16_t first_id_ = 0;
  std::uint32_t first_sequence_ = 0;
};

}  // namespace warren::wire
