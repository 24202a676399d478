// Datagrams in. The order of checks is the order of their cost: length and type, then the index or
// mac1, then the tag; nothing about a peer changes before its message has authenticated.
#include "node/state.hpp"

namespace warren::node {

void Node::State::receive(Datagram& datagram, Moment at) {
  const std::optional<wg::MessageType> type =
      datagram.packet ? wg::message_type(datagram.packet.bytes()) : std::nullopt;
  if (!type) return drop(Drop::Malformed);
  if (*type == wg::MessageType::Transport) return receive_transport(datagram, at);
  if (!interface) return drop(Drop::UnknownPeer);
  switch (*type) {
    case wg::MessageType::Initiation:
      return receive_initiation(datagram, at);
    case wg::MessageType::Response:
      return receive_response(datagram, at);
    case wg::MessageType::Cookie:
      return receive_cookie(datagram, at.now);
    case wg::MessageType::Transport:
      break;
  }
}

// HOT PATH
void Node::State::receive_transport(Datagram& datagram, Moment at) {
  const auto header = wg::parse_transport(datagram.packet.bytes());
  if (!header) return drop(Drop::Malformed);
  const std::optional<wg::PeerId> owner = indices.find(header->receiver);
  if (!owner) return drop(Drop::UnknownIndex);
  wg::Peer& peer = peers.at(*owner);
  wg::Session* session = peer.sessions.find(header->receiver);
  if (session == nullptr) return drop(Drop::UnknownIndex);
  if (session->age(at.now) >= options.timing.reject_after ||
      header->counter >= options.timing.reject_after_messages) {
    return drop(Drop::SessionExpired);
  }
  const std::size_t outer_size = datagram.packet.size();
  switch (session->open(datagram.packet, header->counter)) {
    case wg::OpenResult::BadTag:
      return drop(Drop::BadTag);
    case wg::OpenResult::Replayed:
      return drop(Drop::Replayed);
    case wg::OpenResult::Opened:
      break;
  }
  peer.rx_bytes += outer_size;
  learn_endpoint(peer, datagram.remote);
  if (peer.sessions.confirm(*session)) {
    // An initiation of ours that this session has overtaken has no use for its answer.
    if (peer.pending && session->age(at.now) <= at.now - peer.pending->sent) peer.pending.reset();
    handshake_completed(peer, at.wall);
    send_staged(peer, at);
  }
  on_authenticated_received(peer, at.now);

  // A session of our making that is about to die and that only receives is renewed by us, once.
  const base::Duration renew_at =
      options.timing.reject_after - options.timing.keepalive - options.timing.rekey_timeout;
  if (session->role() == wg::Role::Initiator && session->age(at.now) >= renew_at &&
      session == peer.sessions.current() && !peer.renewed_in_last_minute) {
    peer.renewed_in_last_minute = true;
    send_initiation(peer, Attempt::New, at);
  }
  if (datagram.packet.size() == 0) return;  // a keepalive
  on_data_received(peer, at.now);
  consume_data(peer, datagram);
}

/// The decrypted, padded packet: checked, trimmed, handed out.
void Node::State::consume_data(wg::Peer& peer, Datagram& datagram) {
  wire::Packet packet = std::move(datagram.packet);
  const auto inner = parse_inner(packet.bytes());
  if (!inner) return drop(Drop::Malformed);
  if (allowed_ips.lookup(inner->source) != peer.id) return drop(Drop::BadSource);
  if (!decapsulate_ecn(packet.bytes(), datagram.traffic_class)) return drop(Drop::Congestion);
  packet.pop_back(packet.size() - inner->length);
  packets.push({.peer_serial = peer.serial, .packet = std::move(packet)});
}

/// Roaming: only ever called for a message that authenticated.
void Node::State::learn_endpoint(wg::Peer& peer, const base::Endpoint& from) {
  if (peer.endpoint == from) return;
  const bool roamed = peer.endpoint.has_value();
  peer.endpoint = from;
  if (roamed) emit(Event::Kind::EndpointChanged, peer);
  emit(Event::Kind::HintsChanged, peer);
}

}  // namespace warren::node
