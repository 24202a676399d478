#include "engine/shared_node.hpp"

#include <string>
#include <string_view>

namespace warren::engine {

namespace {

/// Empty: nothing to say.
std::string_view text_of(node::Event::Kind kind) {
  using Kind = node::Event::Kind;
  switch (kind) {
    case Kind::HandshakeCompleted:
      return "handshake completed";
    case Kind::EndpointChanged:
      return "endpoint changed";
    case Kind::HandshakeGivenUp:
      return "no answer to the handshake, giving up";
    case Kind::HintsChanged:
      return {};
  }
  return {};
}

}  // namespace

void SharedNode::Access::handle_events() {
  while (const auto event = shared_.node_.poll_event()) {
    if (event->kind == node::Event::Kind::HintsChanged) {
      shared_.save_hints(event->peer);
    } else {
      to_say_.push_back(*event);
    }
  }
}

SharedNode::Access::~Access() {
  hold_.unlock();
  for (const node::Event& event : to_say_) shared_.say(event);
}

void SharedNode::save_hints(const base::PublicKey& peer) {
  if (!hints_.is_kept()) return;
  if (const auto hints = node_.hints(peer)) hints_.save(peer, *hints);
}

void SharedNode::say(const node::Event& event) {
  log_.write(base::LogLevel::Debug, "engine",
             "peer " + event.peer.base64().substr(0, 8) + "…: " + std::string(text_of(event.kind)));
}

void SharedNode::trim() {
  const std::lock_guard hold(mutex_);
  pool_.trim();
}

}  // namespace warren::engine
