// Handshake messages in and out.
//
// A peer's own initiation waits in `pending`; an initiation of the other side does not disturb it,
// so that two that cross each lead to a session, and the one completed last is the one both send on
// or still receive on. Only when the other side's session has been confirmed is an older `pending`
// forgotten: its key must not wait for an answer that may never come. Every handshake message sent
// counts for the one-per-rekey_timeout limit.
#include "node/state.hpp"

namespace warren::node {

void Load::count(base::Instant now) {
  if (now - second_began_ >= std::chrono::seconds(1)) {
    second_began_ = now;
    in_this_second_ = 0;
  }
  if (++in_this_second_ > wg::kUnderLoadHandshakes) high_until_ = now + wg::kUnderLoadPeriod;
}

/// Whether a handshake message may cost us public-key work. If we are under load, and its sender
/// has not shown that it receives at its address, it gets a cookie instead.
bool Node::State::admit_handshake(const Datagram& datagram, wg::Index sender, base::Instant now) {
  const base::Bytes bytes = datagram.packet.bytes();
  if (!interface->cookies.mac1_ok(bytes)) {
    drop(Drop::BadMac1);
    return false;
  }
  load.count(now);
  if (!options.under_load_always && !load.is_high(now)) return true;
  if (interface->cookies.mac2_ok(bytes, datagram.remote, now)) {
    if (rate_limit.allow(datagram.remote.address, now)) return true;
    drop(Drop::UnderLoad);
    return false;
  }
  drop(Drop::UnderLoad);
  wire::Packet packet = pool.take(wg::kCookieSize);
  if (!packet) {
    drop(Drop::NoBuffer);
    return false;
  }
  write_cookie_reply(interface->cookies.reply(bytes, sender, datagram.remote, now, random),
                     packet.bytes().first<wg::kCookieSize>());
  ++counters.cookies_sent;
  datagrams.push({.peer_serial = kNobody,
                  .datagram = {.packet = std::move(packet),
                               .remote = datagram.remote,
                               .traffic_class = kHandshakeClass}});
  return false;
}

void Node::State::receive_initiation(const Datagram& datagram, Moment at) {
  const auto message = wg::parse_initiation(datagram.packet.bytes());
  if (!message) return drop(Drop::Malformed);
  if (!admit_handshake(datagram, message->sender, at.now)) return;
  wg::ResponderState state;
  const auto sender = wg::read_initiator(interface->identity, *message, state);
  if (!sender) return drop(Drop::BadHandshake);
  wg::Peer* peer = peers.find(*sender);
  if (peer == nullptr) return drop(Drop::UnknownPeer);
  const auto remote = remote_of(*peer);
  const auto timestamp = remote ? wg::read_timestamp(*remote, *message, state) : std::nullopt;
  if (!timestamp || *timestamp <= peer->last_accepted_timestamp) return drop(Drop::BadHandshake);
  if (peer->last_initiation_accepted &&
      at.now - *peer->last_initiation_accepted < wg::kInitiationInterval) {
    return drop(Drop::HandshakeFlood);
  }
  peer->last_accepted_timestamp = *timestamp;
  peer->last_initiation_accepted = at.now;
  peer->rx_bytes += datagram.packet.size();
  learn_endpoint(*peer, datagram.remote);
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

void Node::State::receive_response(const Datagram& datagram, Moment at) {
  const auto message = wg::parse_response(datagram.packet.bytes());
  if (!message) return drop(Drop::Malformed);
  if (!admit_handshake(datagram, message->sender, at.now)) return;
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
  if (!keys) return drop(Drop::BadHandshake);
  peer.rx_bytes += datagram.packet.size();
  learn_endpoint(peer, datagram.remote);
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

void Node::State::receive_cookie(const Datagram& datagram, base::Instant now) {
  const auto message = wg::parse_cookie_reply(datagram.packet.bytes());
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
    static_cast<void>(crypto::x25519(interface->identity.private_key, peer.public_key, shared));
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
