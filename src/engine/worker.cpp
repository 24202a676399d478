// Theory of operation
//
// A worker runs packets to completion on its own thread: what it reads from its tun queue it seals
// and sends from its sockets, what it receives there it opens and writes to its tun queue. Nothing
// is handed to another thread: below several Gb/s per core that costs more than the cryptography.
//
//   tun ─▶ read until EAGAIN or the batch is full ─▶ plan* ─▶ cut, seal ─▶ trains ─▶ UDP
//   UDP ─▶ recvmmsg ─▶ identify* ─▶ open ─▶ accept* ─▶ coalesce ─▶ tun       (* under the lock)
//
// Batches without latency. A batch is what waits at this moment: a lone ping is a batch of one and
// leaves at once. Under load a batch is bounded, and the loop serves each ready descriptor once per
// round, so that a ping stands behind one batch of each direction and no more. There is no queue of
// our own: when a socket is full the tun is not read until it has room, so that packets wait in the
// tun's queue, where the kernel keeps them short, and none is sealed only to be dropped. Handshakes
// and keepalives still go out, and the other direction is served.
//
// Handshakes cost 0.1 ms each. The node queues them; between two batches of data one of them is
// handled, so that a storm of strangers takes its share of the time and not all of it. While some
// wait a timer that is due at once keeps the loop going. Their public-key work is done without the
// lock, so that other workers do not wait for it. Data and handshakes share a socket: while more
// waits there than a batch takes, reading comes first, for a fraction of a millisecond, because
// what is read and a handshake waits in the node's queue, but what is not read fills the socket and
// then data is lost, too.
//
// Order. Within a worker a peer's packets keep their order. Across workers the kernel keeps flows
// apart: SO_REUSEPORT gives a remote's datagrams to a socket by the hash of addresses and ports,
// and a tun gives a flow's packets to the queue to which packets of the flow were written last (or
// by hash before that). So each direction of a flow stays on one worker. Which one seals is decided
// by whoever opens: it writes to its neighbour's queue (set_output, Crew), so that the two
// directions of one heavy peer are the work of two workers, and neither is spread. A peer that
// roams gets another hash: its datagrams may move to another worker, the few that the former one
// still has in work may come out late, as if the network had delayed them; the replay window covers
// it.
//
// The epoch is how a removal becomes final: see epoch(), Batch, and Crew::pass_epoch.
#include "engine/worker.hpp"

#include <array>
#include <utility>

#include "os/clock.hpp"
#include "wire/offload.hpp"

namespace warren::engine {

namespace {

/// Datagrams of the node that are copied under one lock.
constexpr std::size_t kCollectBatch = 32;
/// Batches that detach() still carries from each side: more than waits where it is called.
constexpr std::size_t kDetachBatches = 16;

wire::CoalesceOptions coalesce_options(const os::TunOffloads& offloads) {
  const bool able = offloads.vnet_header && offloads.checksum;
  return {.tcp4 = able && offloads.tcp4,
          .tcp6 = able && offloads.tcp6,
          .udp4 = able && offloads.udp4,
          .udp6 = able && offloads.udp6};
}

}  // namespace

Worker::Batch::Batch(Worker& worker) : worker_(worker) {
  // In this order, both sequentially consistent: whoever counts a removal and then looks at the
  // epoch either sees this batch in work or is seen by it.
  worker_.epoch_.fetch_add(1);
  const std::uint64_t removals = worker_.shared_.removals();
  if (std::exchange(worker_.removals_seen_, removals) != removals) worker_.drop_pending();
}

Worker::Batch::~Batch() { worker_.epoch_.fetch_add(1); }

Worker::Worker(os::Loop& loop, SharedNode& shared, Handlers handlers)
    : loop_(loop),
      shared_(shared),
      handlers_(std::move(handlers)),
      pool_(kMaxPacketBytes, kWorkerSlots),
      udp_(loop, pool_,
           {.received = [this](std::span<node::Datagram> batch) { handle_received(batch); },
            .writable = [this] { handle_writable(); }}),
      outgoing_(pool_) {}

Worker::~Worker() {
  if (tun_) loop_.forget(tun_.get());
  for (const os::Loop::TimerId timer : {timer_, idle_timer_}) loop_.cancel(timer);
}

base::Status Worker::set_tun(os::Fd tun, os::TunOffloads offloads) {
  WARREN_TRY(tun.set_nonblocking());
  WARREN_TRY(loop_.watch(tun.get(), [this](os::Ready) { handle_tun(); }));
  tun_ = std::move(tun);
  tun_paused_ = false;
  offloads_ = offloads;
  coalescer_.emplace(coalesce_options(offloads));
  return {};
}

base::Status Worker::set_sockets(os::Fd v4, os::Fd v6, std::uint16_t port) {
  WARREN_TRY(udp_.replace(std::move(v4), std::move(v6), port));
  resume_tun();
  return {};
}

void Worker::detach() {
  for (std::size_t i = 0; i < kDetachBatches && tun_ && carry_from_tun(); ++i) {
  }
  udp_.drain_sockets(kDetachBatches);
  udp_.close();
  udp_.release_spares();
  if (tun_) loop_.forget(tun_.get());
  tun_.reset();
  pool_.trim();
  // Deadlines and handshakes are the other workers' from now on.
  if (armed_) loop_.cancel(timer_);
  armed_.reset();
  due_.reset();
  more_handshakes_ = false;
  more_output_ = false;
}

// --- tun to UDP ---

// HOT PATH
void Worker::handle_tun() {
  std::ignore = carry_from_tun();
  finish_batch();
}

// HOT PATH
bool Worker::carry_from_tun() {
  const Batch batch(*this);
  read_tun();
  if (outgoing_.empty()) return false;
  data_since_handshakes_ = true;
  {
    auto node = shared_.lock();
    node->plan(outgoing_, os::now(), os::wall_now());
    collect(node);
  }
  send_collected();
  outgoing_.seal();
  counters_.no_buffer.add(outgoing_.take_lost());
  for (node::Datagram& train : outgoing_.trains()) udp_.enqueue(std::move(train));
  flush();
  outgoing_.clear();
  note_activity();
  return true;
}

// HOT PATH
void Worker::read_tun() {
  std::size_t bytes = 0;
  std::size_t reads = 0;
  while (reads < kTunBatch && bytes < kTunBatchBytes) {
    wire::Packet packet = pool_.take(kMaxPacketBytes);
    if (!packet) {
      drop_from_tun();
      break;
    }
    if (offloads_.vnet_header) packet.push_front(wire::kVnetHeaderSize);
    const auto size = os::read_packet(tun_, packet.bytes());
    if (!size) {
      loop_.forget(tun_.get());
      handlers_.tun_gone(size.error());
      break;
    }
    if (*size == 0) break;
    ++reads;
    bytes += *size;
    add_from_tun(std::move(packet), *size);
  }
  counters_.tun_reads.add(reads);
  counters_.tun_read_bytes.add(bytes);
}

// HOT PATH
void Worker::add_from_tun(wire::Packet packet, std::size_t size) {
  packet.pop_back(packet.size() - size);
  if (!offloads_.vnet_header) return outgoing_.add(std::move(packet), {});
  if (size <= wire::kVnetHeaderSize) return counters_.tun_malformed.add(1);
  const base::Bytes all = std::as_const(packet).bytes();
  const auto offload = wire::read_vnet_header(
      all.first(wire::kVnetHeaderSize), all.subspan(wire::kVnetHeaderSize), wire::Layer::Packet);
  if (!offload) return counters_.tun_malformed.add(1);
  packet.pop_front(wire::kVnetHeaderSize);
  outgoing_.add(std::move(packet), *offload);
}

/// No slot is free: takes one packet out of the tun's queue all the same, so that the loop moves
/// on.
void Worker::drop_from_tun() {
  std::array<std::uint8_t, 64> scrap;
  const auto size = os::read_packet(tun_, scrap);
  if (size && *size > 0) counters_.tun_no_buffer.add(1);
}

// --- UDP to tun ---

// HOT PATH
void Worker::handle_received(std::span<node::Datagram> datagrams) {
  {
    const Batch batch(*this);
    for (node::Datagram& datagram : datagrams) incoming_.add(std::move(datagram));
    const base::Instant now = os::now();
    const base::WallTime wall = os::wall_now();
    {
      auto node = shared_.lock();
      node->identify(incoming_, now, wall);
    }
    data_since_handshakes_ |= incoming_.carries_data();
    incoming_.open();
    {
      auto node = shared_.lock();
      node->accept(incoming_, now, wall);
      collect(node);
    }
    send_collected();
    write_incoming();
    incoming_.clear();
    note_activity();
  }
  finish_batch();
}

// HOT PATH
void Worker::write_incoming() {
  const auto packets = incoming_.packets();
  if (packets.empty() || !*output_) return;
  for (const base::MutableBytes packet : packets) coalescer_->add(packet);
  coalescer_->finish();
  const std::size_t count = coalescer_->result_count();
  for (std::size_t i = 0; i < count; ++i) write_coalesced(coalescer_->result(i));
  coalescer_->clear();
  counters_.tun_writes.add(count);
  counters_.tun_packets.add(packets.size());
}

// HOT PATH
void Worker::write_coalesced(const wire::Coalesced& packet) {
  std::array<std::uint8_t, wire::kVnetHeaderSize> header;
  pieces_.clear();
  if (offloads_.vnet_header) {
    wire::write_vnet_header(packet.offload, header);
    pieces_.push_back(header);
  }
  pieces_.insert(pieces_.end(), packet.pieces.begin(), packet.pieces.end());
  const auto written = os::write_pieces(*output_, pieces_);
  // A tun that is gone shows itself when it is read.
  if (!written || !*written) counters_.tun_full.add(packet.packets);
}

// --- what the node does by itself ---

void Worker::handle_timer() {
  armed_.reset();
  {
    const Batch batch(*this);
    {
      auto node = shared_.lock();
      node->handle_timeout(os::now(), os::wall_now());
      collect(node);
    }
    send_collected();
  }
  finish_batch();
}

void Worker::drain() {
  const bool beside_data = std::exchange(data_since_handshakes_, false);
  std::size_t at_most = beside_data ? kHandshakesBesideData : kHandshakesAlone;
  const bool behind = udp_.take_behind();
  if (behind && os::now() - handshakes_ended_ < kReadingFirst) at_most = 0;
  {
    const Batch batch(*this);
    work_on_handshakes(at_most);
  }
  finish_batch();
}

void Worker::work_on_handshakes(std::size_t at_most) {
  std::size_t budget = node::Node::handshake_budget(at_most);
  bool worked = false;
  for (bool more = true; more;) {
    {
      auto node = shared_.lock();
      more = node->advance(handshake_, budget, os::now(), os::wall_now());
      if (handshake_.is_idle()) collect(node);
    }
    send_collected();  // the cookies of a storm: others get the lock meanwhile
    worked |= !handshake_.is_idle();
    handshake_.compute();
  }
  if (worked) handshakes_ended_ = os::now();
}

void Worker::collect(SharedNode::Access& node) {
  node.handle_events();
  more_handshakes_ = node->handshakes_wait();
  more_output_ = true;
  // What finds no slot stays with the node: finish_batch comes back for it.
  while (collected_.size() < kCollectBatch && pool_.in_use() < pool_.limit()) {
    auto datagram = node->poll_datagram();
    if (!datagram) {
      more_output_ = false;
      break;
    }
    wire::Packet copy = pool_.copy_of(std::as_const(datagram->packet).bytes());
    if (copy) {
      collected_.push_back({.packet = std::move(copy),
                            .remote = datagram->remote,
                            .traffic_class = datagram->traffic_class,
                            .local = datagram->local,
                            .owner = datagram->owner});
    } else {
      counters_.no_buffer.add(1);
    }
  }
  due_ = node->poll_timeout();
}

void Worker::send_collected() {
  while (!collected_.empty()) {
    for (node::Datagram& datagram : collected_) udp_.enqueue(std::move(datagram));
    collected_.clear();
    flush();
    if (!more_output_) return;
    auto node = shared_.lock();
    collect(node);
  }
}

void Worker::flush() {
  udp_.flush();
  if (udp_.is_blocked()) pause_tun();
}

void Worker::handle_writable() {
  const Batch batch(*this);
  flush();
  if (!udp_.is_blocked()) resume_tun();
}

void Worker::drop_pending() {
  if (!udp_.has_pending()) return;
  auto node = shared_.lock();
  counters_.pending_dropped.add(
      udp_.drop_pending([&](const node::Owner& owner) { return !node->has(owner); }));
}

void Worker::pause_tun() {
  if (!tun_ || std::exchange(tun_paused_, true)) return;
  std::ignore = loop_.set_want_read(tun_.get(), false);
  counters_.tun_pauses.add(1);
}

void Worker::resume_tun() {
  if (!tun_ || !std::exchange(tun_paused_, false)) return;
  std::ignore = loop_.set_want_read(tun_.get(), true);
}

/// Outside of a batch: sees to what comes later.
void Worker::finish_batch() {
  arm_timer();
  if (!(more_handshakes_ || more_output_) || std::exchange(drain_scheduled_, true)) return;
  // Slots come free when a socket has room.
  const base::Duration pause = more_handshakes_ ? base::Duration(0) : kNoRoomPause;
  loop_.at(os::now() + pause, [this] {
    drain_scheduled_ = false;
    if (more_handshakes_ || more_output_) drain();
  });
}

/// Lazily: a deadline that moved later lets the old timer fire early, which costs a look at the
/// clock and spares a timer update per batch.
void Worker::arm_timer() {
  if (!due_ || (armed_ && *armed_ <= *due_)) return;
  if (armed_) loop_.cancel(timer_);
  armed_ = due_;
  timer_ = loop_.at(*due_, [this] { handle_timer(); });
}

void Worker::note_activity() {
  active_ = true;
  if (idle_timer_ != 0) return;
  idle_timer_ = loop_.at(os::now() + kIdleAfter, [this] { handle_idle(); });
  handlers_.busy();
}

/// An idle worker gives its packet memory back.
void Worker::handle_idle() {
  idle_timer_ = 0;
  if (std::exchange(active_, false)) {
    idle_timer_ = loop_.at(os::now() + kIdleAfter, [this] { handle_idle(); });
    return;
  }
  udp_.release_spares();
  pool_.trim();
  handlers_.idle();
}

}  // namespace warren::engine
