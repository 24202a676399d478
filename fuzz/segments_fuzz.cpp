// A vnet header and a packet as a kernel or a guest might hand them over, cut: whatever they claim,
// reading stays inside the bytes, and the pieces that come out are packets of their own. Cut again,
// a piece is itself; and where nothing stood behind the IP packet, all payload bytes are there.
//
//   u8       layer: 0 packet, 1 frame
//   10 bytes the vnet header
//   the packet
#include <algorithm>
#include <vector>

#include "base/assert.hpp"
#include "wire/headers.hpp"
#include "wire/segments.hpp"

namespace {

namespace base = warren::base;
namespace wire = warren::wire;

/// A cut of more pieces than this costs more time than it tells.
constexpr std::size_t kMaxPieces = 300;

void check_piece(base::Bytes piece, const wire::Offload& offload, wire::Layer layer) {
  const auto headers = wire::parse_headers(piece, layer);
  WARREN_ASSERT(headers && headers->end == piece.size() && !headers->fragment);
  wire::Offload again = offload;
  again.needs_checksum = false;
  const auto alone = wire::Segments::of(piece, again, layer);
  if (!alone) {
    WARREN_ASSERT(!headers->plain);  // only there the offload's own sum is needed
    return;
  }
  WARREN_ASSERT(alone->count() == 1 && alone->size(0) == piece.size());
  std::vector<std::uint8_t> out(piece.size());
  alone->write(0, out);
  WARREN_ASSERT(std::ranges::equal(out, piece));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteReader in({data, size});
  const wire::Layer layer = in.u8() % 2 == 0 ? wire::Layer::Packet : wire::Layer::Frame;
  const base::Bytes header = in.take(wire::kVnetHeaderSize);
  if (!in.ok()) return 0;
  const base::Bytes packet = in.rest();
  const auto offload = wire::read_vnet_header(header, packet, layer);
  if (!offload) return 0;
  std::vector<std::uint8_t> written(wire::kVnetHeaderSize);
  wire::write_vnet_header(*offload, written);
  WARREN_ASSERT(wire::read_vnet_header(written, packet, layer) == offload);
  const auto segments = wire::Segments::of(packet, *offload, layer);
  if (!segments || segments->count() > kMaxPieces) return 0;
  for (std::size_t i = 0; i < segments->count(); ++i) {
    std::vector<std::uint8_t> out(segments->size(i));
    segments->write(i, out);
    if (offload->cut != wire::Offload::Cut::None) check_piece(out, *offload, layer);
  }
  return 0;
}
