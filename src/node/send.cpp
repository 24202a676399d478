// Inner packets and keepalives out.
#include <algorithm>

#include "node/state.hpp"

namespace warren::node {

// HOT PATH
void Node::State::plan(Outgoing::State& batch, Moment at) {
  batch.mtu = options.mtu;
  Route route;
  for (Outgoing::State::Input& input : batch.inputs) {
    plan_input(batch, input, route, at);
    // Dropped or copied: its slot is free for what the node itself has to send now.
    if (input.key == nullptr) input.packet = {};
  }
}

// HOT PATH
void Node::State::plan_input(Outgoing::State& batch, Outgoing::State::Input& input, Route& route,
                             Moment at) {
  if (!input.segments) return drop(Drop::Malformed);
  const std::size_t count = input.segments->count();
  const bool same = route.destination == input.inner.destination;
  if (!same) {
    const std::optional<wg::PeerId> owner = allowed_ips.lookup(input.inner.destination);
    route = {.destination = input.inner.destination, .peer = owner ? &peers.at(*owner) : nullptr};
  }
  if (route.peer == nullptr) return drop(Drop::NoRoute);
  wg::Peer& peer = *route.peer;
  if (!peer.endpoint) return drop(Drop::NoEndpoint);
  wg::Session* session = usable_session(peer, at.now, count);
  if (session == nullptr || !peer.staged.empty()) {
    route = {};
    return stage_input(peer, input, batch.pool_is(pool), at);
  }
  if (route.session != session) {
    route.session = session;
    route.key = batch.keys.hold(session->send_key());
    peer.last_activity = at.now;
    on_authenticated_sent(peer, at.now);
    on_data_sent(peer, at.now);
  }
  reserve(batch, input, route);
  renew_if_old(peer, *session, at);
}

/// All that sealing the input without the node needs.
void Node::State::reserve(Outgoing::State& batch, Outgoing::State::Input& input,
                          const Route& route) {
  const std::size_t count = input.segments->count();
  input.key = route.key;
  input.first_counter = route.session->reserve(count);
  input.receiver = route.session->remote_index();
  input.owner = {.slot = route.peer->id.value, .serial = route.peer->serial};
  input.remote = *route.peer->endpoint;
  input.local = route.peer->local;
  input.traffic_class = inner_ecn(input.packet.bytes());
  const auto outer_size = [&](std::size_t segment) {
    const std::size_t size = input.segments->size(segment);
    return size + wg::padding_of(size, batch.mtu) + wg::kTransportOverhead;
  };
  route.peer->tx_bytes += (count - 1) * outer_size(0) + outer_size(count - 1);
}

/// What waits is whole packets in slots of our own pool, whatever the batch brought. `may_keep`:
/// the batch's packets are ours to keep. Of a super-packet of very many, only as many as may wait
/// are cut: the last ones, before which the others would have to go.
void Node::State::stage_input(wg::Peer& peer, Outgoing::State::Input& input, bool may_keep,
                              Moment at) {
  const std::size_t count = input.segments->count();
  const std::size_t first = count - std::min(count, wg::kStagedPackets);
  counters.drops[static_cast<std::size_t>(Drop::QueueFull)] += first;
  for (std::size_t i = first; i < count; ++i) {
    wire::Packet packet;
    if (may_keep && input.plain) {
      packet = std::move(input.packet);
    } else {
      packet = pool.take(input.segments->size(i));
      if (packet) input.segments->write(i, packet.bytes());
    }
    if (!packet) {
      drop(Drop::NoBuffer);
    } else if (!stage(peer, std::move(packet))) {
      return send_initiation(peer, Attempt::New, at);
    }
  }
  if (peer.staged.empty()) return send_initiation(peer, Attempt::New, at);
  send_staged(peer, at);
}

void Node::State::queue_sealed(Outgoing::State& batch) {
  for (Datagram& train : batch.trains) datagrams.push(std::move(train));
  counters.drops[static_cast<std::size_t>(Drop::NoBuffer)] += std::exchange(batch.lost, 0);
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
  datagrams.push({.packet = std::move(packet),
                  .remote = *peer.endpoint,
                  .traffic_class = traffic_class,
                  .local = peer.local,
                  .owner = {.slot = peer.id.value, .serial = peer.serial}});
}

wg::Session* Node::State::usable_session(wg::Peer& peer, base::Instant now, std::uint64_t count) {
  wg::Session* session = peer.sessions.current();
  if (session == nullptr || session->age(now) >= options.timing.reject_after) return nullptr;
  const std::uint64_t used = session->next_counter();
  const std::uint64_t limit = options.timing.reject_after_messages;
  return used < limit && count <= limit - used ? session : nullptr;
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
