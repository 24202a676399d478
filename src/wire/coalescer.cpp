// Theory of operation: every packet that is not merged becomes a result of its own. One that could
// begin a super-packet leaves a note in the table of open flows: "more of this flow may be appended
// to that result". The next packet of the flow is either appended or ends the flow's note; then it
// is a result of its own, behind the first. So results keep the order of their first packets, and
// each flow keeps its order.
//
// A flow: the link header (frames), addresses, protocol and ports. Merged are TCP packets with a
// payload and no flag but ACK (and PSH, which ends the super-packet), and UDP packets with a
// payload and a checksum, where everything that cutting does not restore is equal: TOS or traffic
// class with its ECN bits, flow label, TTL or hop limit, the fragment word (DF), TCP
// acknowledgement, window, urgent pointer and options; where sequences follow each other; and where
// the payload is as long as the first one's, or shorter, which ends the super-packet. IPv4 options,
// IPv6 extension headers, fragments, bytes behind the IP packet: never. A fragment does not tell
// its ports; it ends every flow between its addresses.
//
// Checksums are verified (the IPv4 header's, TCP's, UDP's) before a packet is merged, the first
// packet's when the second one comes: cutting will compute right ones, and damage must not be
// repaired by that. 0xffff in an IPv4 or TCP header sums up right but nobody computes it: not
// merged, since cutting would give 0.
//
// IPv4 identifications: cutting counts them up, so they must count up by one. The identification of
// an atomic datagram (DF set, not a fragment) carries no meaning, may be anything and must be
// ignored (RFC 6864, section 4.1); senders on unconnected UDP sockets leave it constant. Such
// packets are merged too if all are the same, as the kernel's GRO does; cutting them again would
// count up, which is the only byte that can differ.
//
// Cost: a packet alone costs the look at its headers and no pass over its bytes. Pieces are chained
// while packets come in, and laid out one behind the other in finish().
#include "wire/coalescer.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"
#include "wire/checksum.hpp"

namespace warren::wire {

namespace {

constexpr std::size_t kNoFlow = kOpenFlows;
constexpr std::size_t kPortsSize = 4;
constexpr std::uint8_t kDontFragment = 0x40;  // in the first byte of the fragment word

template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
bool same(const std::uint8_t* a, const std::uint8_t* b) {
  return load<T>(a) == load<T>(b);
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 32;
}

/// Only picks candidates to compare in full.
std::uint64_t hash_of(base::Bytes packet, const Headers& headers) {
  const base::Bytes addresses = headers.addresses(packet);
  std::uint64_t hash = mixed(headers.protocol, load<std::uint32_t>(&packet[headers.transport]));
  for (std::size_t at = 0; at < addresses.size(); at += sizeof hash) {
    hash = mixed(hash, load<std::uint64_t>(addresses.data() + at));
  }
  return hash;
}

/// The IP header's bytes that are the same in every packet of a super-packet.
bool same_network(const std::uint8_t* a, const std::uint8_t* b, bool v6) {
  if (v6) return same<std::uint32_t>(a, b) && same<std::uint16_t>(a + 6, b + 6);
  return same<std::uint16_t>(a, b) && same<std::uint32_t>(a + 6, b + 6);
}

/// The same of TCP, of headers of one size: acknowledgement, flags but PSH, window, urgent pointer
/// and options.
bool same_tcp(const std::uint8_t* a, const std::uint8_t* b, std::size_t size) {
  return same<std::uint32_t>(a + 8, b + 8) && a[12] == b[12] && ((a[13] ^ b[13]) & ~kTcpPsh) == 0 &&
         same<std::uint16_t>(a + 14, b + 14) && same<std::uint16_t>(a + 18, b + 18) &&
         std::memcmp(a + kTcpHeaderSize, b + kTcpHeaderSize, size - kTcpHeaderSize) == 0;
}

/// Right, and written as one computes it (`field` holds no 0xffff, where 0 may stand).
bool sums_up(Sum sum, const std::uint8_t* field) {
  return fold(sum) == 0xffff && load<std::uint16_t>(field) != 0xffff;
}

bool checksums_right(base::Bytes packet, std::size_t network, std::size_t transport, bool v6,
                     std::uint8_t protocol) {
  if (!v6) {
    const base::Bytes ip = packet.subspan(network, kIpv4HeaderSize);
    if (!sums_up(sum_bytes(ip), &ip[10])) return false;
  }
  const Headers place{.network = network, .v6 = v6};
  const base::Bytes segment = packet.subspan(transport);
  const Sum sum = pseudo_header_sum(place.addresses(packet), protocol) +
                  word(static_cast<std::uint16_t>(segment.size())) + sum_bytes(segment);
  return protocol == kUdp ? fold(sum) == 0xffff : sums_up(sum, &segment[kTcpChecksumOffset]);
}

std::uint16_t id_at(const std::uint8_t* ip) { return load_u16_be(ip + 4); }

}  // namespace

// --- adding ---

void Coalescer::add(base::MutableBytes packet) {
  const auto headers = parse_headers(packet, options_.layer);
  if (!headers) return add_alone(packet);
  if (headers->fragment) {
    close_between(packet, *headers);
    return add_alone(packet);
  }
  if ((headers->protocol != kTcp && headers->protocol != kUdp) ||
      headers->end - headers->transport < kPortsSize) {
    return add_alone(packet);
  }
  const std::uint64_t hash = hash_of(packet, *headers);
  const std::size_t flow = find(hash, packet, *headers);
  const auto candidate = candidate_of(packet, *headers);
  Join join = Join::Refused;
  if (flow != kNoFlow) {
    Result& result = results_[open_[flow].result];
    if (candidate) join = try_join(result, packet, *headers, *candidate);
    if (join != Join::Joined || result.ended) close(flow);
    if (join == Join::Joined) return;
  }
  add_alone(packet);
  if (candidate && !candidate->push && join != Join::Damaged) {
    open(hash, packet, *headers, *candidate);
  }
}

void Coalescer::add_alone(base::MutableBytes packet) {
  const auto place = static_cast<std::uint32_t>(chain_.size());
  chain_.emplace_back().piece = packet;
  Result& result = results_.emplace_back();
  result.first = packet.data();
  result.first_piece = place;
  result.last_piece = place;
  result.bytes = static_cast<std::uint32_t>(packet.size());
}

std::optional<Coalescer::Candidate> Coalescer::candidate_of(base::Bytes packet,
                                                            const Headers& headers) const {
  if (!headers.plain || headers.end != packet.size()) return std::nullopt;
  const std::size_t size = headers.end - headers.transport;
  const std::uint8_t* at = packet.data() + headers.transport;
  if (headers.protocol == kUdp) {
    if (!(headers.v6 ? options_.udp6 : options_.udp4)) return std::nullopt;
    if (size <= kUdpHeaderSize || load_u16_be(at + 4) != size ||
        load<std::uint16_t>(at + kUdpChecksumOffset) == 0) {
      return std::nullopt;
    }
    return Candidate{.payload = headers.transport + kUdpHeaderSize};
  }
  if (!(headers.v6 ? options_.tcp6 : options_.tcp4)) return std::nullopt;
  if (size <= kTcpHeaderSize || (at[13] & ~kTcpPsh) != kTcpAck || at[12] % 16 != 0) {
    return std::nullopt;
  }
  const std::size_t header = std::size_t{at[12]} / 16 * 4;
  if (header < kTcpHeaderSize || header >= size) return std::nullopt;
  return Candidate{.payload = headers.transport + header, .push = (at[13] & kTcpPsh) != 0};
}

// --- flows ---

std::size_t Coalescer::find(std::uint64_t hash, base::Bytes packet, const Headers& headers) {
  const std::size_t addresses = headers.network + (headers.v6 ? 8 : 12);
  const std::size_t addresses_size = headers.v6 ? 32 : 8;
  const auto is = [&](const OpenFlow& flow) {
    if (flow.hash != hash) return false;
    const Result& result = results_[flow.result];
    // Family and protocol are not compared side by side: read as one word right after they were
    // stored as two bytes, they stall the processor (measured: 3 to 6 ns a packet).
    return result.v6 == headers.v6 && result.network == headers.network &&
           result.protocol == headers.protocol &&
           (headers.network == 0 ||
            std::memcmp(result.first, packet.data(), headers.network) == 0) &&
           std::memcmp(result.first + addresses, &packet[addresses], addresses_size) == 0 &&
           same<std::uint32_t>(result.first + result.transport, &packet[headers.transport]);
  };
  if (recent_ < open_count_ && is(open_[recent_])) return recent_;
  for (std::size_t flow = 0; flow < open_count_; ++flow) {
    if (is(open_[flow])) return recent_ = flow;
  }
  return kNoFlow;
}

void Coalescer::open(std::uint64_t hash, base::Bytes packet, const Headers& headers,
                     const Candidate& candidate) {
  if (open_count_ == kOpenFlows) {
    const auto oldest = std::ranges::min_element(open_, {}, &OpenFlow::result);
    close(static_cast<std::size_t>(oldest - open_.begin()));
  }
  Result& result = results_.back();
  result.network = static_cast<std::uint32_t>(headers.network);
  result.transport = static_cast<std::uint32_t>(headers.transport);
  result.payload = static_cast<std::uint32_t>(candidate.payload);
  result.segment = static_cast<std::uint32_t>(packet.size() - candidate.payload);
  result.protocol = headers.protocol;
  result.v6 = headers.v6;
  if (headers.protocol == kTcp) {
    result.next_sequence = load_u32_be(&packet[headers.transport + 4]) + result.segment;
  }
  recent_ = open_count_;
  open_[open_count_++] = {.hash = hash, .result = static_cast<std::uint32_t>(results_.size() - 1)};
}

void Coalescer::close_between(base::Bytes packet, const Headers& headers) {
  const base::Bytes addresses = headers.addresses(packet);
  for (std::size_t flow = open_count_; flow-- > 0;) {
    const Result& result = results_[open_[flow].result];
    const Headers place{.network = result.network, .v6 = result.v6};
    if (std::ranges::equal(place.addresses(chain_[result.first_piece].piece), addresses)) {
      close(flow);
    }
  }
}

// --- merging ---

Coalescer::Join Coalescer::try_join(Result& result, base::Bytes packet, const Headers& headers,
                                    const Candidate& candidate) {
  const std::size_t payload = packet.size() - candidate.payload;
  const std::uint8_t* ip = &packet[headers.network];
  const std::uint8_t* transport = &packet[headers.transport];
  const std::uint8_t* first_ip = result.first + result.network;
  if (candidate.payload != result.payload || payload > result.segment ||
      result.bytes + payload > kMaxCoalescedBytes || !same_network(first_ip, ip, headers.v6)) {
    return Join::Refused;
  }
  std::uint16_t step = 0;
  if (!headers.v6) {
    const std::uint16_t first_id = id_at(first_ip);
    step = result.packets > 1 ? result.id_step : static_cast<std::uint16_t>(id_at(ip) - first_id);
    if (step > 1 || (step == 0 && (ip[6] & kDontFragment) == 0) ||
        id_at(ip) != static_cast<std::uint16_t>(first_id + result.packets * step)) {
      return Join::Refused;
    }
  }
  if (headers.protocol == kTcp && (load_u32_be(transport + 4) != result.next_sequence ||
                                   !same_tcp(result.first + result.transport, transport,
                                             candidate.payload - headers.transport))) {
    return Join::Refused;
  }
  if (!result.verified) {
    result.verified = checksums_right(chain_[result.first_piece].piece, result.network,
                                      result.transport, result.v6, result.protocol);
    if (!result.verified) return Join::Refused;
  }
  if (!checksums_right(packet, headers.network, headers.transport, headers.v6, headers.protocol)) {
    return Join::Damaged;
  }
  result.id_step = step;
  append(result, packet, candidate);
  return Join::Joined;
}

void Coalescer::append(Result& result, base::Bytes packet, const Candidate& candidate) {
  const base::Bytes payload = packet.subspan(candidate.payload);
  const auto place = static_cast<std::uint32_t>(chain_.size());
  chain_.emplace_back().piece = payload;
  chain_[result.last_piece].next = place;
  result.last_piece = place;
  ++result.packets;
  result.bytes += static_cast<std::uint32_t>(payload.size());
  result.next_sequence += static_cast<std::uint32_t>(payload.size());
  result.push = candidate.push;
  result.ended =
      candidate.push || payload.size() < result.segment || result.packets == kMaxCoalesced;
}

// --- results ---

void Coalescer::finish() {
  open_count_ = 0;
  pieces_.reserve(chain_.size());
  for (Result& result : results_) {
    std::uint32_t link = result.first_piece;
    result.first_piece = static_cast<std::uint32_t>(pieces_.size());
    for (std::uint32_t i = 0; i < result.packets; ++i) {
      pieces_.push_back(chain_[link].piece);
      link = chain_[link].next;
    }
    if (result.packets > 1) complete(result);
  }
}

/// The first packet's headers become the super-packet's: lengths, and the sum of the pseudo-header
/// where the checksum will be.
void Coalescer::complete(const Result& result) const {
  std::uint8_t* ip = result.first + result.network;
  std::uint8_t* transport = result.first + result.transport;
  const std::size_t length = result.bytes - result.transport;
  const Headers place{.network = result.network, .v6 = result.v6};
  if (result.v6) {
    store_u16_be(ip + 4, length);
  } else {
    store_u16_be(ip + 2, result.bytes - result.network);
    store_u16_be(ip + 10, 0);
    store_checksum(sum_bytes({ip, kIpv4HeaderSize}), ip + 10);
  }
  const bool tcp = result.protocol == kTcp;
  if (tcp && result.push) transport[13] |= kTcpPsh;
  if (!tcp) store_u16_be(transport + 4, length);
  const Sum sum =
      pseudo_header_sum(place.addresses({result.first, result.payload}), result.protocol) +
      word(static_cast<std::uint16_t>(length));
  store_sum(fold(sum), transport + (tcp ? kTcpChecksumOffset : kUdpChecksumOffset));
}

std::size_t Coalescer::result_count() const { return results_.size(); }

Coalesced Coalescer::result(std::size_t index) const {
  using Cut = Offload::Cut;
  const Result& result = results_[index];
  Coalesced out;
  out.pieces = std::span(pieces_).subspan(result.first_piece, result.packets);
  out.packets = result.packets;
  out.bytes = result.bytes;
  if (result.packets == 1) return out;
  const bool tcp = result.protocol == kTcp;
  if (tcp) out.offload.cut = result.v6 ? Cut::Tcp6 : Cut::Tcp4;
  if (!tcp) out.offload.cut = result.v6 ? Cut::Udp6 : Cut::Udp4;
  out.offload.needs_checksum = true;
  out.offload.header_size = static_cast<std::uint16_t>(result.payload);
  out.offload.segment_size = static_cast<std::uint16_t>(result.segment);
  out.offload.checksum_start = static_cast<std::uint16_t>(result.transport);
  out.offload.checksum_offset =
      static_cast<std::uint16_t>(tcp ? kTcpChecksumOffset : kUdpChecksumOffset);
  return out;
}

void Coalescer::clear() {
  results_.clear();
  chain_.clear();
  pieces_.clear();
  open_count_ = 0;
}

}  // namespace warren::wire
