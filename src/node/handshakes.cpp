// Theory of operation: handshake messages in and out.
//
// A peer's own initiation waits in `pending`; an initiation of the other side does not disturb it,
// so that two that cross each lead to a session, and the one completed last is the one both send on
// or still receive on. Only when the other side's session has been confirmed is an older `pending`
// forgotten: its key must not wait for an answer that may never come. Every handshake message sent
// counts for the one-per-rekey_timeout limit.
//
// Messages wait, with length and mac1 checked, in two bounded queues. The caller says how many of
// them may be handled between two batches of data (about 0.1 ms each), so that established sessions
// keep their share whatever knocks. When the node is under load, a sender must show that it
// receives at its address (mac2, made with a cookie that we sent there). Those who have, wait in
// `proven`, which is served first; others wait in `unproven` and get the cookie when their turn
// comes, which is cheap (kCheapHandshakes to one). A flood with made-up addresses can fill
// `unproven` only. Each proven address is held to its rate (wg::RateLimit).
//
// Under load is, until one second after it was last true:
//
//   - kUnderLoadWaiting messages wait: we do not keep up. This is the kernel's measure. A gateway
//     that restarts and finds 100,000 peers knocking serves them in one round trip as long as it
//     keeps up, and asks for cookies only when it does not.
//   - more than kUnderLoadHandshakes messages in a second have cost public-key work for nothing:
//   not
//     for us, of no peer of ours, replayed, or faster than a peer may. Whoever knows our public key
//     can make us work like this without filling a queue. Peers that are ours do not count, however
//     many come at once.
#include "node/state.hpp"

namespace warren::node {

void Load::note_futile(base::Instant now) {
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    futile_in_this_second_ = 0;
  }
  if (++futile_in_this_second_ > wg::kUnderLoadHandshakes) {
    high_until_ = now + wg::kUnderLoadPeriod;
  }
}

void Node::State::enqueue_handshake(base::Bytes bytes, const Datagram& from, base::Instant now) {
  if (!interface->cookies.mac1_ok(bytes)) return drop(Drop::BadMac1);
  wg::Ring<WaitingHandshake>* queue = &unproven;
  if (is_under_load(now) && interface->cookies.mac2_ok(bytes, from.remote, now)) {
    if (!rate_limit.allow(from.remote.address, now)) return drop(Drop::UnderLoad);
    queue = &proven;
  }
  if (queue->size() >= kMaxWaitingHandshakes) return drop(Drop::HandshakeQueueFull);
  WaitingHandshake& waiting = queue->emplace();
  waiting.size = static_cast<std::uint8_t>(bytes.size());
  std::memcpy(waiting.storage.data(), bytes.data(), bytes.size());
  waiting.remote = from.remote;
  waiting.local = from.local;
  load.note_waiting(proven.size() + unproven.size(), now);
}

bool Node::handle_handshakes(std::size_t at_most, base::Instant now, base::WallTime wall) {
  State& state = *state_;
  std::size_t budget = at_most * kCheapHandshakes;
  while (budget != 0 && !(state.proven.empty() && state.unproven.empty())) {
    const bool cheap = state.handle_waiting({now, wall}) == State::Cost::Cheap;
    budget -= std::min(budget, cheap ? 1 : kCheapHandshakes);
  }
  const bool more = !(state.proven.empty() && state.unproven.empty());
  if (!more && !state.load.is_high(now)) {  // a storm's memory goes with it
    state.proven.release_memory();
    state.unproven.release_memory();
  }
  return more;
}

/// One message, a proven one first.
Node::State::Cost Node::State::handle_waiting(Moment at) {
  const bool is_proven = !proven.empty();
  const WaitingHandshake message = is_proven ? proven.pop() : unproven.pop();
  if (!interface) {
    drop(Drop::UnknownPeer);
    return Cost::Cheap;
  }
  if (!is_proven && is_under_load(at.now)) {
    const bool receives = interface->cookies.mac2_ok(message.bytes(), message.remote, at.now);
    const bool allowed = receives && rate_limit.allow(message.remote.address, at.now);
    if (!allowed) drop(Drop::UnderLoad);
    if (!receives) send_cookie(message, at.now);
    if (!allowed) return Cost::Cheap;
  }
  receive_handshake(message, at);
  return Cost::PublicKey;
}

void Node::State::receive_handshake(const WaitingHandshake& message, Moment at) {
  if (message.size == wg::kInitiationSize) {
    receive_initiation(message, at);
  } else {
    receive_response(message, at);
  }
}

void Node::State::send_cookie(const WaitingHandshake& message, base::Instant now) {
  wire::Packet packet = pool.take(wg::kCookieSize);
  if (!packet) return drop(Drop::NoBuffer);
  const base::Bytes bytes = message.bytes();
  const wg::Index sender = base::ByteReader(bytes.subspan(4)).u32_le();  // in both kinds
  write_cookie_reply(interface->cookies.reply(bytes, sender, message.remote, now, random),
                     packet.bytes().first<wg::kCookieSize>());
  ++counters.cookies_sent;
  datagrams.push({.peer_serial = kNobody,
                  .datagram = {.packet = std::move(packet),
                               .remote = message.remote,
                               .traffic_class = kHandshakeClass,
                               .local = message.local}});
}

void Node::State::drop_futile(Drop reason, base::Instant now) {
  drop(reason);
  load.note_futile(now);
}

void Node::State::receive_initiation(const WaitingHandshake& waiting, Moment at) {
  const auto message = wg::parse_initiation(waiting.bytes());
  if (!message) return drop(Drop::Malformed);
  wg::ResponderState state;
  const auto sender = wg::read_initiator(interface->identity, *message, state);
  if (!sender) return drop_futile(Drop::BadHandshake, at.now);
  wg::Peer* peer = peers.find(*sender);
  if (peer == nullptr) return drop_futile(Drop::UnknownPeer, at.now);
  const auto remote = remote_of(*peer);
  const auto timestamp = remote ? wg::read_timestamp(*remote, *message, state) : std::nullopt;
  if (!timestamp || *timestamp <= peer->last_accepted_timestamp) {
    return drop_futile(Drop::BadHandshake, at.now);
  }
  if (peer->last_initiation_accepted &&
      at.now - *peer->last_initiation_accepted < wg::kInitiationInterval) {
    return drop_futile(Drop::HandshakeFlood, at.now);
  }
  peer->last_accepted_timestamp = *timestamp;
  peer->last_initiation_accepted = at.now;
  peer->rx_bytes += waiting.size;
  learn_endpoint(*peer, waiting.remote, waiting.local);
  on_authenticated_received(*peer, at.now);
  answer(*peer, state, at);
  emit(Event::Kind::HintsChanged, *peer);
}

void Node::State::answer(wg::Peer& peer, wg::ResponderState& state, Moment at) {
  wg::IndexLease lease = indices.lease(peer.id, random);
  const wg::Index remote_index = state.remote_index;
  wg::Response message;
  const auto keys = wg::create_response(*remote_of(peer), lease.index(), random, state, message);
  if (!keys) return drop(Drop::BadHandshake);
  wire::Packet packet = pool.take(wg::kResponseSize);
  if (!packet) return drop(Drop::NoBuffer);
  write_response(message, packet.bytes().first<wg::kResponseSize>());
  peer.cookies.add_macs(packet.bytes(), at.now);
  peer.last_handshake_sent = at.now;
  install(peer, *keys, std::move(lease), remote_index, wg::Role::Responder, at.now);
  ++counters.handshakes_answered;
  queue(peer, std::move(packet), kHandshakeClass);
  on_authenticated_sent(peer, at.now);
}

void Node::State::receive_response(const WaitingHandshake& waiting, Moment at) {
  const auto message = wg::parse_response(waiting.bytes());
  if (!message) return drop(Drop::Malformed);
  const std::optional<wg::PeerId> owner = indices.find(message->receiver);
  if (!owner) return drop(Drop::UnknownIndex);
  wg::Peer& peer = peers.at(*owner);
  if (!peer.pending || peer.pending->state.local_index != message->receiver) {
    return drop(Drop::UnknownIndex);
  }
  const auto remote = remote_of(peer);
  const auto keys =
      remote ? wg::consume_response(interface->identity, *remote, *message, peer.pending->state)
             : std::nullopt;
  if (!keys) return drop_futile(Drop::BadHandshake, at.now);
  peer.rx_bytes += waiting.size;
  learn_endpoint(peer, waiting.remote, waiting.local);
  on_authenticated_received(peer, at.now);
  wg::IndexLease lease = std::move(peer.pending->lease);
  peer.pending.reset();
  install(peer, *keys, std::move(lease), message->sender, wg::Role::Initiator, at.now);
  handshake_completed(peer, at.wall);
  // The responder may not send before it has received: something must go, if only a keepalive.
  if (peer.staged.empty()) {
    send_keepalive(peer, at);
  } else {
    send_staged(peer, at);
  }
}

void Node::State::receive_cookie(base::Bytes bytes, base::Instant now) {
  const auto message = wg::parse_cookie_reply(bytes);
  if (!message) return drop(Drop::Malformed);
  const std::optional<wg::PeerId> owner = indices.find(message->receiver);
  if (!owner) return drop(Drop::UnknownIndex);
  // Kept for the retransmission, which comes in its own time (section 6.6).
  if (!peers.at(*owner).cookies.consume(*message, now)) drop(Drop::BadHandshake);
}

void Node::State::send_initiation(wg::Peer& peer, Attempt attempt, Moment at) {
  if (attempt == Attempt::New) peer.attempt_started = at.now;
  if (!interface || !peer.endpoint) return;
  if (peer.last_handshake_sent &&
      at.now - *peer.last_handshake_sent < options.timing.rekey_timeout) {
    // What waits must not depend on the other side finishing the handshake it began.
    if (!peer.staged.empty() && !peer.timers.armed(wg::Timer::RetransmitHandshake)) {
      arm(peer, wg::Timer::RetransmitHandshake,
          *peer.last_handshake_sent + options.timing.rekey_timeout + jitter());
    }
    return;
  }
  const auto remote = remote_of(peer);
  if (!remote) return drop_staged(peer);
  peer.last_handshake_sent = at.now;
  arm(peer, wg::Timer::RetransmitHandshake, at.now + options.timing.rekey_timeout + jitter());

  wire::Packet packet = pool.take(wg::kInitiationSize);
  if (!packet) return drop(Drop::NoBuffer);
  const wg::Timestamp timestamp = wg::next_timestamp(at.wall, peer.last_sent_timestamp);
  peer.pending.emplace(
      wg::PendingHandshake{.lease = indices.lease(peer.id, random), .state = {}, .sent = at.now});
  wg::Initiation message;
  if (!wg::create_initiation(interface->identity, *remote, timestamp, peer.pending->lease.index(),
                             random, peer.pending->state, message)) {
    peer.pending.reset();
    return drop(Drop::BadHandshake);
  }
  peer.last_sent_timestamp = timestamp;
  write_initiation(message, packet.bytes().first<wg::kInitiationSize>());
  peer.cookies.add_macs(packet.bytes(), at.now);
  ++counters.handshakes_initiated;
  queue(peer, std::move(packet), kHandshakeClass);
  on_authenticated_sent(peer, at.now);
  emit(Event::Kind::HintsChanged, peer);
}

/// The peer as the Noise functions want it; nullopt when its key can never give a shared secret.
std::optional<wg::Remote> Node::State::remote_of(wg::Peer& peer) {
  if (!peer.static_shared) {
    crypto::SharedSecret shared;
    static_cast<void>(interface->identity.deriving_key.derive(peer.public_key, shared));
    peer.static_shared = std::move(shared);
  }
  if (peer.static_shared->is_zero()) return std::nullopt;
  return wg::Remote{.public_key = peer.public_key,
                    .static_shared = *peer.static_shared,
                    .preshared_key = peer.preshared_key};
}

void Node::State::install(wg::Peer& peer, const wg::SessionKeys& keys, wg::IndexLease lease,
                          wg::Index remote, wg::Role role, base::Instant now) {
  const wg::Index local = lease.index();
  peer.sessions.install(std::make_unique<wg::Keypair>(
      wg::Keypair{std::move(lease), wg::Session(keys, local, remote, role, now)}));
  arm(peer, wg::Timer::ZeroKeys, now + 3 * options.timing.reject_after);
}

void Node::State::handshake_completed(wg::Peer& peer, base::WallTime wall) {
  peer.timers.cancel(wg::Timer::RetransmitHandshake);
  peer.renewed_in_last_minute = false;
  peer.last_handshake = wall;
  ++counters.handshakes_completed;
  emit(Event::Kind::HandshakeCompleted, peer);
}

}  // namespace warren::node
