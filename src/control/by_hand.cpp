// Members that are added by hand: for programs that cannot join with a token.
//
// The member makes its key and the public half is handed in, at once (`peer add --key`) or later
// (`peer set-key`); until then the peer holds its name and its addresses and waits. Everything that
// can be refused is checked before anything is changed; what the engine refuses after that is
// undone
// (`grant`). No private key ever comes here.
#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Result<base::PublicKey> parse_key(const std::string& text) {
  if (const auto key = base::PublicKey::parse_base64(text)) return *key;
  return make_error(ErrorKind::Invalid, "the public key is not 32 bytes in base64",
                    "the member makes it: wg genkey | tee private.key | wg pubkey");
}

/// As long as asked for, at most as long as the role has it.
std::optional<std::uint32_t> membership(const api::PeerAdd& wanted, const model::Role& role) {
  if (role.membership_s == 0) return wanted.expires_s;
  return std::min(wanted.expires_s.value_or(role.membership_s), role.membership_s);
}

base::Result<base::WallTime> end_of_membership(std::optional<std::uint32_t> span_s,
                                               base::WallTime now) {
  if (!span_s) return base::WallTime{};
  if (*span_s >= kMinMembership_s && *span_s <= kMaxMembership_s) {
    return now + std::chrono::seconds(*span_s);
  }
  return make_error(ErrorKind::Invalid,
                    fmt::format("a membership cannot last {}", rough_duration(*span_s)),
                    fmt::format("give --expires from {} s to {} days", kMinMembership_s,
                                kMaxMembership_s / 86400));
}

}  // namespace

base::Error Control::Impl::name_in_use(const model::Network& network,
                                       const model::Peer& owner) const {
  const bool waits = owner.state == model::PeerState::Invited && owner.by_hand;
  return make_error(ErrorKind::Conflict,
                    fmt::format("{} {} in network {} already", owner.name,
                                waits ? std::string("waits for its key")
                                      : fmt::format("is {}", model::to_string(owner.state)),
                                network.name),
                    "choose another name, or revoke that one first");
}

base::Status Control::Impl::take_addresses(const model::Network& network, const model::Role& role,
                                           const std::vector<std::string>& wanted,
                                           model::Peer& peer) const {
  for (const std::string& text : wanted) {
    const auto address = base::IpAddress::parse(text);
    if (!address) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("\"{}\" is not an address", one_line(text, 80)),
                        "write it as 10.20.0.7 or fd00::7, without a length");
    }
    std::optional<base::IpAddress>& place = address->is_v4() ? peer.address4 : peer.address6;
    if (place) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("{} and {}: a peer has one address of each family",
                                    place->to_string(), address->to_string()),
                        "give one of them");
    }
    WARREN_TRY(model::check_member_address(network, *address));
    WARREN_TRY(check_role_address(network, role, *address));
    if (const model::Peer* other = index.holder(network.id, *address)) {
      const bool closing = other->state == model::PeerState::Revoked;
      return make_error(ErrorKind::Conflict,
                        fmt::format("address {} belongs to {}{}", address->to_string(), other->name,
                                    closing ? ", which is still being closed" : " already"),
                        closing ? "try again in a moment: see `warren status`"
                                : "choose another one, or leave --address out");
    }
    place = *address;
  }
  return {};
}

base::Result<model::Peer> Control::Impl::new_peer(const model::Network& network,
                                                  const api::PeerAdd& wanted) {
  WARREN_TRY(model::check_peer_name(wanted.name));
  WARREN_TRY(check_member_name(network, wanted.name));
  WARREN_TRY_ASSIGN(const model::Role role, role_for(network, wanted.role));
  model::Peer peer;
  peer.id = {state.next_peer_id};
  peer.network = network.id;
  peer.name = wanted.name;
  peer.role = role.name;
  peer.by_hand = true;
  peer.person = wanted.person.value_or("");
  peer.invited = deps.clock.wall();
  WARREN_TRY_ASSIGN(peer.expires, end_of_membership(membership(wanted, role), peer.invited));
  if (wanted.public_key) {
    WARREN_TRY_ASSIGN(const base::PublicKey key, parse_key(*wanted.public_key));
    WARREN_TRY(check_key(network, peer, key));
    peer.public_key = key;
    peer.state = model::PeerState::Enrolled;
    peer.enrolled = peer.invited;
  }
  if (const model::Peer* owner = current_peer(network.id, wanted.name)) {
    return name_in_use(network, *owner);
  }
  WARREN_TRY(check_room(network));
  WARREN_TRY(check_role_room(network, role));
  WARREN_TRY(check_devices(network, peer));
  WARREN_TRY(take_addresses(network, role, wanted.addresses, peer));
  std::vector<base::IpAddress> fixed;
  for (const auto& address : {peer.address4, peer.address6}) {
    if (address) fixed.push_back(*address);
  }
  WARREN_TRY(check_unused(network, fixed, "choose another one, or leave --address out"));
  WARREN_TRY(choose_addresses(network, peer));
  return peer;
}

base::Result<api::PeerView> Control::Impl::add_peer(const Request& request,
                                                    const std::string& network_name,
                                                    const api::PeerAdd& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  WARREN_TRY_ASSIGN(const model::Peer peer, new_peer(network, wanted));
  if (peer.public_key) {
    WARREN_TRY(grant(request, peer, {store::PutPeer{peer}}, {store::DeletePeer{peer.id}}));
  } else {
    WARREN_TRY(commit({store::PutPeer{peer}}, request));
  }
  return peer_view(network, peer, Known());  // nobody has heard of it yet
}

base::Result<std::vector<model::Peer>> Control::Impl::new_peers(const model::Network& network,
                                                                const api::PeerBatch& wanted) {
  // Each must see those before it: they are in the state while the others are checked.
  std::vector<model::Peer> peers;
  const std::uint32_t next_id = state.next_peer_id;
  const auto forget = [&] {
    for (const model::Peer& peer : peers) {
      index.remove(state.peers.at(peer.id));
      if (peer.public_key) members_by_key.erase({peer.network, *peer.public_key});
      state.peers.erase(peer.id);
    }
    state.next_peer_id = next_id;
  };
  std::vector<base::IpAddress> fixed;
  for (const api::PeerAdd& one : wanted.peers) {
    for (const std::string& text : one.addresses) {
      if (const auto address = base::IpAddress::parse(text)) fixed.push_back(*address);
    }
  }
  WARREN_TRY(look_at_segment(network, fixed));
  for (const api::PeerAdd& one : wanted.peers) {
    auto peer = new_peer(network, one);
    if (!peer) {
      forget();
      return std::move(peer).error().within("add peer " + one_line(one.name, 80));
    }
    const model::Peer& placed = state.peers.emplace(peer->id, *peer).first->second;
    index.add(placed);
    know_key(placed);
    ++state.next_peer_id;
    peers.push_back(std::move(*peer));
  }
  forget();
  return peers;
}

base::Status Control::Impl::configure_all(const model::Network& network,
                                          const std::vector<model::Peer>& peers) {
  if (network.attach.empty()) {
    WARREN_TRY(admit_all(network, peers).within("let the policy know them"));
  } else if (!unapplied.contains(network.id)) {
    WARREN_TRY(reconcile_host().within("let the host know them"));
  }
  if (network.stopped) return {};
  std::vector<EnginePeer> members;
  for (const model::Peer& peer : peers) {
    if (peer.public_key) members.push_back(engine_peer(peer));
  }
  if (members.empty()) return {};
  return deps.engines.add_peers(network.id, members).within("configure the engine");
}

base::Result<api::PeerList> Control::Impl::add_peers(const Request& request,
                                                     const std::string& network_name,
                                                     const api::PeerBatch& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  WARREN_TRY_ASSIGN(const std::vector<model::Peer> peers, new_peers(network, wanted));
  std::vector<store::Change> changes;
  std::vector<store::Change> inverse;
  for (const model::Peer& peer : peers) {
    changes.emplace_back(store::PutPeer{peer});
    inverse.emplace_back(store::DeletePeer{peer.id});
  }
  WARREN_TRY(commit(changes, request));
  if (auto done = configure_all(network, peers); !done) {
    base::Error reason = std::move(done).error();
    const Request undo{request.actor, request.action + ".undo", request.target};
    if (const auto undone = commit(inverse, undo); !undone) {
      reason.message += "; it could not be undone: " + undone.error().message;
      return reason;
    }
    for (const model::Peer& peer : peers) {
      if (peer.public_key) keys_to_remove.emplace(network.id, *peer.public_key);
    }
    host_to_reconcile = true;
    host_problem = reason.message;
    return reason;
  }
  const Known known;  // nobody has heard of them yet
  api::PeerList list;
  for (const model::Peer& peer : peers) list.peers.push_back(peer_view(network, peer, known));
  return list;
}

base::Result<api::PeerView> Control::Impl::set_peer_key(const Request& request,
                                                        const std::string& network_name,
                                                        const std::string& name,
                                                        const api::PeerKey& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* found = current_peer(network.id, name);
  if (found == nullptr) return unknown_peer(network, name);
  const model::Peer before = *found;
  WARREN_TRY_ASSIGN(const base::PublicKey key, parse_key(wanted.public_key));
  WARREN_TRY(check_key(network, before, key));
  if (before.state == model::PeerState::Enrolled && before.public_key != key) {
    return make_error(ErrorKind::Conflict, fmt::format("{} has another key already", name),
                      "revoke it and add it again: its old key is then refused for ever");
  }
  if (before.state == model::PeerState::Invited && !before.by_hand) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("{} is invited: it brings its key itself, with its token", name),
                      "revoke it first to add it by hand");
  }
  if (before.state == model::PeerState::Enrolled) {
    // As after a lost answer: nothing changes, but the engine is told once more.
    WARREN_TRY(configure(before));
    return peer_view(network, before, known_of(network.id));
  }
  model::Peer peer = before;
  peer.public_key = key;
  peer.state = model::PeerState::Enrolled;
  peer.enrolled = deps.clock.wall();
  std::vector<store::Change> inverse{store::PutPeer{before}};
  for (const model::Token& token : state.tokens) {
    if (token.peer == peer.id) inverse.emplace_back(store::PutToken{token});
  }
  WARREN_TRY(grant(request, peer, {store::PutPeer{peer}, store::DeleteTokensOf{peer.id}}, inverse));
  return peer_view(network, peer, known_of(network.id));
}

base::Result<api::PeerView> Control::Impl::rename_peer(const Request& request,
                                                       const std::string& network_name,
                                                       const std::string& name,
                                                       const api::PeerRename& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* found = current_peer(network.id, name);
  if (found == nullptr) return unknown_peer(network, name);
  model::Peer peer = *found;
  WARREN_TRY(model::check_peer_name(wanted.name));
  if (wanted.name == name) return peer_view(network, peer, known_of(network.id));
  if (const model::Peer* owner = current_peer(network.id, wanted.name)) {
    return name_in_use(network, *owner);
  }
  WARREN_TRY(check_unnamed(network, name));
  WARREN_TRY(check_unnamed(network, wanted.name));
  WARREN_TRY(check_member_name(network, wanted.name));
  peer.name = wanted.name;
  std::vector<store::Change> changes{store::PutPeer{peer}};
  certificates->deny_name(peer.id, changes);  // the member asks for another one
  WARREN_TRY(commit(changes, request));
  if (const base::Status done = certificates->sign_lists(network.id); !done) {
    log(base::LogLevel::Error, done.error().message);  // and it is tried again
  }
  return peer_view(network, peer, known_of(network.id));
}

base::Result<api::EnrolAnswer> Control::Impl::peer_profile(const std::string& network_name,
                                                           const std::string& name) const {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* peer = current_peer(network.id, name);
  if (peer == nullptr) return unknown_peer(network, name);
  return enrol_answer(network, *peer);
}

}  // namespace warren::control
