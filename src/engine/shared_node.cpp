#include "engine/shared_node.hpp"

#include <string>

namespace warren::engine {

void SharedNode::Access::handle_events() {
  while (const auto event = shared_.node_.poll_event()) shared_.handle_event(*event);
}

void SharedNode::handle_event(const node::Event& event) {
  using Kind = node::Event::Kind;
  const auto say = [&](std::string_view what) {
    log_.write(base::LogLevel::Debug, "engine",
               "peer " + event.peer.base64().substr(0, 8) + "…: " + std::string(what));
  };
  switch (event.kind) {
    case Kind::HandshakeCompleted:
      return say("handshake completed");
    case Kind::EndpointChanged:
      return say("endpoint changed");
    case Kind::HandshakeGivenUp:
      return say("no answer to the handshake, giving up");
    case Kind::HintsChanged:
      if (!hints_.is_kept()) return;
      if (const auto hints = node_.hints(event.peer)) hints_.save(event.peer, *hints);
      return;
  }
}

void SharedNode::trim() {
  const std::lock_guard hold(mutex_);
  pool_.trim();
}

}  // namespace warren::engine
