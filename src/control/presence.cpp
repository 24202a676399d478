// Who is connected: what the engines say of their members becomes records of the audit.
//
// An engine knows when the last handshake of each peer was; a connected one makes a new one every
// two minutes while it has anything to say. So a member is here from the first look that finds a
// handshake of the last kConnectedFor, and gone when that time passes without another, when it may
// not be here any more (revoked, expired, left, deleted), or when its network was stopped. An
// engine that was started again has seen no handshake yet; what was known before still counts, so
// that its members, who are back within a second, are not told as gone.
//
// The first look after a start of the daemon at a network that ran before it finds who was
// connected all the time: nothing is recorded for them. Nothing of this is stored: who went while
// no daemon ran is not told.
//
// A look costs time for each peer of an engine. One round looks at networks, in turn, until it has
// seen kMembersLookedAtEachRound peers; a larger network is looked at whole, and as many rounds as
// it took too much are left out. What was found in a round is one transaction, without waiting for
// the disk: ten thousand members that come back at once are one write.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"

namespace warren::control {

namespace {

std::string actor_of(const std::string& name, const std::string& source) {
  return "peer " + name + (source.empty() ? "" : " from " + source);
}

/// Why an enrolled peer is one no more.
std::string why_gone(const model::Peer& peer) {
  if (peer.state != model::PeerState::Revoked) return "its key was taken away";
  return peer.expires.ns != 0 ? "its time is over" : "revoked";
}

}  // namespace

void Control::Impl::look_at_members() {
  find_gone();
  if (rounds_until_look > 0) {
    --rounds_until_look;
    return record_presence();
  }
  std::size_t seen = 0;
  std::size_t networks = 0;
  while (seen < kMembersLookedAtEachRound && networks++ < state.networks.size()) {
    auto next = state.networks.upper_bound(looked_at_last);
    if (next == state.networks.end()) next = state.networks.begin();
    looked_at_last = next->first;
    if (next->second.network.stopped) continue;
    const auto peers = deps.engines.peers(next->first);
    if (!peers) continue;  // it is being started again; its members stay what they are
    const bool first = unseen.erase(next->first) == 1;
    for (const EnginePeerStatus& peer : *peers) {
      const auto known = members_by_key.find({next->first, peer.public_key});
      if (known == members_by_key.end()) continue;
      if (peer.endpoint) look_at_endpoint(known->second, *peer.endpoint);
      const auto member = state.peers.find(known->second);
      if (member == state.peers.end()) continue;
      if (member->second.state == model::PeerState::Enrolled) {
        note_presence(member->second, peer, first);
      }
    }
    seen += peers->size();
  }
  rounds_until_look = static_cast<unsigned>(seen / kMembersLookedAtEachRound);
  record_presence();
}

void Control::Impl::note_presence(const model::Peer& peer, const EnginePeerStatus& seen,
                                  bool first) {
  const base::WallTime now = deps.clock.wall();
  if (seen.last_handshake.ns == 0 || now - seen.last_handshake >= kConnectedFor) return;
  const std::string source = seen.endpoint ? seen.endpoint->to_string() : std::string();
  const auto [at, came] = present.try_emplace(peer.id);
  Presence& presence = at->second;
  presence.last_handshake = std::max(presence.last_handshake, seen.last_handshake);
  if (!source.empty()) presence.source = source;
  if (!came) return;
  presence.name = state.networks.at(peer.network).network.name + "/" + peer.name;
  if (first) return;
  comings_and_goings.push_back(
      audit_record({actor_of(presence.name, source), "peer.connect", presence.name}, "ok"));
}

void Control::Impl::find_gone() {
  const base::WallTime now = deps.clock.wall();
  std::erase_if(present, [&](const auto& entry) {
    const auto& [id, presence] = entry;
    const auto peer = state.peers.find(id);
    std::string why;
    if (peer == state.peers.end()) {
      why = "left";
    } else if (peer->second.state != model::PeerState::Enrolled) {
      why = why_gone(peer->second);
    } else if (state.networks.at(peer->second.network).network.stopped) {
      why = "its network was stopped";
    } else if (now - presence.last_handshake >= kConnectedFor) {
      why = fmt::format("silent for {} s", kConnectedFor.count());
    }
    if (why.empty()) return false;
    comings_and_goings.push_back(
        audit_record({actor_of(presence.name, presence.source), "peer.disconnect", presence.name},
                     "ok, " + why));
    return true;
  });
}

void Control::Impl::record_presence() {
  if (comings_and_goings.empty()) return;
  if (const base::Status written = deps.store.record_soon(comings_and_goings); !written) {
    log(base::LogLevel::Error, "who came and went is not audited: " + written.error().message);
    if (comings_and_goings.size() < kMaxPeersPerNetwork) return;  // tried again
  }
  comings_and_goings.clear();
  tell_recorded();
}

}  // namespace warren::control
