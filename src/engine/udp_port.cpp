// Theory of operation
//
// Receiving: 64 full-sized packets stand ready as spares; recvmmsg fills some, those are cut to
// size, handed to the node and replaced from the pool. Sending: each family has a queue that is
// flushed after every batch. When the kernel has no room (EAGAIN, ENOBUFS) the rest stays, in
// order, until the socket is writable; the queue is bounded and drops at its tail. The vectors keep
// their capacity, so that nothing allocates once traffic has flowed.
#include "engine/udp_port.hpp"

#include <algorithm>

namespace warren::engine {

void SourceCache::put(const base::Endpoint& remote, const os::LocalAddress& local) {
  if (!local.known) return;
  if (entries_.empty()) entries_.resize(kSourceCacheEntries);
  Entry& entry = entries_[std::hash<base::Endpoint>{}(remote) % kSourceCacheEntries];
  entry.remote = remote;
  entry.local = local;
}

os::LocalAddress SourceCache::get(const base::Endpoint& remote) const {
  if (entries_.empty()) return {};
  const Entry& entry = entries_[std::hash<base::Endpoint>{}(remote) % kSourceCacheEntries];
  return entry.remote == remote ? entry.local : os::LocalAddress{};
}

UdpPort::UdpPort(os::Loop& loop, wire::PacketPool& pool, Input input)
    : loop_(loop), pool_(pool), input_(std::move(input)) {}

UdpPort::~UdpPort() {
  for (Lane& lane : lanes_) {
    if (lane.socket) loop_.forget(lane.socket.get());
  }
}

base::Status UdpPort::replace(os::Fd v4, os::Fd v6, std::uint16_t port) {
  std::array<os::Fd, 2> fresh = {std::move(v4), std::move(v6)};
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (!fresh[i]) continue;
    const auto handler = [this, i](os::Ready ready) { handle_ready(lanes_[i], ready); };
    const base::Status watched = loop_.watch(fresh[i].get(), handler);
    if (watched) continue;
    if (i == 1 && fresh[0]) loop_.forget(fresh[0].get());
    return watched;
  }
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    if (lane.socket) loop_.forget(lane.socket.get());
    lane.socket = std::move(fresh[i]);
    lane.queue.clear();
    lane.head = 0;
    lane.blocked = false;
  }
  port_ = port;
  sources_.clear();
  return {};
}

void UdpPort::handle_ready(Lane& lane, os::Ready ready) {
  if (ready.writable && lane.blocked) {
    set_blocked(lane, false);
    flush(lane);
  }
  // An error on the socket is read off by receiving, too.
  if (ready.readable || ready.hangup) receive(lane);
}

void UdpPort::receive(Lane& lane) {
  std::size_t room = 0;
  for (; room < kUdpBatch; ++room) {
    wire::Packet& spare = spares_[room];
    if (!spare) spare = pool_.take(kMaxPacketBytes);
    if (!spare) break;
    slots_[room].buffer = spare.bytes();
  }
  if (room == 0) return drop_one(lane);
  const auto got = os::receive_batch(lane.socket, std::span(slots_).first(room));
  const std::size_t count = got ? *got : 0;  // ECONNREFUSED and its like concern one datagram
  std::size_t whole = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const os::UdpReceived& slot = slots_[i];
    if (slot.truncated) continue;
    node::Datagram& datagram = batch_[whole++];
    datagram.packet = std::move(spares_[i]);
    datagram.packet.pop_back(datagram.packet.size() - slot.size);
    datagram.remote = slot.remote;
    datagram.traffic_class = slot.traffic_class;
    sources_.put(slot.remote, slot.local);
  }
  if (whole > 0) input_(std::span(batch_).first(whole));
  for (std::size_t i = 0; i < whole; ++i) batch_[i].packet = {};
}

void UdpPort::drop_one(Lane& lane) {
  std::array<std::uint8_t, 16> scrap;
  std::array<os::UdpReceived, 1> slot;
  slot[0].buffer = scrap;
  const auto got = os::receive_batch(lane.socket, slot);
  if (got && *got > 0) ++counters_.no_buffer;
}

void UdpPort::enqueue(node::Datagram datagram) {
  Lane& lane = lanes_[datagram.remote.address.is_v4() ? 0 : 1];
  if (!lane.socket) {
    ++counters_.no_socket;
    return;
  }
  if (lane.queue.size() - lane.head >= kMaxPendingDatagrams) {
    ++counters_.overflow;
    return;
  }
  if (lane.head > 0 && lane.queue.size() == lane.queue.capacity()) {
    lane.queue.erase(lane.queue.begin(),
                     lane.queue.begin() + static_cast<std::ptrdiff_t>(lane.head));
    lane.head = 0;
  }
  lane.queue.push_back(std::move(datagram));
  if (!lane.blocked && lane.queue.size() - lane.head >= kUdpBatch) flush(lane);
}

void UdpPort::flush() {
  for (Lane& lane : lanes_) {
    if (!lane.blocked) flush(lane);
  }
}

void UdpPort::flush(Lane& lane) {
  while (lane.head < lane.queue.size()) {
    const std::size_t count = std::min(lane.queue.size() - lane.head, kUdpBatch);
    for (std::size_t i = 0; i < count; ++i) {
      const node::Datagram& datagram = lane.queue[lane.head + i];
      to_send_[i] = {.bytes = datagram.packet.bytes(),
                     .remote = datagram.remote,
                     .local = sources_.get(datagram.remote),
                     .traffic_class = datagram.traffic_class};
    }
    std::size_t refused = 0;
    const auto sent = os::send_batch(lane.socket, std::span(to_send_).first(count), refused);
    counters_.refused += refused;
    const std::size_t done = sent ? *sent + refused : count;  // a broken socket drops the batch
    for (std::size_t i = 0; i < done; ++i) lane.queue[lane.head + i].packet = {};
    lane.head += done;
    if (done < count) return set_blocked(lane, true);
  }
  lane.queue.clear();
  lane.head = 0;
}

void UdpPort::set_blocked(Lane& lane, bool blocked) {
  lane.blocked = blocked && loop_.set_want_write(lane.socket.get(), true).has_value();
  if (!blocked) std::ignore = loop_.set_want_write(lane.socket.get(), false);
}

void UdpPort::release_spares() {
  for (wire::Packet& spare : spares_) spare = {};
}

}  // namespace warren::engine
