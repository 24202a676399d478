// Theory of operation: handshake messages in and out.
//
// A peer's own initiation waits in `pending`; an initiation of the other side does not disturb it,
// so that two that cross each lead to a session, and the one completed last is the one both send on
// or still receive on. Only when the other side's session has been confirmed is an older `pending`
// forgotten: its key must not wait for an answer that may never come. Every handshake message sent
// counts for the one-per-rekey_timeout limit.
//
// The public-key work is a HandshakeWork's, beside the node: a task begins with copies of what it
// needs (begin_*, find_initiator), and what came of it is taken over (take_*) only if nothing that
// it depends on has changed. Nothing else changes in between: the peer's timestamps, endpoint and
// sessions only once a message is known to be authentic, an index only for a session that is
// installed or an initiation that is sent. The identity is lent, because its key handles serve one
// thread at a time, and taken back or, after a change of the private key, wiped.
//
//   initiation in   read the initiator* ─▶ find the peer ─▶ timestamp, response* ─▶ session, send
//   response in     find the initiation ─▶ read it* ─▶ session, send what waited
//   wanted          timestamp ─▶ initiation* ─▶ index, send                  (* HandshakeWork)
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
#include <utility>

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

std::size_t Node::handshake_budget(std::size_t count) { return count * kCheapHandshakes; }

bool Node::handshakes_wait() const { return state_->handshakes_wait(); }

bool Node::handle_handshakes(std::size_t at_most, base::Instant now, base::WallTime wall) {
  State& state = *state_;
  std::size_t budget = handshake_budget(at_most);
  while (state.advance(state.own_work, budget, {now, wall})) state.own_work.compute();
  return handshakes_wait();
}

bool Node::advance(HandshakeWork& work, std::size_t& budget, base::Instant now,
                   base::WallTime wall) {
  return state_->advance(*work.state_, budget, {now, wall});
}

bool Node::State::advance(Work& work, std::size_t& budget, Moment at) {
  if (work.task.step != Work::Step::Idle && take_over(work, at)) return true;
  for (std::size_t cheap_ones = 0; budget != 0 && handshakes_wait();) {
    if (cheap_ones == kCheapInARow) return true;  // others may need the lock
    const bool cheap = begin(work, at) == Cost::Cheap;
    budget -= std::min(budget, cheap ? 1 : kCheapHandshakes);
    if (!cheap) return true;
    ++cheap_ones;
  }
  if (!handshakes_wait() && !load.is_high(at.now)) {  // a storm's memory goes with it
    proven.release_memory();
    unproven.release_memory();
    wanted.release_memory();
  }
  return false;
}

/// Something that waits: initiations of ours and messages of others take turns.
Node::State::Cost Node::State::begin(Work& work, Moment at) {
  const bool others = !(proven.empty() && unproven.empty());
  const bool ours = !wanted.empty() && (own_turn || !others);
  own_turn = !ours;
  const Cost cost = ours ? begin_initiation(work.task, at) : begin_received(work.task, at);
  if (cost == Cost::PublicKey) lend_identity(work);
  return cost;
}

/// What was computed with another private key, or for a peer that is gone, comes to nothing. True
/// when the task goes on.
bool Node::State::take_over(Work& work, Moment at) {
  using Step = Work::Step;
  Task& task = work.task;
  const bool current = interface && task.key_serial == key_serial;
  if (!current) {
    if (task.step != Step::Initiate) drop(Drop::BadHandshake);
  } else if (task.step == Step::ReadInitiator) {
    if (find_initiator(task, at)) return true;
  } else if (task.step == Step::Answer) {
    take_answer(task, at);
  } else if (task.step == Step::Conclude) {
    take_conclusion(task, at);
  } else {
    take_initiation(task, at);
  }
  task = {};
  std::unique_ptr<wg::Identity> identity = std::move(work.identity);
  if (current && identity) identities.push_back(std::move(identity));
  return false;
}

void Node::State::lend_identity(Work& work) {
  work.task.key_serial = key_serial;
  if (identities.empty()) {
    work.identity_key = interface->identity.private_key.clone();
  } else {
    work.identity = std::move(identities.back());
    identities.pop_back();
  }
}

/// One message, a proven one first.
Node::State::Cost Node::State::begin_received(Task& task, Moment at) {
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
  task.message = message;
  if (message.size != wg::kInitiationSize) return begin_response(task);
  task.step = Work::Step::ReadInitiator;
  return Cost::PublicKey;
}

void Node::State::send_cookie(const WaitingHandshake& message, base::Instant now) {
  wire::Packet packet = pool.take(wg::kCookieSize);
  if (!packet) return drop(Drop::NoBuffer);
  const base::Bytes bytes = message.bytes();
  const wg::Index sender = base::ByteReader(bytes.subspan(4)).u32_le();  // in both kinds
  write_cookie_reply(interface->cookies.reply(bytes, sender, message.remote, now, random),
                     packet.bytes().first<wg::kCookieSize>());
  ++counters.cookies_sent;
  datagrams.push({.packet = std::move(packet),
                  .remote = message.remote,
                  .traffic_class = kHandshakeClass,
                  .local = message.local});
}

void Node::State::drop_futile(Drop reason, base::Instant now) {
  drop(reason);
  load.note_futile(now);
}

wg::Peer* Node::State::partner_of(Task& task) {
  Work::Partner& partner = task.partner;
  wg::Peer* peer = peers.find(partner.id, partner.serial);
  if (peer != nullptr && partner.made_static_shared && !peer->static_shared) {
    peer->static_shared = std::move(*partner.static_shared);
  }
  return peer;
}

bool Node::State::find_initiator(Task& task, Moment at) {
  const wg::Peer* peer = task.sender ? peers.find(*task.sender) : nullptr;
  if (peer == nullptr) {
    drop_futile(task.sender ? Drop::UnknownPeer : Drop::BadHandshake, at.now);
    return false;
  }
  task.partner = Work::Partner::of(*peer);
  task.newer_than = peer->last_accepted_timestamp;
  task.too_soon = is_too_soon(*peer, at.now);
  task.step = Work::Step::Answer;
  return true;
}

void Node::State::take_answer(Task& task, Moment at) {
  wg::Peer* peer = partner_of(task);
  if (peer == nullptr) return drop_futile(Drop::UnknownPeer, at.now);
  if (!task.good) return drop_futile(Drop::BadHandshake, at.now);
  if (task.too_soon) return drop_futile(Drop::HandshakeFlood, at.now);
  // Another worker may have answered meanwhile.
  if (task.timestamp <= peer->last_accepted_timestamp) {
    return drop_futile(Drop::BadHandshake, at.now);
  }
  if (is_too_soon(*peer, at.now)) return drop_futile(Drop::HandshakeFlood, at.now);
  if (!peer->preshared_key.equals(task.partner.preshared_key)) return drop(Drop::BadHandshake);
  peer->last_accepted_timestamp = task.timestamp;
  peer->last_initiation_accepted = at.now;
  peer->rx_bytes += task.message.size;
  learn_endpoint(*peer, task.message.remote, task.message.local);
  on_authenticated_received(*peer, at.now);
  answer(*peer, task, at);
  emit(Event::Kind::HintsChanged, *peer);
}

void Node::State::answer(wg::Peer& peer, Task& task, Moment at) {
  if (!task.keys) return drop(Drop::BadHandshake);
  wire::Packet packet = pool.take(wg::kResponseSize);
  if (!packet) return drop(Drop::NoBuffer);
  wg::IndexLease lease = indices.lease(peer.id, random);
  task.response.sender = lease.index();
  write_response(task.response, packet.bytes().first<wg::kResponseSize>());
  peer.cookies.add_macs(packet.bytes(), at.now);
  peer.last_handshake_sent = at.now;
  install(peer, *task.keys, std::move(lease), task.responder.remote_index, wg::Role::Responder,
          at.now);
  ++counters.handshakes_answered;
  queue(peer, std::move(packet), kHandshakeClass);
  on_authenticated_sent(peer, at.now);
}

Node::State::Cost Node::State::begin_response(Task& task) {
  const auto message = wg::parse_response(task.message.bytes());
  const auto owner = message ? indices.find(message->receiver) : std::nullopt;
  const wg::Peer* peer = owner ? &peers.at(*owner) : nullptr;
  if (peer == nullptr || !peer->pending || peer->pending->state.local_index != message->receiver) {
    drop(message ? Drop::UnknownIndex : Drop::Malformed);
    return Cost::Cheap;
  }
  task.partner = Work::Partner::of(*peer);
  task.initiator = wg::clone(peer->pending->state);
  task.step = Work::Step::Conclude;
  return Cost::PublicKey;
}

void Node::State::take_conclusion(Task& task, Moment at) {
  wg::Peer* peer = partner_of(task);
  // Another answer to the same initiation may have been taken meanwhile.
  if (peer == nullptr || !peer->pending ||
      peer->pending->state.local_index != task.initiator.local_index) {
    return drop(Drop::UnknownIndex);
  }
  if (!task.good || !peer->preshared_key.equals(task.partner.preshared_key)) {
    return drop_futile(Drop::BadHandshake, at.now);
  }
  peer->rx_bytes += task.message.size;
  learn_endpoint(*peer, task.message.remote, task.message.local);
  on_authenticated_received(*peer, at.now);
  wg::IndexLease lease = std::move(peer->pending->lease);
  peer->pending.reset();
  const wg::Index remote = wg::parse_response(task.message.bytes())->sender;
  install(*peer, *task.keys, std::move(lease), remote, wg::Role::Initiator, at.now);
  handshake_completed(*peer, at.wall);
  // The responder may not send before it has received: something must go, if only a keepalive.
  if (peer->staged.empty()) {
    send_keepalive(*peer, at);
  } else {
    send_staged(*peer, at);
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
  if (!may_initiate(peer, at) || std::exchange(peer.initiation_wanted, true)) return;
  wanted.push({.peer = peer.id, .serial = peer.serial});
  if (!options.defer_initiations) initiate_wanted(at);
}

bool Node::State::may_initiate(wg::Peer& peer, Moment at) {
  if (!interface || !peer.endpoint) return false;
  if (!peer.last_handshake_sent ||
      at.now - *peer.last_handshake_sent >= options.timing.rekey_timeout) {
    return true;
  }
  // What waits must not depend on the other side finishing the handshake it began.
  if (!peer.staged.empty() && !peer.timers.armed(wg::Timer::RetransmitHandshake)) {
    arm(peer, wg::Timer::RetransmitHandshake,
        *peer.last_handshake_sent + options.timing.rekey_timeout + jitter());
  }
  return false;
}

void Node::State::initiate_wanted(Moment at) {
  while (!wanted.empty()) {
    if (begin_initiation(own_initiations.task, at) == Cost::Cheap) continue;
    lend_identity(own_initiations);
    own_initiations.compute();
    static_cast<void>(take_over(own_initiations, at));
  }
}

Node::State::Cost Node::State::begin_initiation(Task& task, Moment at) {
  const WantedInitiation want = wanted.pop();
  wg::Peer* peer = peers.find(want.peer, want.serial);
  if (peer == nullptr) return Cost::Cheap;
  peer->initiation_wanted = false;
  if (!may_initiate(*peer, at)) return Cost::Cheap;  // an answer went out meanwhile
  if (peer->static_shared && peer->static_shared->is_zero()) {
    drop_staged(*peer);
    return Cost::Cheap;
  }
  zero_keys_if_due(*peer, at.now);  // overdue after a suspend, it would end this handshake
  peer->last_handshake_sent = at.now;
  arm(*peer, wg::Timer::RetransmitHandshake, at.now + options.timing.rekey_timeout + jitter());
  peer->last_sent_timestamp = wg::next_timestamp(at.wall, peer->last_sent_timestamp);
  task.timestamp = peer->last_sent_timestamp;
  task.partner = Work::Partner::of(*peer);
  task.step = Work::Step::Initiate;
  return Cost::PublicKey;
}

void Node::State::take_initiation(Task& task, Moment at) {
  wg::Peer* peer = partner_of(task);
  if (peer == nullptr) return;
  if (!task.good) {  // its key can never give a shared secret
    peer->timers.cancel(wg::Timer::RetransmitHandshake);
    peer->last_handshake_sent.reset();
    return drop_staged(*peer);
  }
  wire::Packet packet = pool.take(wg::kInitiationSize);
  if (!packet) return drop(Drop::NoBuffer);
  wg::PendingHandshake& pending = peer->pending.emplace({.lease = indices.lease(peer->id, random),
                                                         .state = std::move(task.initiator),
                                                         .sent = at.now});
  task.initiation.sender = pending.state.local_index = pending.lease.index();
  write_initiation(task.initiation, packet.bytes().first<wg::kInitiationSize>());
  peer->cookies.add_macs(packet.bytes(), at.now);
  ++counters.handshakes_initiated;
  queue(*peer, std::move(packet), kHandshakeClass);
  on_authenticated_sent(*peer, at.now);
  emit(Event::Kind::HintsChanged, *peer);
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
