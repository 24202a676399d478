// Datagrams in, in two steps with the decryption between them (batch.hpp). The order of checks is
// the order of their cost: length and type, then the index or mac1, then the tag; nothing about a
// peer changes before its message has authenticated.
//
// Between the steps, while no lock is held, the peer may be removed, its sessions replaced, the
// same counter accepted from another batch. So accept() begins anew from the index: it goes on only
// with a session that has the very key that the message was opened with. The batch keeps that key
// alive, so no other can have its place in memory.
//
// What a message changes is worked out once per run: the messages of one session in one datagram or
// train. The result is the same as message by message, because everything but figures, the replay
// window and the packet itself depends only on the session, the sender and the moment.
#include "node/state.hpp"

namespace warren::node {

// HOT PATH
void Node::State::identify(Incoming::State& batch, Moment at) {
  KnownIndex known;
  for (std::uint32_t i = 0; i < batch.datagrams.size(); ++i) {
    Datagram& datagram = batch.datagrams[i];
    base::MutableBytes rest = datagram.packet ? datagram.packet.bytes() : base::MutableBytes{};
    do {
      const std::size_t size = datagram.segment_size == 0
                                   ? rest.size()
                                   : std::min<std::size_t>(datagram.segment_size, rest.size());
      identify_message(batch, rest.first(size), i, known, at);
      rest = rest.subspan(size);
    } while (!rest.empty());
  }
}

void Node::State::identify_message(Incoming::State& batch, base::MutableBytes bytes,
                                   std::uint32_t datagram, KnownIndex& known, Moment at) {
  const std::optional<wg::MessageType> type = wg::message_type(bytes);
  if (!type) return drop(Drop::Malformed);
  if (*type == wg::MessageType::Transport) {
    return identify_transport(batch, bytes, datagram, known, at.now);
  }
  if (!interface) return drop(Drop::UnknownPeer);
  if (*type == wg::MessageType::Cookie) return receive_cookie(bytes, at.now);
  enqueue_handshake(bytes, batch.datagrams[datagram], at.now);
}

// HOT PATH
void Node::State::identify_transport(Incoming::State& batch, base::MutableBytes bytes,
                                     std::uint32_t datagram, KnownIndex& known, base::Instant now) {
  const auto header = wg::parse_transport(bytes);
  if (!header) return drop(Drop::Malformed);
  if (known.index != header->receiver) {
    known = {.index = header->receiver};
    const std::optional<wg::PeerId> owner = indices.find(header->receiver);
    if (owner) known.session = peers.at(*owner).sessions.find(header->receiver);
  }
  wg::Session* session = known.session;
  if (session == nullptr) return drop(Drop::UnknownIndex);
  if (session->age(now) >= options.timing.reject_after ||
      header->counter >= options.timing.reject_after_messages) {
    return drop(Drop::SessionExpired);
  }
  if (!session->would_accept(header->counter)) return drop(Drop::Replayed);
  if (known.key == nullptr) known.key = batch.keys.hold(session->receive_key());
  // Member by member: built aside and copied, it would make the processor wait (base::IpAddress).
  Incoming::State::Message& message = batch.messages.emplace_back();
  message.bytes = bytes;
  message.key = known.key;
  message.counter = header->counter;
  message.receiver = header->receiver;
  message.datagram = datagram;
  message.outer_size = static_cast<std::uint32_t>(bytes.size());
}

// HOT PATH
void Node::State::accept(Incoming::State& batch, Moment at) {
  using Content = Incoming::State::Content;
  Run run;
  std::optional<base::IpAddress> allowed_source;
  const wg::Peer* allowed_peer = nullptr;
  for (Incoming::State::Message& message : batch.messages) {
    const Content content = std::exchange(message.content, Content::Forged);
    if (content == Content::Forged) {
      drop(Drop::BadTag);
      continue;
    }
    if (run.key != message.key || run.datagram != message.datagram) run = begin_run(message);
    if (!accept_message(message, run, batch.datagrams[message.datagram], at)) continue;
    if (content == Content::Keepalive) continue;
    // A second data message changes the timers once more, a third does not.
    if (run.data_messages < 2) {
      ++run.data_messages;
      on_data_received(*run.peer, at.now);
    }
    if (content == Content::NotIp) {
      drop(Drop::Malformed);
      continue;
    }
    if (allowed_peer != run.peer || allowed_source != message.inner.source) {
      if (allowed_ips.lookup(message.inner.source) != run.peer->id) {
        drop(Drop::BadSource);
        continue;
      }
      allowed_peer = run.peer;
      allowed_source = message.inner.source;
    }
    if (content == Content::Congested) {
      drop(Drop::Congestion);
      continue;
    }
    batch.packets.push_back(message.bytes);
    batch.origins.push_back({.datagram = message.datagram, .peer_serial = run.peer->serial});
  }
}

Node::State::Run Node::State::begin_run(const Incoming::State::Message& message) {
  Run run{.key = message.key, .datagram = message.datagram};
  const std::optional<wg::PeerId> owner = indices.find(message.receiver);
  if (!owner) return run;
  wg::Peer& peer = peers.at(*owner);
  wg::Session* session = peer.sessions.find(message.receiver);
  if (session == nullptr || session->receive_key().get() != message.key) return run;
  run.peer = &peer;
  run.session = session;
  return run;
}

/// False when the message is dropped.
bool Node::State::accept_message(const Incoming::State::Message& message, Run& run,
                                 const Datagram& from, Moment at) {
  if (run.session == nullptr) {
    drop(Drop::UnknownIndex);
    return false;
  }
  if (!run.session->accept(message.counter)) {
    drop(Drop::Replayed);
    return false;
  }
  run.peer->rx_bytes += message.outer_size;
  if (!run.heard) {
    run.heard = true;
    on_first_of_run(*run.peer, *run.session, from, at);
  }
  return true;
}

void Node::State::on_first_of_run(wg::Peer& peer, wg::Session& session, const Datagram& from,
                                  Moment at) {
  learn_endpoint(peer, from.remote, from.local);
  if (peer.sessions.confirm(session)) {
    // An initiation of ours that this session has overtaken has no use for its answer.
    if (peer.pending && session.age(at.now) <= at.now - peer.pending->sent) peer.pending.reset();
    handshake_completed(peer, at.wall);
    send_staged(peer, at);
  }
  on_authenticated_received(peer, at.now);

  // A session of our making that is about to die and that only receives is renewed by us, once.
  const base::Duration renew_at =
      options.timing.reject_after - options.timing.keepalive - options.timing.rekey_timeout;
  if (session.role() == wg::Role::Initiator && session.age(at.now) >= renew_at &&
      &session == peer.sessions.current() && !peer.renewed_in_last_minute) {
    peer.renewed_in_last_minute = true;
    send_initiation(peer, Attempt::New, at);
  }
}

/// Roaming: only ever called for a message that authenticated.
void Node::State::learn_endpoint(wg::Peer& peer, const base::Endpoint& from,
                                 const base::LocalAddress& local) {
  peer.local = local;
  if (peer.endpoint == from) return;
  const bool roamed = peer.endpoint.has_value();
  peer.endpoint = from;
  if (roamed) emit(Event::Kind::EndpointChanged, peer);
  emit(Event::Kind::HintsChanged, peer);
}

void Node::State::queue_accepted(Incoming::State& batch) {
  for (std::size_t i = 0; i < batch.packets.size(); ++i) {
    Datagram& datagram = batch.datagrams[batch.origins[i].datagram];
    wire::Packet packet;
    if (datagram.segment_size == 0) {
      packet = std::move(datagram.packet);
      packet.pop_front(wg::kTransportHeaderSize);
      packet.pop_back(packet.size() - batch.packets[i].size());
    } else {
      packet = pool.copy_of(batch.packets[i]);
    }
    if (!packet) {
      drop(Drop::NoBuffer);
      continue;
    }
    packets.push({.peer_serial = batch.origins[i].peer_serial, .packet = std::move(packet)});
  }
}

}  // namespace warren::node
