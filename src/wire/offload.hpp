// Offload: what the kernel left undone on a packet that it handed over, or may finish on one that
// it is handed: the virtio-net header of a tun or tap, decoded.
// Source: virtio 1.2, section 5.1.6; linux/virtio_net.h (IFF_VNET_HDR: 10 bytes, native order).
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace warren::wire {

/// What a buffer starts with: an IP header (tun), or an Ethernet header (tap).
enum class Layer : std::uint8_t { Packet, Frame };

/// Bytes of the header in front of every packet of a device with IFF_VNET_HDR.
inline constexpr std::size_t kVnetHeaderSize = 10;

struct Offload {
  /// How the packet is to be cut; None: it is one packet as it is.
  enum class Cut : std::uint8_t { None, Tcp4, Tcp6, Udp4, Udp6 };

  Cut cut = Cut::None;
  /// The transport checksum holds only the pseudo-header's sum and has to be completed.
  bool needs_checksum = false;
  std::uint16_t header_size = 0;     ///< bytes before the payload, where cut (a hint of the kernel)
  std::uint16_t segment_size = 0;    ///< payload bytes of every piece but the last, where cut
  std::uint16_t checksum_start = 0;  ///< where summing begins, where needs_checksum
  std::uint16_t checksum_offset = 0;  ///< where the sum goes, from checksum_start

  bool operator==(const Offload&) const = default;
};

/// nullopt: too short, or a kind of segmentation that was never asked for.
[[nodiscard]] std::optional<Offload> read_vnet_header(base::Bytes header, base::Bytes packet,
                                                      Layer layer);
/// Needs kVnetHeaderSize bytes.
void write_vnet_header(const Offload& offload, base::MutableBytes header);

}  // namespace warren::wire
