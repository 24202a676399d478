// Theory of operation
//
// A `set` is applied in two halves. The first can fail and changes nothing but sockets and mark: it
// asks the opener once, for new sockets (mark included) or for a new mark. Only after its success
// does the second half run, which cannot fail: key, peers, allowed IPs. So a refused port leaves
// the interface as it was. A `set` of very many peers comes in pieces, each applied as it is read;
// the first one has the interface's part, so a refused port refuses the peers behind it as well.
//
// Sockets are opened when the interface first gets a private key or a listen port, and again when
// `listen_port` names another number; 0 takes a fresh random port, as in the kernel.
//
// A peer that is new to this process but has a hint existed before a crash: it gets its timestamps
// and its last endpoint back, and if it was active within three minutes a handshake starts at once,
// paced so that a gateway's thousand peers do not answer in one burst.
#include <algorithm>
#include <span>
#include <unordered_set>

#include "engine/engine.hpp"
#include "engine/limits.hpp"

namespace warren::engine {

namespace {

node::PeerUpdate update_of(const ipc::UapiPeer& peer) {
  node::PeerUpdate update{.public_key = peer.public_key,
                          .remove = peer.remove,
                          .update_only = peer.update_only,
                          .endpoint = peer.endpoint,
                          .persistent_keepalive_s = peer.persistent_keepalive_s,
                          .replace_allowed_ips = peer.replace_allowed_ips};
  if (peer.preshared_key) update.preshared_key = peer.preshared_key->clone();
  update.allowed_ips.reserve(peer.allowed_ips.size());
  for (const ipc::UapiAllowedIp& allowed : peer.allowed_ips) {
    update.allowed_ips.push_back({.prefix = allowed.prefix, .remove = allowed.remove});
  }
  return update;
}

ipc::UapiPeerStatus status_of(const node::PeerStatus& peer) {
  ipc::UapiPeerStatus status{.public_key = peer.public_key,
                             .endpoint = peer.endpoint,
                             .last_handshake = peer.last_handshake,
                             .rx_bytes = peer.rx_bytes,
                             .tx_bytes = peer.tx_bytes,
                             .persistent_keepalive_s = peer.persistent_keepalive_s,
                             .allowed_ips = peer.allowed_ips};
  if (peer.preshared_key != nullptr) status.preshared_key = peer.preshared_key->clone();
  return status;
}

base::Status failed(std::string_view what, int error) {
  if (error == 0) return {};
  return base::os_error(what, error);
}

}  // namespace

void Engine::write_interface(std::string& out) {
  ipc::write_uapi_interface(out, shared_.lock()->private_key(), worker_.udp().port(), mark_);
}

std::optional<std::size_t> Engine::write_peers(std::size_t from, std::string& out) {
  std::vector<ipc::UapiPeerStatus> page;  // packets must not wait while text is written
  page.reserve(kApiPagePeers);
  const auto next = shared_.lock()->for_some_peers(
      from, kApiPagePeers, [&](const node::PeerStatus& peer) { page.push_back(status_of(peer)); });
  for (const ipc::UapiPeerStatus& peer : page) ipc::write_uapi_peer(out, peer);
  return next;
}

int Engine::apply(const ipc::UapiSet& set) {
  if (!fits(set)) return ENOMEM;
  const base::Status sockets = apply_sockets(set);
  handle_notices();  // what arrived while the opener was asked
  if (!sockets) {
    log_line(base::LogLevel::Error, "set refused: " + sockets.error().message);
    return sockets.error().os_errno != 0 ? sockets.error().os_errno : EIO;
  }
  if (set.private_key) shared_.lock()->set_private_key(set.private_key->clone(), os::now());
  if (set.replace_peers) forget_all_peers();
  for (const ipc::UapiPeer& peer : set.peers) apply_peer(peer);
  const bool removes = set.private_key || set.replace_peers ||
                       std::ranges::any_of(set.peers, [](const auto& peer) { return peer.remove; });
  int error = 0;
  if (removes) {
    if (const auto done = make_removals_final(); !done) {
      log_line(base::LogLevel::Error, done.error().message);
      error = done.error().os_errno;
    }
  }
  worker_.drain();
  report_features();
  return error;
}

base::Status Engine::make_removals_final() {
  shared_.count_removal();
  return crew_.pass_epoch();
}

bool Engine::fits(const ipc::UapiSet& set) {
  auto node = shared_.lock();
  const std::size_t kept = set.replace_peers ? 0 : node->peer_count();
  if (kept + set.peers.size() <= max_peers_) return true;
  std::unordered_set<base::PublicKey> added;
  for (const ipc::UapiPeer& peer : set.peers) {
    if (peer.remove || peer.update_only) continue;
    if (set.replace_peers || !node->hints(peer.public_key)) added.insert(peer.public_key);
  }
  return kept + added.size() <= max_peers_;
}

base::Status Engine::apply_sockets(const ipc::UapiSet& set) {
  const std::uint32_t mark = set.fwmark.value_or(mark_);
  const bool gets_key = set.private_key && !set.private_key->is_zero();
  const bool other_port = set.listen_port && *set.listen_port != worker_.udp().port();
  if (other_port || ((gets_key || set.listen_port) && !worker_.udp().is_open())) {
    WARREN_TRY(open_udp(set.listen_port.value_or(0), mark));
  } else if (mark != mark_ && worker_.udp().is_open()) {
    crew_.recall_all();  // the opener has only the first worker's sockets to mark
    WARREN_TRY_ASSIGN(const auto answer, opener_.ask(ipc::SetMark{mark}));
    const auto* done = std::get_if<ipc::Done>(&answer.body);
    WARREN_TRY(failed("set the firewall mark", done != nullptr ? done->error : EPROTO));
  }
  mark_ = mark;
  grow_to_least();
  return {};
}

base::Status Engine::open_udp(std::uint16_t port, std::uint32_t mark) {
  WARREN_TRY_ASSIGN(auto answer, opener_.ask(ipc::OpenUdp{.port = port, .mark = mark}));
  const auto* reply = std::get_if<ipc::OpenUdpReply>(&answer.body);
  if (reply == nullptr) return failed("open UDP sockets", EPROTO);
  WARREN_TRY(failed("open UDP port " + std::to_string(port), reply->error));
  const std::size_t expected = (reply->has_v4 ? 1U : 0U) + (reply->has_v6 ? 1U : 0U);
  if (expected == 0 || reply->port == 0 || answer.descriptors.size() != expected) {
    return failed("open UDP sockets", EPROTO);
  }
  auto next = answer.descriptors.begin();
  os::Fd v4 = reply->has_v4 ? std::move(*next++) : os::Fd();
  os::Fd v6 = reply->has_v6 ? std::move(*next++) : os::Fd();
  crew_.recall_all();  // they are on the former port
  WARREN_TRY(worker_.set_sockets(std::move(v4), std::move(v6), reply->port));
  log_line(base::LogLevel::Info, features());
  return {};
}

/// In pages, so that traffic flows. Hints go after their peers, who might leave new ones.
void Engine::forget_all_peers() {
  std::vector<base::PublicKey> forgotten;
  std::optional<std::size_t> next;
  if (shared_.lock().hints().is_kept()) next = 0;
  while (next) {
    next = shared_.lock()->for_some_keys(
        *next, kHintsPage, [&](const base::PublicKey& key) { forgotten.push_back(key); });
  }
  next = 0;
  while (next) next = shared_.lock()->remove_some_peers(*next, kRemovePage);
  resume_.clear();
  for (auto rest = std::span(forgotten); !rest.empty();) {
    const auto page = rest.first(std::min(rest.size(), kHintsPage));
    rest = rest.subspan(page.size());
    auto node = shared_.lock();
    for (const base::PublicKey& key : page) node.hints().erase(key);
  }
}

/// Takes the lock for each peer anew, so that traffic flows while a hundred thousand are set.
void Engine::apply_peer(const ipc::UapiPeer& peer) {
  auto node = shared_.lock();
  if (peer.remove) node.hints().erase(peer.public_key);
  const bool is_new = node.hints().is_kept() && !node->hints(peer.public_key).has_value();
  std::ignore = node->update_peer(update_of(peer), os::now());  // fits() made sure of the room
  if (is_new && !peer.remove) restore(node, peer);
}

void Engine::restore(SharedNode::Access& node, const ipc::UapiPeer& peer) {
  auto hints = node.hints().find(peer.public_key);
  if (!hints || !node->hints(peer.public_key)) return;
  const base::Duration since = os::now() - hints->last_activity;
  const bool recent = hints->last_activity.ns != 0 && since <= kResumeWithin;
  // The configured endpoint counts, unless the peer was seen elsewhere a moment ago.
  if (peer.endpoint && !recent) hints->endpoint = peer.endpoint;
  node->restore_hints(peer.public_key, *hints);
  if (recent) resume(peer.public_key);
}

void Engine::wake_active_peers(base::Instant slept_since) {
  std::optional<std::size_t> next = 0;
  while (next) {
    next = shared_.lock()->for_some_active(*next, kWakePage, slept_since - kResumeWithin,
                                           [this](const base::PublicKey& key) { resume(key); });
  }
}

void Engine::resume(const base::PublicKey& peer) {
  resume_.push_back(peer);
  if (resume_.size() == 1) loop_->at(os::now(), [this] { resume_some(); });
}

void Engine::resume_some() {
  {
    auto node = shared_.lock();
    for (std::size_t i = 0; i < kResumePerTick && !resume_.empty(); ++i) {
      node->wake(resume_.front(), os::now(), os::wall_now());
      resume_.pop_front();
    }
  }
  worker_.drain();
  if (!resume_.empty()) loop_->at(os::now() + kResumeTick, [this] { resume_some(); });
}

}  // namespace warren::engine
