// The lock-free middle of a handshake: everything that costs tens of microseconds. It works on
// copies of what it needs; handshakes.cpp says what is copied and what becomes of the result.
#include "node/handshake_work.hpp"

#include "node/handshake_state.hpp"

namespace warren::node {

HandshakeWork::HandshakeWork(base::RandomSource& random)
    : state_(std::make_unique<State>(random)) {}
HandshakeWork::~HandshakeWork() = default;

void HandshakeWork::compute() { state_->compute(); }

bool HandshakeWork::is_idle() const {
  return state_->task.step == State::Step::Idle && !state_->identity && !state_->identity_key;
}

HandshakeWork::State::Partner HandshakeWork::State::Partner::of(const wg::Peer& peer) {
  Partner partner{.id = peer.id,
                  .serial = peer.serial,
                  .public_key = peer.public_key,
                  .preshared_key = peer.preshared_key.clone()};
  if (peer.static_shared) partner.static_shared = peer.static_shared->clone();
  return partner;
}

void HandshakeWork::State::compute() {
  if (identity_key) {
    identity = std::make_unique<wg::Identity>(std::move(*identity_key));
    identity_key.reset();
  }
  switch (task.step) {
    case Step::Idle:
      return;
    case Step::Initiate:
      return initiate();
    case Step::ReadInitiator: {
      const auto message = wg::parse_initiation(task.message.bytes());
      if (message) task.sender = wg::read_initiator(*identity, *message, task.responder);
      return;
    }
    case Step::Answer:
      return answer();
    case Step::Conclude:
      return conclude();
  }
}

wg::Remote HandshakeWork::State::remote() {
  Partner& partner = task.partner;
  if (!partner.static_shared) {
    crypto::SharedSecret shared;  // stays zero for a key that can never give one
    static_cast<void>(identity->deriving_key.derive(partner.public_key, shared));
    partner.static_shared = std::move(shared);
    partner.made_static_shared = true;
  }
  return {.public_key = partner.public_key,
          .static_shared = *partner.static_shared,
          .preshared_key = partner.preshared_key};
}

void HandshakeWork::State::initiate() {
  // The sender's index is chosen when the initiation is sent; nothing computed here depends on it.
  task.good = wg::create_initiation(*identity, remote(), task.timestamp, 0, random, task.initiator,
                                    task.initiation);
}

void HandshakeWork::State::answer() {
  const auto message = wg::parse_initiation(task.message.bytes());
  const wg::Remote theirs = remote();
  const auto timestamp =
      message ? wg::read_timestamp(theirs, *message, task.responder) : std::nullopt;
  task.good = timestamp && *timestamp > task.newer_than;
  if (!task.good || task.too_soon) return;
  task.timestamp = *timestamp;
  task.keys = wg::create_response(theirs, 0, random, task.responder, task.response);
}

void HandshakeWork::State::conclude() {
  const auto message = wg::parse_response(task.message.bytes());
  if (message) task.keys = wg::consume_response(*identity, remote(), *message, task.initiator);
  task.good = task.keys.has_value();
}

}  // namespace warren::node
