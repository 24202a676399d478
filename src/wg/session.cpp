#include "wg/session.hpp"

#include <algorithm>
#include <limits>

#include "base/assert.hpp"

namespace warren::wg {

std::uint64_t Session::reserve(std::uint64_t count) {
  // Only ever forward: no counter is given out twice.
  WARREN_ASSERT(count <= std::numeric_limits<std::uint64_t>::max() - next_counter_);
  const std::uint64_t first = next_counter_;
  next_counter_ += count;
  return first;
}

void Session::seal(wire::Packet& packet, std::size_t padding) {
  const std::uint64_t counter = reserve(1);
  const std::size_t size = packet.size();
  packet.push_back(padding);
  if (padding != 0) std::memset(packet.bytes().data() + size, 0, padding);
  const std::size_t text_size = packet.size();
  packet.push_front(kTransportHeaderSize);
  packet.push_back(crypto::kTagSize);
  const base::MutableBytes bytes = packet.bytes();
  write_transport_header({.receiver = remote_index_, .counter = counter},
                         bytes.first<kTransportHeaderSize>());
  crypto::AeadJob job{.key = send_.get(),
                      .counter = counter,
                      .text = bytes.subspan(kTransportHeaderSize, text_size),
                      .tag = bytes.last<crypto::kTagSize>().data()};
  crypto::seal({&job, 1});
}

OpenResult Session::open(wire::Packet& packet, std::uint64_t counter) {
  WARREN_ASSERT(packet.size() >= kTransportOverhead);
  if (!window_.would_accept(counter)) return OpenResult::Replayed;
  packet.pop_front(kTransportHeaderSize);
  const base::MutableBytes bytes = packet.bytes();
  crypto::AeadJob job{.key = receive_.get(),
                      .counter = counter,
                      .text = bytes.first(bytes.size() - crypto::kTagSize),
                      .tag = bytes.last<crypto::kTagSize>().data()};
  crypto::open({&job, 1});
  if (!job.authentic) return OpenResult::BadTag;
  packet.pop_back(crypto::kTagSize);
  return window_.accept(counter) ? OpenResult::Opened : OpenResult::Replayed;
}

std::size_t padding_of(std::size_t packet_size, std::size_t mtu) {
  if (mtu == 0) mtu = std::numeric_limits<std::size_t>::max();
  // A packet larger than the mtu will be cut by the path; its last piece decides.
  const std::size_t last = packet_size > mtu ? packet_size % mtu : packet_size;
  const std::size_t padded = (last + kPaddingMultiple - 1) / kPaddingMultiple * kPaddingMultiple;
  return std::min(padded, std::max(mtu, last)) - last;
}

}  // namespace warren::wg
