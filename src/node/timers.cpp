// The timers of section 6: what arms them and what they do. A peer's earliest deadline is always
// covered by an entry in `deadlines`; an entry that turns out too early is entered anew.
#include "node/state.hpp"

namespace warren::node {

void Node::State::arm(wg::Peer& peer, wg::Timer timer, base::Instant at) {
  peer.timers.arm(timer, at);
  deadlines.wake_by(peer.id, at);
}

base::Duration Node::State::jitter() {
  // No secret, and drawn once per batch: a generator of our own (PCG's multiplier), seeded once.
  // The kernel's would be a system call under the lock.
  if (jitter_state == 0) jitter_state = std::uint64_t{random.u32()} << 1 | 1;
  jitter_state = jitter_state * 6364136223846793005U + 1442695040888963407U;
  const std::int64_t range = options.timing.rekey_jitter.count();
  return base::Duration(range > 0 ? static_cast<std::int64_t>(jitter_state >> 32) % range : 0);
}

void Node::State::run_timers(wg::Peer& peer, Moment at) {
  using wg::Timer;
  zero_keys_if_due(peer, at.now);
  if (peer.timers.take_due(Timer::RetransmitHandshake, at.now)) retransmit(peer, at);
  if (peer.timers.take_due(Timer::SendKeepalive, at.now)) {
    send_keepalive(peer, at);
    if (std::exchange(peer.another_keepalive, false)) {
      arm(peer, Timer::SendKeepalive, at.now + options.timing.keepalive);
    }
  }
  if (peer.timers.take_due(Timer::NewHandshake, at.now)) {
    send_initiation(peer, Attempt::New, at);
  }
  if (peer.timers.take_due(Timer::PersistentKeepalive, at.now)) {
    arm(peer, Timer::PersistentKeepalive,
        at.now + std::chrono::seconds(peer.persistent_keepalive_s));
    send_keepalive(peer, at);
  }
  if (const auto next = peer.timers.next()) deadlines.wake_by(peer.id, *next);
}

void Node::State::zero_keys_if_due(wg::Peer& peer, base::Instant now) {
  if (!peer.timers.take_due(wg::Timer::ZeroKeys, now)) return;
  peer.sessions.clear();
  peer.pending.reset();
}

void Node::State::retransmit(wg::Peer& peer, Moment at) {
  if (at.now - peer.attempt_started < options.timing.rekey_attempt) {
    send_initiation(peer, Attempt::Retry, at);
    return;
  }
  peer.timers.cancel(wg::Timer::SendKeepalive);
  peer.pending.reset();
  drop_staged(peer);
  if (!peer.timers.armed(wg::Timer::ZeroKeys)) {
    arm(peer, wg::Timer::ZeroKeys, at.now + 3 * options.timing.reject_after);
  }
  emit(Event::Kind::HandshakeGivenUp, peer);
}

/// Anything that authenticates us went out: no keepalive is owed.
void Node::State::on_authenticated_sent(wg::Peer& peer, base::Instant now) {
  peer.timers.cancel(wg::Timer::SendKeepalive);
  if (peer.persistent_keepalive_s != 0) {
    arm(peer, wg::Timer::PersistentKeepalive,
        now + std::chrono::seconds(peer.persistent_keepalive_s));
  }
}

/// The peer is there: no new handshake is needed to find out.
void Node::State::on_authenticated_received(wg::Peer& peer, base::Instant now) {
  peer.timers.cancel(wg::Timer::NewHandshake);
  peer.last_activity = now;
  if (peer.persistent_keepalive_s != 0) {
    arm(peer, wg::Timer::PersistentKeepalive,
        now + std::chrono::seconds(peer.persistent_keepalive_s));
  }
}

void Node::State::on_data_sent(wg::Peer& peer, base::Instant now) {
  if (peer.timers.armed(wg::Timer::NewHandshake)) return;
  arm(peer, wg::Timer::NewHandshake,
      now + options.timing.keepalive + options.timing.rekey_timeout + jitter());
}

void Node::State::on_data_received(wg::Peer& peer, base::Instant now) {
  if (peer.timers.armed(wg::Timer::SendKeepalive)) {
    peer.another_keepalive = true;
    return;
  }
  arm(peer, wg::Timer::SendKeepalive, now + options.timing.keepalive);
}

}  // namespace warren::node
