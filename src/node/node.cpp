// Theory of operation.
//
// A Node is a set of peers around one private key. Three things come in and each runs to completion
// before the next: a datagram, an inner packet, a moment in time. Whatever they produce waits in
// three queues that the caller drains. The queues and the peers' timers are the only memory between
// calls.
//
//   datagram ── type ──▶ initiation ─▶ mac1, load ─▶ Noise ─▶ session "next", response out
//                        response   ─▶ mac1, load ─▶ Noise ─▶ session "current", staged packets out
//                        cookie     ─▶ kept for the next handshake message
//                        transport  ─▶ session ─▶ replay, tag ─▶ endpoint ─▶ allowed IPs ─▶ packet
//                        out
//   packet   ── allowed IPs ─▶ peer ─▶ session ─▶ datagram out
//                                  └▶ staged, initiation out
//   time     ── deadlines ─▶ the peer's timers ─▶ initiation, keepalive, keys wiped
//
// A worker's batches go through the same decisions in steps (batch.hpp), the cryptography between
// them outside the node and its lock; handle_datagrams and handle_packets are those steps for one
// packet at a time.
//
// What a stranger sends takes no memory but a place in the bounded queue of handshake messages: a
// peer's memory is taken only after its message has authenticated. Removing a peer wipes its keys
// and takes its packets out of the queues before update_peer returns. Deliberately not done: ICMP
// errors for packets without a route (the kernel above the tun knows better), and locking: the Node
// itself is single-threaded, a shell with several workers holds its lock around every call. The
// public-key work of handshakes has steps of the same kind (handshake_work.hpp).
#include "node/node.hpp"

#include "base/assert.hpp"
#include "node/state.hpp"

namespace warren::node {

std::string_view to_string(Drop drop) {
  switch (drop) {
    case Drop::Malformed:
      return "malformed";
    case Drop::BadMac1:
      return "bad-mac1";
    case Drop::UnderLoad:
      return "under-load";
    case Drop::UnknownPeer:
      return "unknown-peer";
    case Drop::BadHandshake:
      return "bad-handshake";
    case Drop::HandshakeFlood:
      return "handshake-flood";
    case Drop::UnknownIndex:
      return "unknown-index";
    case Drop::BadTag:
      return "bad-tag";
    case Drop::Replayed:
      return "replayed";
    case Drop::SessionExpired:
      return "session-expired";
    case Drop::BadSource:
      return "bad-source";
    case Drop::NoRoute:
      return "no-route";
    case Drop::NoEndpoint:
      return "no-endpoint";
    case Drop::QueueFull:
      return "queue-full";
    case Drop::NoBuffer:
      return "no-buffer";
    case Drop::Congestion:
      return "congestion";
    case Drop::HandshakeQueueFull:
      return "handshake-queue-full";
    case Drop::kCount:
      break;
  }
  return "unknown";
}

Node::Node(Options options, base::RandomSource& random, wire::PacketPool& pool)
    : state_(std::make_unique<State>(options, random, pool)) {
  WARREN_ASSERT(pool.content_size() >= kMinPoolContent);
}

Node::~Node() = default;

// --- configuration ---

void Node::set_private_key(crypto::PrivateKey key, base::Instant) {
  State& state = *state_;
  if (!key.is_zero()) crypto::clamp(key);
  if (private_key().equals(key)) return;
  state.interface.reset();
  state.identities.clear();
  ++state.key_serial;
  state.peers.for_each([&](wg::Peer& peer) {
    state.expire(peer);
    peer.static_shared.reset();
  });
  state.forget_orphans();
  if (key.is_zero()) return;
  state.interface.emplace(std::move(key), state.options.timing.cookie_secret);
  wg::Peer* self = state.peers.find(state.interface->identity.public_key);
  if (self != nullptr) state.remove(*self);
}

const crypto::PrivateKey& Node::private_key() const {
  return state_->interface ? state_->interface->identity.private_key : state_->no_key;
}

std::optional<base::PublicKey> Node::public_key() const {
  if (!state_->interface) return std::nullopt;
  return state_->interface->identity.public_key;
}

void Node::set_mtu(std::size_t mtu) { state_->options.mtu = mtu; }

bool Node::update_peer(const PeerUpdate& update, base::Instant now) {
  State& state = *state_;
  if (public_key() == update.public_key) return true;
  wg::Peer* peer = state.peers.find(update.public_key);
  if (update.remove) {
    if (peer != nullptr) state.remove(*peer);
    return true;
  }
  if (peer == nullptr) {
    if (update.update_only) return true;
    peer = state.peers.add(update.public_key, state.options.timing.cookie_secret);
    if (peer == nullptr) return false;
  }
  state.apply(update, *peer, now);
  return true;
}

void Node::State::apply(const PeerUpdate& update, wg::Peer& peer, base::Instant now) {
  if (update.preshared_key) peer.preshared_key = update.preshared_key->clone();
  if (update.endpoint && peer.endpoint != update.endpoint) {
    peer.endpoint = update.endpoint;
    peer.local = {};
  }
  if (update.replace_allowed_ips) allowed_ips.remove_all(peer.id);
  for (const PeerUpdate::AllowedIp& allowed : update.allowed_ips) {
    if (allowed.remove) {
      allowed_ips.remove(allowed.prefix, peer.id);
    } else {
      allowed_ips.insert(allowed.prefix, peer.id);
    }
  }
  if (update.persistent_keepalive_s) {
    const bool starts = peer.persistent_keepalive_s == 0 && *update.persistent_keepalive_s != 0;
    peer.persistent_keepalive_s = *update.persistent_keepalive_s;
    if (peer.persistent_keepalive_s == 0) peer.timers.cancel(wg::Timer::PersistentKeepalive);
    if (starts) arm(peer, wg::Timer::PersistentKeepalive, now);
  }
}

void Node::remove_all_peers() {
  std::optional<std::size_t> next = 0;
  while (next) next = remove_some_peers(*next, kMaxPeers);
}

std::optional<std::size_t> Node::remove_some_peers(std::size_t from, std::size_t at_most) {
  State& state = *state_;
  const auto next =
      state.peers.for_slots(from, at_most, [&](wg::Peer& peer) { state.unlink(peer); });
  state.forget_orphans();
  state.packets.clear();
  return next;
}

bool Node::has(const Owner& owner) const { return state_->has(owner); }

void Node::State::unlink(wg::Peer& peer) {
  drop_staged(peer);
  allowed_ips.remove_all(peer.id);
  deadlines.remove(peer.id);
  peers.remove(peer.id);
}

void Node::State::remove(wg::Peer& peer) {
  const std::uint64_t serial = peer.serial;
  unlink(peer);
  datagrams.erase_if([serial](const Datagram& out) { return out.owner.serial == serial; });
  packets.erase_if([serial](const OutgoingPacket& out) { return out.peer_serial == serial; });
}

/// Of output that belonged to a peer that is gone. What belongs to nobody stays: cookie replies.
void Node::State::forget_orphans() {
  datagrams.erase_if(
      [this](const Datagram& out) { return out.owner != Owner{} && !has(out.owner); });
}

/// Ends every session and handshake of a peer that stays.
void Node::State::expire(wg::Peer& peer) {
  peer.sessions.clear();
  peer.pending.reset();
  drop_staged(peer);  // no timer is left that would
  peer.timers.cancel_all();
  peer.last_handshake_sent.reset();
  peer.renewed_in_last_minute = false;
  peer.another_keepalive = false;
  peer.initiation_wanted = false;
  peers.renew_serial(peer);
  if (peer.persistent_keepalive_s != 0) arm(peer, wg::Timer::PersistentKeepalive, {});
}

void Node::restore_hints(const base::PublicKey& key, const PeerHints& hints) {
  wg::Peer* peer = state_->peers.find(key);
  if (peer == nullptr) return;
  if (hints.endpoint) peer->endpoint = hints.endpoint;
  peer->last_sent_timestamp = std::max(peer->last_sent_timestamp, hints.last_sent_timestamp);
  peer->last_accepted_timestamp =
      std::max(peer->last_accepted_timestamp, hints.last_accepted_timestamp);
  peer->last_activity = std::max(peer->last_activity, hints.last_activity);
}

void Node::initiate(const base::PublicKey& key, base::Instant now, base::WallTime wall) {
  wg::Peer* peer = state_->peers.find(key);
  if (peer == nullptr || state_->usable_session(*peer, now) != nullptr) return;
  state_->send_initiation(*peer, State::Attempt::New, {now, wall});
}

void Node::wake(const base::PublicKey& key, base::Instant now, base::WallTime wall) {
  wg::Peer* peer = state_->peers.find(key);
  if (peer != nullptr) state_->send_keepalive(*peer, {now, wall});
}

// --- input ---

void Node::plan(Outgoing& batch, base::Instant now, base::WallTime wall) {
  state_->plan(*batch.state_, {now, wall});
}

void Node::identify(Incoming& batch, base::Instant now, base::WallTime wall) {
  state_->identify(*batch.state_, {now, wall});
}

void Node::accept(Incoming& batch, base::Instant now, base::WallTime wall) {
  state_->accept(*batch.state_, {now, wall});
}

void Node::handle_datagrams(std::span<Datagram> batch, base::Instant now, base::WallTime wall) {
  State& state = *state_;
  for (Datagram& datagram : batch) {
    state.single_in.add(std::move(datagram));
    identify(state.single_in, now, wall);
    state.single_in.open();
    accept(state.single_in, now, wall);
    state.queue_accepted(*state.single_in.state_);
    state.single_in.clear();
    while (handle_handshakes(1, now, wall)) {
    }
  }
}

void Node::handle_packets(std::span<wire::Packet> batch, base::Instant now, base::WallTime wall) {
  State& state = *state_;
  for (wire::Packet& packet : batch) {
    state.single_out.add(std::move(packet), {});
    plan(state.single_out, now, wall);
    state.single_out.seal();
    state.queue_sealed(*state.single_out.state_);
    state.single_out.clear();
  }
}

void Node::handle_timeout(base::Instant now, base::WallTime wall) {
  State& state = *state_;
  // A timer that re-arms itself for this very moment (a duration of zero) waits for the next call.
  for (std::size_t left = state.deadlines.size(); left != 0; --left) {
    if (state.datagrams.size() + state.wanted.size() >= kTimeoutOutput) return;
    const std::optional<wg::PeerId> due = state.deadlines.take_due(now);
    if (!due) break;
    state.run_timers(state.peers.at(*due), {now, wall});
  }
}

void Node::handle_network_change(base::Instant now) {
  State& state = *state_;
  state.peers.for_each([&](wg::Peer& peer) {
    peer.local = {};
    if (peer.sessions.current() != nullptr) state.arm(peer, wg::Timer::SendKeepalive, now);
  });
}

// --- output ---

std::optional<Datagram> Node::poll_datagram() {
  if (state_->datagrams.empty()) return std::nullopt;
  return state_->datagrams.pop();
}

std::optional<wire::Packet> Node::poll_packet() {
  if (state_->packets.empty()) return std::nullopt;
  return state_->packets.pop().packet;
}

std::optional<Event> Node::poll_event() {
  if (state_->events.empty()) return std::nullopt;
  return state_->events.pop();
}

std::optional<base::Instant> Node::poll_timeout() const { return state_->deadlines.next(); }

void Node::State::emit(Event::Kind kind, const wg::Peer& peer) {
  if (events.size() >= kMaxEvents) static_cast<void>(events.pop());
  events.push({.kind = kind, .peer = peer.public_key});
}

// --- reading ---

std::size_t Node::peer_count() const { return state_->peers.size(); }

PeerStatus Node::State::status_of(const wg::Peer& peer) const {
  return {.public_key = peer.public_key,
          .preshared_key = &peer.preshared_key,
          .endpoint = peer.endpoint,
          .last_handshake = peer.last_handshake,
          .rx_bytes = peer.rx_bytes,
          .tx_bytes = peer.tx_bytes,
          .persistent_keepalive_s = peer.persistent_keepalive_s,
          .allowed_ips = allowed_ips.of(peer.id)};
}

void Node::for_each_peer(const std::function<void(const PeerStatus&)>& visit) const {
  state_->peers.for_each([&](const wg::Peer& peer) { visit(state_->status_of(peer)); });
}

std::optional<std::size_t> Node::for_some_peers(
    std::size_t from, std::size_t at_most,
    const std::function<void(const PeerStatus&)>& visit) const {
  return state_->peers.for_slots(from, at_most,
                                 [&](const wg::Peer& peer) { visit(state_->status_of(peer)); });
}

std::optional<std::size_t> Node::for_some_keys(
    std::size_t from, std::size_t at_most,
    const std::function<void(const base::PublicKey&)>& visit) const {
  return state_->peers.for_slots(from, at_most,
                                 [&](const wg::Peer& peer) { visit(peer.public_key); });
}

std::optional<std::size_t> Node::for_some_active(
    std::size_t from, std::size_t at_most, base::Instant since,
    const std::function<void(const base::PublicKey&)>& visit) const {
  return state_->peers.for_slots(from, at_most, [&](const wg::Peer& peer) {
    if (peer.last_activity.ns != 0 && peer.last_activity >= since) visit(peer.public_key);
  });
}

std::optional<PeerHints> Node::hints(const base::PublicKey& key) const {
  const wg::Peer* peer = state_->peers.find(key);
  if (peer == nullptr) return std::nullopt;
  return PeerHints{.endpoint = peer->endpoint,
                   .last_sent_timestamp = peer->last_sent_timestamp,
                   .last_accepted_timestamp = peer->last_accepted_timestamp,
                   .last_activity = peer->last_activity};
}

const Counters& Node::counters() const { return state_->counters; }

}  // namespace warren::node
