// What Control keeps in memory beside the code of its use cases: the state, what was observed since
// the start, and what is still to be applied. Private to this module.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/control.hpp"
#include "control/peer_index.hpp"
#include "model/policy.hpp"
#include "plan/host_network.hpp"
#include "store/store.hpp"

namespace warren::control {

struct Memory {
  Memory(Control::Dependencies dependencies, Settings initial)
      : deps(dependencies), settings(std::move(initial)) {}

  Control::Dependencies deps;
  Settings settings;
  store::State state;
  base::WallTime started{};
  /// Networks that the host does not have (anything on it of theirs is removed).
  std::set<model::NetworkId> unapplied;
  /// Networks of the host whose engine did not start.
  std::set<model::NetworkId> engineless;
  /// Why a network is not what it should be.
  std::map<model::NetworkId, std::string> problems;

  /// Who had an address of a segment, and when that was asked; an empty owner: nobody answered.
  struct SeenOnSegment {
    std::string owner;
    base::Instant when{};
  };
  std::map<std::pair<model::NetworkId, base::IpAddress>, SeenOnSegment> seen_on_segment;
  /// The links that networks were attached to when the host was made what it must be; nullopt: it
  /// was not there.
  std::map<model::NetworkId, std::optional<std::uint32_t>> known_segments;

  Control::Changed changed;
  PeerIndex index;  ///< of `state.peers`, and always up to date with them
  /// Who has, or had last, a key. An entry may be of a peer that is gone.
  std::map<std::pair<model::NetworkId, base::PublicKey>, model::PeerId> members_by_key;
  std::map<model::PeerId, base::Instant> leases;  ///< when each is over
  /// Where the packets of a member came from last, and before.
  struct Sources {
    base::Endpoint now;
    std::optional<base::Endpoint> before;
    unsigned returns = 0;  ///< how often in a row it went back to `before`
    base::Instant moved{};
  };
  std::map<model::PeerId, Sources> sources;

  std::function<void()> recorded;
  /// Of a connected member.
  struct Presence {
    std::string name;    ///< "lab/laptop"
    std::string source;  ///< where its packets come from
    base::WallTime last_handshake;
  };
  std::map<model::PeerId, Presence> present;
  std::set<model::NetworkId> unseen;  ///< not looked at since the start
  model::NetworkId looked_at_last{};  ///< the next round goes on behind it
  unsigned rounds_until_look = 0;
  std::vector<store::AuditRecord> comings_and_goings;  ///< to be recorded

  struct ParsedPolicy {
    std::string text;
    std::vector<model::Role> roles;
    model::Policy policy;
  };
  mutable std::map<model::NetworkId, ParsedPolicy> policies;

  // What is still to be applied. Revocations are not listed here: a revoked peer that still has an
  // address is one, so that they outlive a crash.
  std::map<model::NetworkId, std::string> engines_to_stop;  ///< of deleted networks, by name
  bool host_to_reconcile = false;
  std::string host_problem;
  std::set<model::NetworkId> creations_to_undo;
  /// Of revoked peers.
  std::map<model::PeerId, std::vector<plan::HostForward>> forwards_to_close;
  std::set<std::pair<model::NetworkId, base::PublicKey>> keys_to_remove;
};

}  // namespace warren::control
