// Invitations: a name and an address are reserved, and a one-time secret is made for them. Only the
// secret's hash is kept.
//
// A token for several peers has a place for each: a peer of its own with name, address and a hash
// of the same secret (pki::secret_hash with the place's number). So a place is a token like any
// other: it is bound to one key, may be retried, expires, and goes when its peer is revoked.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Status check_request(const api::InviteRequest& wanted) {
  WARREN_TRY(model::check_peer_name(wanted.name));
  if (wanted.uses == 0 || wanted.uses > kMaxTokenUses) {
    return make_error(ErrorKind::Invalid,
                      fmt::format("a token cannot be good for {} peers", wanted.uses),
                      fmt::format("give --uses from 1 to {}", kMaxTokenUses));
  }
  if (wanted.lease_s && (*wanted.lease_s < kMinLease_s || *wanted.lease_s > kMaxLease_s)) {
    return make_error(
        ErrorKind::Invalid, fmt::format("a lease cannot last {}", rough_duration(*wanted.lease_s)),
        fmt::format("give --lease from {} s to {} days", kMinLease_s, kMaxLease_s / 86400));
  }
  if (wanted.expires_s >= kMinTokenLife_s && wanted.expires_s <= kMaxTokenLife_s) return {};
  return make_error(
      ErrorKind::Invalid,
      fmt::format("a token cannot be valid for {}", rough_duration(wanted.expires_s)),
      fmt::format("give --expires from {} s to {} days", kMinTokenLife_s, kMaxTokenLife_s / 86400));
}

}  // namespace

std::string Control::Impl::enrolment_address(const model::Network& network) const {
  if (!settings.enrol_at.empty()) return settings.enrol_at;
  return host_port(network.endpoint_host, settings.enrol_port);
}

base::Status Control::Impl::choose_addresses(const model::Network& network, model::Peer& peer,
                                             const std::vector<model::Peer>& also) {
  // Addresses of revoked peers count until their ways in are closed.
  std::vector<model::AddressRange> taken;
  for (const model::Peer& other : also) {
    for (const auto& address : {other.address4, other.address6}) {
      if (address) taken.push_back({*address, *address});
    }
  }
  WARREN_TRY_ASSIGN(const model::Role role, role_for(network, peer.role));
  WARREN_TRY(look_ahead(network, role, peer, taken));
  if (network.subnet4 && !peer.address4) {
    WARREN_TRY_ASSIGN(peer.address4, next_unused(network, role, *network.subnet4, taken));
  }
  if (network.subnet6 && !peer.address6) {
    WARREN_TRY_ASSIGN(peer.address6, next_unused(network, role, *network.subnet6, taken));
  }
  return {};
}

base::Status Control::Impl::check_room(const model::Network& network, std::size_t more) const {
  const std::size_t members = index.members(network.id);
  const std::size_t most = network.max_members == 0
                               ? kMaxPeersPerNetwork
                               : std::min<std::size_t>(network.max_members, kMaxPeersPerNetwork);
  if (members + more <= most) return {};
  return make_error(
      ErrorKind::Conflict,
      fmt::format("network {} has {} members, and may have {}", network.name, members, most),
      network.max_members == 0 || network.max_members >= kMaxPeersPerNetwork
          ? "revoke a member that is not needed"
          : fmt::format("revoke a member that is not needed, or allow more: warren network set {} "
                        "--max-members N",
                        network.name));
}

base::Result<model::Peer> Control::Impl::invited_peer(const model::Network& network,
                                                      const model::Role& role,
                                                      const std::string& name,
                                                      const std::vector<model::Peer>& also) {
  WARREN_TRY(model::check_peer_name(name));
  if (const model::Peer* other = current_peer(network.id, name)) {
    const base::WallTime now = deps.clock.wall();
    const bool lapsed = other->state == model::PeerState::Invited &&
                        std::ranges::none_of(state.tokens, [&](const model::Token& token) {
                          return token.peer == other->id && token.expires > now;
                        });
    if (!lapsed) return name_in_use(network, *other);
    // It keeps its id and its addresses, as one that waits for its key does.
    model::Peer again = *other;
    if (again.role == role.name) return again;
    again.role = role.name;
    again.address4.reset();
    again.address6.reset();
    WARREN_TRY(check_role_room(network, role));
    WARREN_TRY(choose_addresses(network, again, also));
    return again;
  }
  WARREN_TRY(check_member_name(network, name));
  model::Peer peer;
  peer.id = {state.next_peer_id + static_cast<std::uint32_t>(also.size())};
  peer.network = network.id;
  peer.name = name;
  peer.role = role.name;
  WARREN_TRY(choose_addresses(network, peer, also));
  return peer;
}

base::Result<api::Invitation> Control::Impl::invite(const Request& request,
                                                    const std::string& network_name,
                                                    const api::InviteRequest& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  WARREN_TRY(check_request(wanted));
  WARREN_TRY_ASSIGN(const model::Role role, role_for(network, wanted.role));
  const std::string enrol_at = enrolment_address(network);
  if (const auto parts = base::HostPort::parse(enrol_at); !parts || parts->port == 0) {
    return make_error(ErrorKind::Invalid, "it is not known where members shall enrol",
                      "set the endpoint of this gateway in warren.yaml and reload");
  }
  const base::WallTime now = deps.clock.wall();
  model::TokenText text{.enrol_at = enrol_at, .pin = settings.identity_pin};
  deps.random.fill(text.secret);
  std::vector<store::Change> changes;
  std::vector<model::Peer> peers;
  for (std::uint32_t place = 0; place < wanted.uses; ++place) {
    const std::string name =
        wanted.uses == 1 ? wanted.name : fmt::format("{}-{}", wanted.name, place + 1);
    WARREN_TRY_ASSIGN(model::Peer peer, invited_peer(network, role, name, peers));
    peer.invited = now;
    peer.lease_s = wanted.lease_s.value_or(0);
    peer.person = wanted.person.value_or("");
    WARREN_TRY(check_devices(network, peer, peers));
    changes.emplace_back(store::PutPeer{peer});
    changes.emplace_back(store::DeleteTokensOf{peer.id});
    changes.emplace_back(
        store::PutToken{{.secret_hash = pki::secret_hash(text.secret, place),
                         .network = network.id,
                         .peer = peer.id,
                         .expires = now + std::chrono::seconds(wanted.expires_s)}});
    peers.push_back(std::move(peer));
  }
  const auto fresh = std::ranges::count_if(
      peers, [&](const model::Peer& peer) { return !state.peers.contains(peer.id); });
  if (fresh > 0) {
    WARREN_TRY(check_room(network, static_cast<std::size_t>(fresh)));
    WARREN_TRY(check_role_room(network, role, static_cast<std::size_t>(fresh)));
  }
  WARREN_TRY(commit(changes, request));
  return api::Invitation{.network = network.name,
                         .name = wanted.name,
                         .token = text.write(),
                         .expires = now.seconds() + wanted.expires_s,
                         .uses = wanted.uses};
}

}  // namespace warren::control
