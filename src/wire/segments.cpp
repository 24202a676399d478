// Theory of operation: of() looks once at the headers and keeps what every segment shares: where
// the headers lie, and the sums of their unchanging words. write() then copies the headers, copies
// the payload while summing it, and fills in what differs, as the kernel's tcp_gso_segment() and
// __udp_gso_segment() do:
//
//   IPv4   total length; identification: the first one's plus the index; header checksum
//   IPv6   payload length
//   TCP    sequence; FIN and PSH stay on the last segment only, CWR on the first; checksum
//   UDP    length; checksum, never 0
//
// The addresses of the pseudo-header are those of the IP header, unless there are options or
// extension headers: these may route, and the checksum is over the last destination. There the
// kernel's own partial sum in the checksum field is built upon.
//
// What lies behind the IP packet's own length (Ethernet padding) is not carried over into segments.
#include "wire/segments.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "wire/checksum.hpp"
#include "wire/headers.hpp"

namespace warren::wire {

using Cut = Offload::Cut;

namespace {

bool is_v6(Cut cut) { return cut == Cut::Tcp6 || cut == Cut::Udp6; }
bool is_tcp(Cut cut) { return cut == Cut::Tcp4 || cut == Cut::Tcp6; }

/// Bytes of the transport header, whole and consistent; 0: it is not.
std::size_t transport_size(base::Bytes packet, const Headers& headers, bool tcp) {
  const std::size_t rest = headers.end - headers.transport;
  const std::uint8_t* at = packet.data() + headers.transport;
  if (!tcp) return rest >= kUdpHeaderSize && load_u16_be(at + 4) == rest ? kUdpHeaderSize : 0;
  if (rest < kTcpHeaderSize) return 0;
  const std::size_t size = std::size_t{at[12]} / 16 * 4;
  return size >= kTcpHeaderSize && size <= rest ? size : 0;
}

/// IPv4 header without total length, identification and checksum.
Sum constant_ipv4_sum(base::Bytes ip) {
  return sum_bytes(ip.first(2)) + sum_bytes(ip.subspan(6, 4)) + sum_bytes(ip.subspan(12));
}

/// TCP header without sequence, data offset and flags, and checksum; UDP: the ports.
Sum constant_transport_sum(base::Bytes header, bool tcp) {
  if (!tcp) return sum_bytes(header.first(4));
  return sum_bytes(header.first(4)) + sum_bytes(header.subspan(8, 4)) +
         sum_bytes(header.subspan(14, 2)) + sum_bytes(header.subspan(18));
}

}  // namespace

std::optional<Segments> Segments::of(base::Bytes packet, const Offload& offload, Layer layer) {
  if (packet.empty()) return std::nullopt;
  Segments segments;
  segments.packet_ = packet;
  segments.offload_ = offload;
  if (offload.cut != Cut::None) {
    return segments.prepare_cut(layer) ? std::optional(segments) : std::nullopt;
  }
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (offload.needs_checksum && (field + 2 > packet.size() || offload.checksum_offset % 2 != 0)) {
    return std::nullopt;
  }
  segments.count_ = 1;
  segments.last_ = packet.size();
  return segments;
}

bool Segments::prepare_cut(Layer layer) {
  const auto headers = parse_headers(packet_, layer);
  tcp_ = is_tcp(offload_.cut);
  v6_ = is_v6(offload_.cut);
  if (!headers || headers->fragment || headers->v6 != v6_ ||
      headers->protocol != (tcp_ ? kTcp : kUdp) || offload_.segment_size == 0) {
    return false;
  }
  const std::size_t size = transport_size(packet_, *headers, tcp_);
  const std::size_t field = tcp_ ? kTcpChecksumOffset : kUdpChecksumOffset;
  if (size == 0) return false;
  if (offload_.needs_checksum &&
      (offload_.checksum_start != headers->transport || offload_.checksum_offset != field)) {
    return false;
  }
  if (!offload_.needs_checksum && !headers->plain) return false;

  network_ = headers->network;
  transport_ = headers->transport;
  header_ = transport_ + size;
  payload_ = offload_.segment_size;
  const std::size_t all = headers->end - header_;
  count_ = std::max<std::size_t>(1, (all + payload_ - 1) / payload_);
  last_ = header_ + all - (count_ - 1) * payload_;

  const base::Bytes transport = packet_.subspan(transport_, size);
  transport_sum_ = constant_transport_sum(transport, tcp_);
  if (headers->plain) {
    transport_sum_ += pseudo_header_sum(headers->addresses(packet_), headers->protocol);
  } else {
    const auto length = static_cast<std::uint16_t>(headers->end - transport_);
    transport_sum_ += sum_bytes(transport.subspan(field, 2)) + negated(word(length));
  }
  if (!v6_) {
    network_sum_ = constant_ipv4_sum(packet_.subspan(network_, transport_ - network_));
    first_id_ = load_u16_be(&packet_[network_ + 4]);
  }
  if (tcp_) first_sequence_ = load_u32_be(transport.data() + 4);
  return true;
}

void Segments::write(std::size_t index, base::MutableBytes out) const {
  WARREN_ASSERT(index < count_ && out.size() == size(index));
  if (offload_.cut == Cut::None) {
    write_whole(out.data());
    return;
  }
  const base::Bytes payload = packet_.subspan(header_ + index * payload_, out.size() - header_);
  std::memcpy(out.data(), packet_.data(), header_);
  const Sum payload_sum = copy_and_sum(payload, out.data() + header_);
  write_network(index, out);
  if (tcp_) {
    write_tcp(index, out, payload_sum);
  } else {
    write_udp(out, payload_sum);
  }
}

void Segments::write_whole(std::uint8_t* out) const {
  if (!offload_.needs_checksum) {
    std::memcpy(out, packet_.data(), packet_.size());
    return;
  }
  const std::size_t start = offload_.checksum_start;
  std::memcpy(out, packet_.data(), start);
  const Sum sum = copy_and_sum(packet_.subspan(start), out + start);
  // As skb_checksum_help(): never 0, whichever the protocol.
  store_checksum_nonzero(sum, out + start + offload_.checksum_offset);
}

void Segments::write_network(std::size_t index, base::MutableBytes out) const {
  std::uint8_t* ip = out.data() + network_;
  const std::size_t length = out.size() - network_;
  if (v6_) {
    store_u16_be(ip + 4, length - kIpv6HeaderSize);
    return;
  }
  const auto id = static_cast<std::uint16_t>(first_id_ + index);
  store_u16_be(ip + 2, length);
  store_u16_be(ip + 4, id);
  store_checksum(network_sum_ + word(static_cast<std::uint16_t>(length)) + word(id), ip + 10);
}

void Segments::write_tcp(std::size_t index, base::MutableBytes out, Sum payload_sum) const {
  std::uint8_t* tcp = out.data() + transport_;
  const auto length = static_cast<std::uint16_t>(out.size() - transport_);
  const auto sequence = static_cast<std::uint32_t>(first_sequence_ + index * payload_);
  // From the packet, not from the copy: a load right behind a narrower store waits for it.
  unsigned flags = load_u16_be(&packet_[transport_ + 12]);  // with the data offset in front
  if (index > 0) flags &= ~unsigned{kTcpCwr};
  if (index + 1 < count_) flags &= ~unsigned{kTcpFin | kTcpPsh};
  store_u32_be(tcp + 4, sequence);
  store_u16_be(tcp + 12, flags);
  store_checksum(transport_sum_ + words(sequence) + word(static_cast<std::uint16_t>(flags)) +
                     word(length) + payload_sum,
                 tcp + kTcpChecksumOffset);
}

void Segments::write_udp(base::MutableBytes out, Sum payload_sum) const {
  std::uint8_t* udp = out.data() + transport_;
  const auto length = static_cast<std::uint16_t>(out.size() - transport_);
  store_u16_be(udp + 4, length);
  store_checksum_nonzero(transport_sum_ + word(length) + word(length) + payload_sum,
                         udp + kUdpChecksumOffset);
}

}  // namespace warren::wire
