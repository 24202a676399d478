// Theory of operation.
//
// The lock-free middle of the data path. What needs the node has been decided before (keys,
// counters, remotes: Node::plan, Node::identify) or comes after (Node::accept); here is all that
// costs time and needs none of it: reading headers, cutting, framing, cryptography. It works on the
// batch's own memory; of the node's it touches only session keys, which do not change and which
// HeldKeys keeps alive.
//
//   seal   walks the inputs in order. A peer has at most one train open, so that the order within a
//          peer is the order of the inputs whatever is sent to others meanwhile. A datagram joins
//          its peer's train if it has the same traffic class and remote and is no larger than the
//          first; one that is smaller ends it. Otherwise it begins a new train. The ciphertext is
//          made kAeadBatch datagrams at a time over all trains.
//   open   decrypts kAeadBatch messages at a time where they lie, then reads the inner headers and
//          takes over the outer ECN mark, so that Node::accept has little left to do.
//
// A packet that is alone in its batch, as a ping is, is sealed where it lies. Any other gives its
// slot back as soon as it is cut, so that a batch to as many peers as it has packets needs one slot
// more than these and not as many again.
//
// Counters that plan reserved for a packet that is then lost are gaps, which the protocol allows;
// none is used twice, because each is sealed here once and only clear() forgets it.
#include "node/batch.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "node/batch_state.hpp"

namespace warren::node {

namespace {

std::size_t outer_size(std::size_t inner_size, std::size_t mtu) {
  return inner_size + wg::padding_of(inner_size, mtu) + wg::kTransportOverhead;
}

}  // namespace

// --- Outgoing ---

Outgoing::Outgoing(wire::PacketPool& pool, std::size_t max_segments)
    : state_(std::make_unique<State>(pool, max_segments)) {
  set_max_segments(max_segments);
}

Outgoing::~Outgoing() = default;

void Outgoing::set_max_segments(std::size_t max_segments) {
  WARREN_ASSERT(max_segments != 0 && max_segments <= kMaxTrainSegments);
  state_->max_segments = max_segments;
}

// HOT PATH
void Outgoing::add(wire::Packet packet, const wire::Offload& offload) {
  State::Input& input = state_->inputs.emplace_back();
  input.packet = std::move(packet);
  if (!input.packet) return;
  input.plain = offload.cut == wire::Offload::Cut::None && !offload.needs_checksum;
  if (!parse_inner(input.packet.bytes(), input.inner)) return;
  input.packet.pop_back(input.packet.size() - input.inner.length);
  input.segments = wire::Segments::of(input.packet.bytes(), offload, wire::Layer::Packet);
}

bool Outgoing::empty() const { return state_->inputs.empty(); }

// HOT PATH
void Outgoing::seal() {
  State& state = *state_;
  const bool alone = state.inputs.size() == 1 || state.max_segments == 1;
  for (State::Input& input : state.inputs) {
    if (input.key != nullptr && !(alone && input.plain && state.seal_in_place(input))) {
      state.seal_into_trains(input);
    }
    input.key = nullptr;  // sealed: its counters are used
    input.packet = {};    // its slot is the next train's
  }
  state.flush();
  state.open_count = 0;
  state.oldest_open = 0;
}

/// False without room around the packet.
bool Outgoing::State::seal_in_place(Input& input) {
  wire::Packet& packet = input.packet;
  const std::size_t padding = wg::padding_of(packet.size(), mtu);
  if (packet.headroom() < wg::kTransportHeaderSize ||
      packet.tailroom() < padding + crypto::kTagSize) {
    return false;
  }
  const std::size_t size = packet.size();
  packet.push_back(padding + crypto::kTagSize);
  std::memset(packet.bytes().data() + size, 0, padding);
  packet.push_front(wg::kTransportHeaderSize);
  wg::write_transport_header({.receiver = input.receiver, .counter = input.first_counter},
                             packet.bytes().first<wg::kTransportHeaderSize>());
  queue_job(*input.key, input.first_counter, packet.bytes());
  trains.push_back({.packet = std::move(packet),
                    .remote = input.remote,
                    .traffic_class = input.traffic_class,
                    .local = input.local,
                    .owner = input.owner});
  return true;
}

void Outgoing::State::seal_into_trains(Input& input) {
  OpenTrain* train = open_train_of(input.owner);
  for (std::size_t i = 0; i < input.segments->count(); ++i) {
    const std::size_t size = outer_size(input.segments->size(i), mtu);
    if (train == nullptr || !fits(*train, input, size)) {
      train = start_train(train, input, size);
      if (train == nullptr) {
        lost += input.segments->count() - i;
        return;
      }
    }
    Datagram& datagram = trains[train->index];
    if (++train->count == 2) datagram.segment_size = static_cast<std::uint16_t>(train->first_size);
    train->ended = size < train->first_size;
    datagram.packet.push_back(size);
    frame(input, i, datagram.packet.bytes().last(size));
  }
}

Outgoing::State::OpenTrain* Outgoing::State::open_train_of(const Owner& owner) {
  for (std::size_t i = 0; i < open_count; ++i) {
    if (open[i].owner == owner) return &open[i];
  }
  return nullptr;
}

bool Outgoing::State::fits(const OpenTrain& train, const Input& input, std::size_t size) const {
  const Datagram& datagram = trains[train.index];
  return !train.ended && size <= train.first_size && train.count < max_segments &&
         datagram.packet.size() + size <= kMaxTrainBytes && size <= datagram.packet.tailroom() &&
         datagram.traffic_class == input.traffic_class && datagram.remote == input.remote;
}

/// In the place of the peer's `last` train, if it has one open; nullptr when no slot is free or the
/// datagram is too large for one.
Outgoing::State::OpenTrain* Outgoing::State::start_train(OpenTrain* last, const Input& input,
                                                         std::size_t size) {
  wire::Packet packet = pool.take(0);
  if (!packet || packet.tailroom() < size) return nullptr;
  if (last == nullptr && open_count < kOpenTrains) last = &open[open_count++];
  if (last == nullptr) last = &open[oldest_open++ % kOpenTrains];
  *last = {.owner = input.owner, .index = trains.size(), .first_size = size};
  trains.push_back({.packet = std::move(packet),
                    .remote = input.remote,
                    .traffic_class = input.traffic_class,
                    .local = input.local,
                    .owner = input.owner});
  return last;
}

// HOT PATH
void Outgoing::State::frame(const Input& input, std::size_t segment, base::MutableBytes out) {
  const std::uint64_t counter = input.first_counter + segment;
  wg::write_transport_header({.receiver = input.receiver, .counter = counter},
                             out.first<wg::kTransportHeaderSize>());
  const base::MutableBytes text =
      out.subspan(wg::kTransportHeaderSize, out.size() - wg::kTransportOverhead);
  const std::size_t size = input.segments->size(segment);
  input.segments->write(segment, text.first(size));
  std::memset(text.data() + size, 0, text.size() - size);
  queue_job(*input.key, counter, out);
}

void Outgoing::State::queue_job(const crypto::Aead& key, std::uint64_t counter,
                                base::MutableBytes datagram) {
  if (job_count == jobs.size()) flush();
  jobs[job_count++] = {
      .key = &key,
      .counter = counter,
      .text = datagram.subspan(wg::kTransportHeaderSize, datagram.size() - wg::kTransportOverhead),
      .tag = datagram.last<crypto::kTagSize>().data()};
}

void Outgoing::State::flush() {
  if (job_count != 0) crypto::seal(std::span(jobs).first(job_count));
  job_count = 0;
}

std::span<Datagram> Outgoing::trains() { return state_->trains; }

std::uint64_t Outgoing::take_lost() { return std::exchange(state_->lost, 0); }

void Outgoing::clear() {
  state_->inputs.clear();
  state_->trains.clear();
  state_->keys.clear();
}

std::size_t Outgoing::held_keys() const { return state_->keys.size(); }

// --- Incoming ---

Incoming::Incoming() : state_(std::make_unique<State>()) {}
Incoming::~Incoming() = default;

void Incoming::add(Datagram datagram) { state_->datagrams.push_back(std::move(datagram)); }

bool Incoming::empty() const { return state_->datagrams.empty(); }

bool Incoming::carries_data() const { return !state_->messages.empty(); }

// HOT PATH
void Incoming::open() {
  std::span<State::Message> rest = state_->messages;
  while (!rest.empty()) {
    const std::size_t count = std::min(rest.size(), state_->jobs.size());
    const std::span<crypto::AeadJob> jobs = std::span(state_->jobs).first(count);
    for (std::size_t i = 0; i < count; ++i) {
      const base::MutableBytes bytes = rest[i].bytes;
      jobs[i] = {
          .key = rest[i].key,
          .counter = rest[i].counter,
          .text = bytes.subspan(wg::kTransportHeaderSize, bytes.size() - wg::kTransportOverhead),
          .tag = bytes.last<crypto::kTagSize>().data()};
    }
    crypto::open(jobs);
    for (std::size_t i = 0; i < count; ++i) {
      if (!jobs[i].authentic) continue;
      rest[i].bytes = jobs[i].text;
      state_->look_inside(rest[i]);
    }
    rest = rest.subspan(count);
  }
}

void Incoming::State::look_inside(Message& message) const {
  if (message.bytes.empty()) {
    message.content = Content::Keepalive;
    return;
  }
  message.content = Content::NotIp;
  if (!parse_inner(message.bytes, message.inner)) return;
  const bool carried = decapsulate_ecn(message.bytes, datagrams[message.datagram].traffic_class);
  message.content = carried ? Content::Packet : Content::Congested;
  message.bytes = message.bytes.first(message.inner.length);
}

std::span<const base::MutableBytes> Incoming::packets() const { return state_->packets; }

void Incoming::clear() {
  state_->datagrams.clear();
  state_->messages.clear();
  state_->packets.clear();
  state_->origins.clear();
  state_->keys.clear();
}

std::size_t Incoming::held_keys() const { return state_->keys.size(); }

}  // namespace warren::node
