// Members that ask for themselves: what they need to know now, and that they leave.
//
// A member proves its key (pki::member_proof) and says which revision of its state it has. The
// revision is a hash of what the member would be told, so nothing about it is stored, and it means
// the same after a restart of the daemon. Whoever waits for another one is woken by `on_change`.
//
// A lease is counted on the clock that does not jump, in memory alone: renewing one is no change.
// When the daemon starts, every ephemeral member has a whole lease before it, because none could be
// renewed while no daemon ran; a runner that died meanwhile is out one lease later.
//
// Whoever leaves, and whoever's lease is over, is put out as a revoked member is: the denial first,
// then every way in, retried until done. Only its key is not refused, and its record goes too.
#include <fmt/format.h>

#include <algorithm>

#include "api/json.hpp"
#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Error not_known() {
  return make_error(ErrorKind::NotFound, "this gateway knows no such member",
                    "it left, or its lease is over; ask whoever runs the network for a token");
}

/// Of everything but what it is: the same state has the same revision for ever.
std::string revision_of(const api::MemberState& state) {
  const std::string text = api::encode(state.profile) + state.enrol_at;
  const auto hash = pki::secret_hash(base::as_bytes(text));
  return base::to_hex(base::Bytes(hash).first(8));
}

}  // namespace

void Control::Impl::take_in(const std::vector<store::Change>& changes) {
  std::set<model::PeerId> changed_peers;
  std::vector<std::pair<model::NetworkId, std::optional<model::PeerId>>> touched;
  for (const store::Change& change : changes) {
    certificates->follow(change);
    if (const auto* put = std::get_if<store::PutNetwork>(&change)) {
      touched.emplace_back(put->network.network.id, std::nullopt);
      index.forget_places(put->network.network.id);
    } else if (const auto* gone = std::get_if<store::DeleteNetwork>(&change)) {
      touched.emplace_back(gone->id, std::nullopt);
      for (const auto& [id, member] : index.in(gone->id)) changed_peers.insert(id);
    } else if (const auto* peer = std::get_if<store::PutPeer>(&change)) {
      touched.emplace_back(peer->peer.network, peer->peer.id);
      changed_peers.insert(peer->peer.id);
      know_key(peer->peer);
    } else if (const auto* deleted = std::get_if<store::DeletePeer>(&change)) {
      const auto known = state.peers.find(deleted->id);
      if (known == state.peers.end()) continue;
      touched.emplace_back(known->second.network, deleted->id);
      changed_peers.insert(deleted->id);
      forget_key(known->second);
      leases.erase(deleted->id);
      sources.erase(deleted->id);
    }
  }
  const auto each = [&](void (PeerIndex::*update)(const model::Peer&)) {
    for (const model::PeerId id : changed_peers) {
      const auto found = state.peers.find(id);
      if (found != state.peers.end()) (index.*update)(found->second);
    }
  };
  each(&PeerIndex::remove);
  store::apply(state, changes);
  each(&PeerIndex::add);
  for (const auto& [network, peer] : touched) {
    tell_changed(network, peer);
    if (peer && is_told_by_address(network, *peer)) tell_changed(network, std::nullopt);
  }
}

void Control::Impl::know_key(const model::Peer& peer) {
  if (!peer.public_key) return;
  // Of several with one key the one that is in force, else the last.
  model::PeerId& known = members_by_key[{peer.network, *peer.public_key}];
  const auto other = state.peers.find(known);
  const bool in_force = other != state.peers.end() && known != peer.id &&
                        other->second.public_key == peer.public_key &&
                        other->second.state == model::PeerState::Enrolled;
  if (!in_force || peer.state == model::PeerState::Enrolled) known = peer.id;
}

void Control::Impl::forget_key(const model::Peer& peer) {
  if (!peer.public_key) return;
  const auto known = members_by_key.find({peer.network, *peer.public_key});
  if (known != members_by_key.end() && known->second == peer.id) members_by_key.erase(known);
}

void Control::Impl::know_members() {
  for (const auto& [id, peer] : state.peers) {
    index.add(peer);
    know_key(peer);
    if (peer.state == model::PeerState::Enrolled) renew_lease(peer);
  }
}

base::Result<Member> Control::Impl::find_member(const api::MemberRequest& request,
                                                const pki::Binding& binding) {
  const auto network = std::ranges::find_if(state.networks, [&](const auto& entry) {
    return entry.second.network.name == request.network;
  });
  const auto key = base::PublicKey::parse_base64(request.public_key);
  const auto given = base::parse_base64url(request.proof);
  if (network == state.networks.end() || !key || !given) return not_known();
  const auto known = members_by_key.find({network->first, *key});
  if (known == members_by_key.end() || !state.peers.contains(known->second)) return not_known();
  const auto expected = pki::member_proof(network->second.gateway_private_key, *key,
                                          network->second.network.gateway_key, binding);
  pki::MemberProof proof{};
  if (!expected || given->size() != proof.size()) return not_known();
  std::ranges::copy(*given, proof.begin());
  if (!pki::is_same(*expected, proof)) return not_known();
  const model::Peer& peer = state.peers.at(known->second);
  if (peer.state == model::PeerState::Enrolled) renew_lease(peer);
  return Member{.network = network->first, .peer = known->second};
}

base::Result<api::MemberState> Control::Impl::member_state(const Member& member) {
  const auto found = state.peers.find(member.peer);
  const auto network = state.networks.find(member.network);
  if (found == state.peers.end() || network == state.networks.end()) return not_known();
  const model::Peer& peer = found->second;
  if (peer.state == model::PeerState::Revoked) {
    if (peer.is_ephemeral()) return not_known();
    const bool over = peer.expires.ns != 0;
    return make_error(over ? ErrorKind::Expired : ErrorKind::NotPermitted,
                      fmt::format("{} {} in network {} at {}", peer.name,
                                  over ? "came to the end of its membership" : "was revoked",
                                  network->second.network.name, utc_text(peer.revoked.seconds())),
                      "ask whoever runs the network");
  }
  return told_to(network->second.network, peer);
}

api::MemberState Control::Impl::told_to(const model::Network& network,
                                        const model::Peer& peer) const {
  api::MemberState answer;
  answer.profile = enrol_answer(network, peer);
  answer.enrol_at = enrolment_address(network);
  answer.revision = revision_of(answer);
  return answer;
}

base::Result<api::MemberLeft> Control::Impl::leave(const Member& member) {
  const auto found = state.peers.find(member.peer);
  if (found == state.peers.end() || found->second.state != model::PeerState::Enrolled) {
    return not_known();
  }
  model::Peer peer = found->second;
  const std::string network = state.networks.at(member.network).network.name;
  const Request request{"member " + peer.name, "peer.leave", network + "/" + peer.name};
  peer.expires = deps.clock.wall();                         // so that its key is not refused
  peer.lease_s = std::max<std::uint32_t>(peer.lease_s, 1);  // so that its record goes
  WARREN_TRY(commit_revocation(request, peer));
  api::Revocation report;
  base::Instant since = deps.clock.now();
  close_ways_in(request, peer.id, since, report);  // what fails is retried
  return api::MemberLeft{.network = network, .name = peer.name};
}

void Control::Impl::renew_lease(const model::Peer& peer) {
  if (!peer.is_ephemeral()) return;
  leases[peer.id] = deps.clock.now() + std::chrono::seconds(peer.lease_s);
}

bool Control::Impl::lease_is_over(const model::Peer& peer, base::Instant now) const {
  if (peer.state != model::PeerState::Enrolled || peer.lease_s == 0) return false;
  const auto lease = leases.find(peer.id);
  return lease != leases.end() && now >= lease->second;
}

// --- one key in two places ---

void Control::Impl::look_at_endpoint(model::PeerId member, const base::Endpoint& endpoint) {
  const auto [at, first] = sources.try_emplace(member, Sources{.now = endpoint});
  Sources& source = at->second;
  if (first || source.now == endpoint) return;
  source.returns = source.before == endpoint ? source.returns + 1 : 0;
  source.before = std::exchange(source.now, endpoint);
  source.moved = deps.clock.now();
}

std::vector<std::string> Control::Impl::alternating_endpoints(const model::Peer& peer) const {
  const auto seen = sources.find(peer.id);
  if (seen == sources.end() || peer.state != model::PeerState::Enrolled) return {};
  const Sources& source = seen->second;
  const bool alternates = source.returns >= kReturnsOfAlternation && source.before &&
                          deps.clock.now() - source.moved < kAlternationShown;
  if (!alternates) return {};
  std::vector<std::string> places = {source.before->to_string(), source.now.to_string()};
  std::ranges::sort(places);
  return places;
}

}  // namespace warren::control
