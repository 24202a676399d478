// The virtio-net header, native byte order: u8 flags, u8 gso_type, u16 hdr_len, gso_size,
// csum_start, csum_offset. hdr_len is carried as a hint; nothing relies on it. The ECN bit of
// gso_type says that the first piece has CWR: it can be seen in the packet, so it is not kept.
#include "wire/offload.hpp"

#include <cstring>

#include "base/assert.hpp"
#include "wire/headers.hpp"

namespace warren::wire {

namespace {

constexpr std::uint8_t kNeedsChecksum = 1;

constexpr std::uint8_t kGsoNone = 0;
constexpr std::uint8_t kGsoTcp4 = 1;
constexpr std::uint8_t kGsoTcp6 = 4;
constexpr std::uint8_t kGsoUdp = 5;
constexpr std::uint8_t kGsoEcn = 0x80;

struct VnetHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  std::uint16_t hdr_len;
  std::uint16_t gso_size;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == kVnetHeaderSize);

using Cut = Offload::Cut;

/// The kind of cutting that `gso_type` means for this packet.
std::optional<Cut> cut_of(std::uint8_t gso_type, base::Bytes packet, Layer layer) {
  gso_type = static_cast<std::uint8_t>(gso_type & ~kGsoEcn);
  if (gso_type == kGsoNone) return Cut::None;
  const auto headers = parse_headers(packet, layer);
  if (!headers) return std::nullopt;
  switch (gso_type) {
    case kGsoTcp4:
      return headers->v6 ? std::nullopt : std::optional(Cut::Tcp4);
    case kGsoTcp6:
      return headers->v6 ? std::optional(Cut::Tcp6) : std::nullopt;
    case kGsoUdp:
      return headers->v6 ? Cut::Udp6 : Cut::Udp4;
    default:
      return std::nullopt;
  }
}

std::uint8_t gso_type_of(Cut cut) {
  switch (cut) {
    case Cut::None:
      return kGsoNone;
    case Cut::Tcp4:
      return kGsoTcp4;
    case Cut::Tcp6:
      return kGsoTcp6;
    case Cut::Udp4:
    case Cut::Udp6:
      return kGsoUdp;
  }
  return kGsoNone;
}

}  // namespace

std::optional<Offload> read_vnet_header(base::Bytes header, base::Bytes packet, Layer layer) {
  if (header.size() < kVnetHeaderSize) return std::nullopt;
  VnetHeader from;
  std::memcpy(&from, header.data(), kVnetHeaderSize);
  const auto cut = cut_of(from.gso_type, packet, layer);
  if (!cut) return std::nullopt;
  Offload offload;
  if (*cut != Cut::None) {
    if (from.gso_size == 0) return std::nullopt;
    offload.cut = *cut;
    offload.header_size = from.hdr_len;
    offload.segment_size = from.gso_size;
  }
  if ((from.flags & kNeedsChecksum) != 0) {
    if (std::size_t{from.csum_start} + from.csum_offset + 2 > packet.size()) return std::nullopt;
    offload.needs_checksum = true;
    offload.checksum_start = from.csum_start;
    offload.checksum_offset = from.csum_offset;
  }
  return offload;
}

void write_vnet_header(const Offload& offload, base::MutableBytes header) {
  WARREN_ASSERT(header.size() >= kVnetHeaderSize);
  VnetHeader to{};
  to.gso_type = gso_type_of(offload.cut);
  if (offload.cut != Cut::None) {
    to.hdr_len = offload.header_size;
    to.gso_size = offload.segment_size;
  }
  if (offload.needs_checksum) {
    to.flags = kNeedsChecksum;
    to.csum_start = offload.checksum_start;
    to.csum_offset = offload.checksum_offset;
  }
  std::memcpy(header.data(), &to, kVnetHeaderSize);
}

}  // namespace warren::wire
