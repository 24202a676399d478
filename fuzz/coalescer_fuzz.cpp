// Any packets, coalesced, and what came out cut again: in each flow the same packets in the same
// order, byte for byte. (Identifications of atomic IPv4 packets that were all the same come back
// counted up; they are put back before comparing.)
//
//   u8  bit 0: frames; bits 1 to 4: TCP4, TCP6, UDP4, UDP6 are not merged
//   then records: u8 kind, content
//     0: u16 size, bytes: a packet as it is
//     1: u8 segment size, u16 size, bytes: a super-packet, cut first: a train of packets that
//        follow each other, with right checksums
#include <algorithm>
#include <map>
#include <vector>

#include "base/assert.hpp"
#include "wire/checksum.hpp"
#include "wire/coalescer.hpp"
#include "wire/segments.hpp"

namespace {

namespace base = warren::base;
namespace wire = warren::wire;

using Buffer = std::vector<std::uint8_t>;

constexpr std::size_t kMaxPackets = 300;

/// Adds `packet` cut by its own kind, so that the pieces' sums are right; as it is where it
/// cannot be.
void add_train(Buffer packet, std::size_t segment_size, wire::Layer layer,
               std::vector<Buffer>& packets) {
  const auto headers = wire::parse_headers(packet, layer);
  using Cut = wire::Offload::Cut;
  wire::Offload offload;
  if (headers && headers->protocol == wire::kTcp) offload.cut = headers->v6 ? Cut::Tcp6 : Cut::Tcp4;
  if (headers && headers->protocol == wire::kUdp) offload.cut = headers->v6 ? Cut::Udp6 : Cut::Udp4;
  offload.segment_size = static_cast<std::uint16_t>(segment_size);
  const auto segments = wire::Segments::of(packet, offload, layer);
  if (!segments || segments->count() > kMaxPackets) {
    packets.push_back(std::move(packet));
    return;
  }
  for (std::size_t i = 0; i < segments->count(); ++i) {
    packets.emplace_back(segments->size(i));
    segments->write(i, packets.back());
  }
}

std::vector<Buffer> read_packets(base::ByteReader& in, wire::Layer layer) {
  std::vector<Buffer> packets;
  while (in.ok() && !in.rest().empty() && packets.size() < kMaxPackets) {
    const std::uint8_t kind = in.u8();
    const std::size_t segment_size = kind % 2 == 1 ? in.u8() : 0U;
    const std::size_t size = std::min<std::size_t>(in.u16_be(), in.rest().size());
    const base::Bytes bytes = in.take(size);
    if (!in.ok()) break;
    Buffer packet(bytes.begin(), bytes.end());
    if (kind % 2 == 0) {
      packets.push_back(std::move(packet));
    } else {
      add_train(std::move(packet), segment_size, layer, packets);
    }
  }
  return packets;
}

/// Link header, addresses, protocol and ports; what has none shares one key with all of its kind.
Buffer flow_of(const Buffer& packet, wire::Layer layer) {
  const auto headers = wire::parse_headers(packet, layer);
  if (!headers) return {};
  const base::Bytes addresses = headers->addresses(packet);
  Buffer key(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(headers->network));
  key.insert(key.end(), addresses.begin(), addresses.end());
  key.push_back(headers->protocol);
  if (headers->fragment || headers->end - headers->transport < 4) return key;
  key.insert(key.end(), packet.begin() + static_cast<std::ptrdiff_t>(headers->transport),
             packet.begin() + static_cast<std::ptrdiff_t>(headers->transport + 4));
  return key;
}

/// Without what may differ: identification and header checksum of an atomic IPv4 packet whose
/// header checksum is right.
Buffer comparable(Buffer packet, wire::Layer layer) {
  const auto headers = wire::parse_headers(packet, layer);
  if (!headers || headers->v6 || headers->fragment) return packet;
  std::uint8_t* ip = packet.data() + headers->network;
  const base::Bytes header(ip, headers->transport - headers->network);
  if ((ip[6] & 0x40) == 0 || wire::fold(wire::sum_bytes(header)) != 0xffff) return packet;
  wire::store_u16_be(ip + 4, 0);
  wire::store_u16_be(ip + 10, 0);
  return packet;
}

using Flows = std::map<Buffer, std::vector<Buffer>>;

void note(Flows& flows, const Buffer& packet, wire::Layer layer) {
  flows[flow_of(packet, layer)].push_back(comparable(packet, layer));
}

void note_result(Flows& flows, const wire::Coalesced& result, wire::Layer layer) {
  Buffer bytes;
  for (const base::Bytes piece : result.pieces) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  WARREN_ASSERT(bytes.size() == result.bytes && result.pieces.size() == result.packets);
  if (result.packets == 1) {
    WARREN_ASSERT(result.offload == wire::Offload{});
    note(flows, bytes, layer);
    return;
  }
  WARREN_ASSERT(result.packets <= wire::kMaxCoalesced && result.bytes <= wire::kMaxCoalescedBytes);
  const auto segments = wire::Segments::of(bytes, result.offload, layer);
  WARREN_ASSERT(segments && segments->count() == result.packets);
  for (std::size_t i = 0; i < segments->count(); ++i) {
    Buffer packet(segments->size(i));
    segments->write(i, packet);
    note(flows, packet, layer);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  base::ByteReader in({data, size});
  const std::uint8_t options = in.u8();
  const wire::Layer layer = options % 2 == 0 ? wire::Layer::Packet : wire::Layer::Frame;
  std::vector<Buffer> packets = read_packets(in, layer);
  Flows before;
  for (const Buffer& packet : packets) note(before, packet, layer);
  wire::Coalescer coalescer({.layer = layer,
                             .tcp4 = (options & 2) == 0,
                             .tcp6 = (options & 4) == 0,
                             .udp4 = (options & 8) == 0,
                             .udp6 = (options & 16) == 0});
  for (Buffer& packet : packets) coalescer.add(packet);
  coalescer.finish();
  Flows after;
  for (std::size_t i = 0; i < coalescer.result_count(); ++i) {
    note_result(after, coalescer.result(i), layer);
  }
  WARREN_ASSERT(before == after);
  return 0;
}
