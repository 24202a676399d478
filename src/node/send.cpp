// Inner packets and keepalives out.
#include "node/state.hpp"

namespace warren::node {

// HOT PATH
void Node::State::send_packet(wire::Packet& packet, Moment at) {
  const auto inner = packet ? parse_inner(packet.bytes()) : std::nullopt;
  if (!inner) return drop(Drop::Malformed);
  const std::optional<wg::PeerId> owner = allowed_ips.lookup(inner->destination);
  if (!owner) return drop(Drop::NoRoute);
  wg::Peer& peer = peers.at(*owner);
  if (!peer.endpoint) return drop(Drop::NoEndpoint);
  packet.pop_back(packet.size() - inner->length);
  wg::Session* session = usable_session(peer, at.now);
  if (session != nullptr && peer.staged.empty()) {
    seal_and_queue(peer, *session, std::move(packet), at);
    renew_if_old(peer, *session, at);
    return;
  }
  if (!stage(peer, std::move(packet))) return send_initiation(peer, Attempt::New, at);
  send_staged(peer, at);
}

bool Node::State::stage(wg::Peer& peer, wire::Packet packet) {
  if (peer.staged.size() >= wg::kStagedPackets || staged_count >= pool.limit() / kStagedShare) {
    drop(Drop::QueueFull);
    if (peer.staged.empty()) return false;
    static_cast<void>(unstage(peer));
  }
  peer.staged.push(std::move(packet));
  ++staged_count;
  return true;
}

wire::Packet Node::State::unstage(wg::Peer& peer) {
  --staged_count;
  return peer.staged.pop();
}

void Node::State::drop_staged(wg::Peer& peer) {
  staged_count -= peer.staged.size();
  peer.staged.clear();
}

void Node::State::send_staged(wg::Peer& peer, Moment at) {
  while (!peer.staged.empty()) {
    wg::Session* session = usable_session(peer, at.now);
    if (session == nullptr) return send_initiation(peer, Attempt::New, at);
    seal_and_queue(peer, *session, unstage(peer), at);
    if (peer.staged.empty()) renew_if_old(peer, *session, at);
  }
}

/// An empty transport message; without a session a handshake, whose completion says the same.
void Node::State::send_keepalive(wg::Peer& peer, Moment at) {
  wg::Session* session = usable_session(peer, at.now);
  if (session == nullptr) return send_initiation(peer, Attempt::New, at);
  if (!peer.endpoint) return;
  wire::Packet packet = pool.take(0);
  if (!packet) return drop(Drop::NoBuffer);
  seal_and_queue(peer, *session, std::move(packet), at);
  renew_if_old(peer, *session, at);
}

// HOT PATH
void Node::State::seal_and_queue(wg::Peer& peer, wg::Session& session, wire::Packet packet,
                                 Moment at) {
  const bool is_data = packet.size() != 0;
  const std::size_t padding = wg::padding_of(packet.size(), options.mtu);
  if (packet.headroom() < wg::kTransportHeaderSize ||
      packet.tailroom() < padding + crypto::kTagSize) {
    return drop(Drop::NoBuffer);
  }
  const TrafficClass ecn = is_data ? inner_ecn(packet.bytes()) : TrafficClass{0};
  session.seal(packet, padding);
  peer.last_activity = at.now;
  queue(peer, std::move(packet), ecn);
  on_authenticated_sent(peer, at.now);
  if (is_data) on_data_sent(peer, at.now);
}

void Node::State::queue(wg::Peer& peer, wire::Packet packet, TrafficClass traffic_class) {
  peer.tx_bytes += packet.size();
  datagrams.push(
      {.peer_serial = peer.serial,
       .datagram = {
           .packet = std::move(packet), .remote = *peer.endpoint, .traffic_class = traffic_class}});
}

wg::Session* Node::State::usable_session(wg::Peer& peer, base::Instant now) {
  wg::Session* session = peer.sessions.current();
  if (session == nullptr || session->age(now) >= options.timing.reject_after ||
      session->next_counter() >= options.timing.reject_after_messages) {
    return nullptr;
  }
  return session;
}

/// After sending: a session that has carried much is renewed by either side, one that has lived
/// long only by its initiator, so that not both sides begin at the same moment.
void Node::State::renew_if_old(wg::Peer& peer, const wg::Session& session, Moment at) {
  const bool used_up = session.next_counter() > options.timing.rekey_after_messages;
  const bool old =
      session.role() == wg::Role::Initiator && session.age(at.now) >= options.timing.rekey_after;
  if (used_up || old) send_initiation(peer, Attempt::New, at);
}

}  // namespace warren::node
