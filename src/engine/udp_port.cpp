// Theory of operation
//
// Receiving: full-sized packets stand ready as spares; recvmmsg fills some, those are cut to size,
// handed on and replaced from the pool, which gives the same few slots again and again. With
// UDP_GRO one slot may hold a train of 64 KiB; eight of them are a batch. While small datagrams
// come instead (many peers, or no GRO) more slots are offered, because each holds one only.
//
// Sending: each family has a queue that is flushed after every batch. When the kernel has no room
// the rest stays, in order, until the socket is writable; whoever reads the tun stops meanwhile, so
// that the queue holds no more than the batch that met the full socket and what the protocol itself
// sends. The queue is bounded all the same: the largest item goes, never a handshake for a train.
// epoll calls a socket writable even where the device's queue was full (ENOBUFS); a socket that
// took nothing rests for a moment, or the loop would spin.
//
// Trains are asked for by the engine itself, whoever opened the socket: it has the room for them. A
// device without checksums takes no trains (EIO), a kernel without UDP_SEGMENT neither: they are
// sent as single datagrams, and tried again after kTrainsPause where it was the device, for routes
// change. The vectors keep their capacity, so that nothing allocates once traffic has flowed.
#include "engine/udp_port.hpp"

#include <algorithm>
#include <limits>

#include "os/clock.hpp"

namespace warren::engine {

namespace {

/// Larger than any datagram on the usual ways: tells trains from single datagrams.
constexpr std::size_t kSmallDatagram = 2048;
constexpr base::Instant kNever{std::numeric_limits<std::int64_t>::max()};

bool is_train(const node::Datagram& datagram) {
  return datagram.segment_size != 0 && datagram.segment_size < datagram.packet.size();
}

std::size_t datagrams_in(const node::Datagram& train) {
  return (train.packet.size() + train.segment_size - 1) / train.segment_size;
}

}  // namespace

UdpPort::UdpPort(os::Loop& loop, wire::PacketPool& pool, Handlers handlers)
    : loop_(loop), pool_(pool), handlers_(std::move(handlers)) {}

UdpPort::~UdpPort() { close(); }

void UdpPort::reset(Lane& lane) {
  if (lane.resting != 0) loop_.cancel(lane.resting);
  lane.resting = 0;
  lane.queue.clear();
  lane.head = 0;
  lane.blocked = false;
  lane.behind = false;
}

void UdpPort::close() {
  for (Lane& lane : lanes_) {
    if (lane.socket) loop_.forget(lane.socket.get());
    lane.socket.reset();
    reset(lane);
  }
  port_ = 0;
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
    reset(lane);
  }
  port_ = port;
  offloads_ = {.segment = true, .gro = true};
  for (const Lane& lane : lanes_) {
    if (!lane.socket) continue;
    const auto able = os::enable_udp_offloads(lane.socket);
    offloads_.segment &= able && able->segment;
    offloads_.gro &= able && able->gro;
  }
  trains_again_.reset();
  if (!offloads_.segment) trains_again_ = kNever;
  return {};
}

void UdpPort::handle_ready(Lane& lane, os::Ready ready) {
  if (ready.writable && lane.blocked) handle_writable(lane);
  // An error on the socket is read off by receiving, too.
  if (lane.socket && (ready.readable || ready.hangup)) std::ignore = receive(lane);
}

void UdpPort::handle_writable(Lane& lane) {
  unblock(lane);
  woken_ = true;
  handlers_.writable();
  woken_ = false;
}

bool UdpPort::receive(Lane& lane) {
  std::size_t room = 0;
  for (; room < slots_wanted_; ++room) {
    wire::Packet& spare = spares_[room];
    if (!spare) spare = pool_.take(kMaxPacketBytes);
    if (!spare) break;
    slots_[room].buffer = spare.bytes();
  }
  if (room == 0) {
    drop_one(lane);
    return false;
  }
  const auto got = os::receive_batch(lane.socket, std::span(slots_).first(room));
  if (!got) counters_.errors.add(1);  // ECONNREFUSED and its like concern one datagram
  const std::size_t count = got ? *got : 0;
  lane.behind |= count == room;
  std::size_t whole = 0;
  std::size_t trains = 0;
  bool small = true;
  for (std::size_t i = 0; i < count; ++i) {
    const os::UdpReceived& slot = slots_[i];
    if (slot.size > kSmallDatagram) small = false;
    if (slot.segment_size != 0) ++trains;
    if (slot.truncated) continue;
    node::Datagram& datagram = batch_[whole++];
    datagram.packet = std::move(spares_[i]);
    datagram.packet.pop_back(datagram.packet.size() - slot.size);
    datagram.remote = slot.remote;
    datagram.traffic_class = slot.traffic_class;
    datagram.segment_size = slot.segment_size;
    datagram.local = slot.local;
  }
  slots_wanted_ = small && count == room ? kUdpBatch : small ? slots_wanted_ : kTrainBatch;
  counters_.received.add(count);
  counters_.trains_received.add(trains);
  if (whole > 0) handlers_.received(std::span(batch_).first(whole));
  for (std::size_t i = 0; i < whole; ++i) batch_[i].packet = {};
  return count > 0;
}

void UdpPort::drain_sockets(std::size_t at_most) {
  for (Lane& lane : lanes_) {
    for (std::size_t i = 0; i < at_most && lane.socket && receive(lane); ++i) {
    }
  }
}

void UdpPort::drop_one(Lane& lane) {
  std::array<std::uint8_t, 16> scrap;
  std::array<os::UdpReceived, 1> slot;
  slot[0].buffer = scrap;
  const auto got = os::receive_batch(lane.socket, slot);
  if (got && *got > 0) counters_.no_buffer.add(1);
}

void UdpPort::enqueue(node::Datagram datagram) {
  Lane& lane = lanes_[datagram.remote.address.is_v4() ? 0 : 1];
  if (!lane.socket) return counters_.no_socket.add(1);
  if (lane.head > 0 && lane.queue.size() == lane.queue.capacity()) {
    lane.queue.erase(lane.queue.begin(),
                     lane.queue.begin() + static_cast<std::ptrdiff_t>(lane.head));
    lane.head = 0;
  }
  lane.queue.push_back(std::move(datagram));
  if (lane.queue.size() - lane.head > kMaxPendingSends) make_room(lane);
}

void UdpPort::make_room(Lane& lane) {
  if (!lane.blocked) flush(lane);
  if (lane.queue.size() - lane.head <= kMaxPendingSends) return;
  const auto largest =
      std::max_element(lane.queue.begin() + static_cast<std::ptrdiff_t>(lane.head),
                       lane.queue.end(), [](const node::Datagram& a, const node::Datagram& b) {
                         return a.packet.size() < b.packet.size();
                       });
  lane.queue.erase(largest);
  counters_.overflow.add(1);
}

void UdpPort::flush() {
  for (Lane& lane : lanes_) {
    if (!lane.blocked && lane.head < lane.queue.size()) flush(lane);
  }
}

UdpPort::Prepared UdpPort::prepare(const Lane& lane) {
  Prepared prepared;
  for (std::size_t i = lane.head; i < lane.queue.size(); ++i) {
    const node::Datagram& datagram = lane.queue[i];
    const bool apart = trains_again_.has_value() && is_train(datagram);
    const std::size_t items = apart ? datagrams_in(datagram) : 1;
    if (prepared.items + items > to_send_.size()) break;
    const base::Bytes bytes = datagram.packet.bytes();
    const std::size_t step = apart ? datagram.segment_size : bytes.size();
    for (std::size_t part = 0; part < items; ++part) {
      const std::size_t from = part * step;
      to_send_[prepared.items++] = {
          .bytes = bytes.subspan(from, std::min(step, bytes.size() - from)),
          .remote = datagram.remote,
          .local = datagram.local,
          .traffic_class = datagram.traffic_class,
          .segment_size = apart || !is_train(datagram) ? std::uint16_t{0} : datagram.segment_size};
    }
    ++prepared.datagrams;
  }
  return prepared;
}

bool UdpPort::finish(Lane& lane, const Prepared& prepared, const os::SendOutcome& outcome) {
  const bool apart = trains_again_.has_value();
  std::size_t done = outcome.done();
  for (std::size_t i = 0; i < prepared.datagrams; ++i) {
    node::Datagram& datagram = lane.queue[lane.head];
    const bool train = is_train(datagram);
    const std::size_t items = apart && train ? datagrams_in(datagram) : 1;
    if (done < items) {
      const std::size_t gone = done * datagram.segment_size + outcome.partial;
      datagram.packet.pop_front(std::min(gone, datagram.packet.size()));
      return false;
    }
    done -= items;
    counters_.trains_sent.add(train && !apart ? 1 : 0);
    datagram.packet = {};
    ++lane.head;
  }
  return true;
}

void UdpPort::flush(Lane& lane) {
  if (trains_again_ && os::now() >= *trains_again_) trains_again_.reset();
  while (lane.head < lane.queue.size()) {
    const Prepared prepared = prepare(lane);
    const auto sent = os::send_batch(lane.socket, std::span(to_send_).first(prepared.items));
    if (!sent) {  // no socket any more: what waits is lost
      counters_.errors.add(1);
      break;
    }
    counters_.sent.add(sent->sent);
    counters_.refused.add(sent->refused);
    counters_.trains_split.add(sent->split);
    const bool all = finish(lane, prepared, *sent);
    if (sent->trains_unsupported) trains_again_ = os::now() + kTrainsPause;
    if (!all) return block(lane, sent->done() == 0 && sent->partial == 0);
  }
  lane.queue.clear();
  lane.head = 0;
}

void UdpPort::block(Lane& lane, bool no_progress) {
  lane.blocked = true;
  counters_.no_room.add(1);
  // Called writable, and yet it took nothing: epoll would call it so again at once.
  const bool pointless = no_progress && woken_;
  if (!pointless && loop_.set_want_write(lane.socket.get(), true)) return;
  std::ignore = loop_.set_want_write(lane.socket.get(), false);
  lane.resting = loop_.at(os::now() + kNoRoomPause, [this, &lane] {
    lane.resting = 0;
    handle_writable(lane);
  });
}

void UdpPort::unblock(Lane& lane) {
  lane.blocked = false;
  std::ignore = loop_.set_want_write(lane.socket.get(), false);
}

bool UdpPort::has_pending() const {
  return std::ranges::any_of(lanes_,
                             [](const Lane& lane) { return lane.head < lane.queue.size(); });
}

std::size_t UdpPort::drop_pending(const std::function<bool(const node::Owner&)>& is_gone) {
  std::size_t dropped = 0;
  for (Lane& lane : lanes_) {
    const auto first = lane.queue.begin() + static_cast<std::ptrdiff_t>(lane.head);
    const auto last = std::remove_if(first, lane.queue.end(), [&](const node::Datagram& waiting) {
      return waiting.owner != node::Owner{} && is_gone(waiting.owner);
    });
    dropped += static_cast<std::size_t>(lane.queue.end() - last);
    lane.queue.erase(last, lane.queue.end());
  }
  return dropped;
}

void UdpPort::release_spares() {
  for (wire::Packet& spare : spares_) spare = {};
}

}  // namespace warren::engine
