// Invitations: a name and an address are reserved, and a one-time secret is made for them. Only the
// secret's hash is kept.
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
  if (!wanted.role.empty()) {
    WARREN_TRY(model::check_peer_name(wanted.role).within("role"));
  }
  if (wanted.expires_s >= kMinTokenLife_s && wanted.expires_s <= kMaxTokenLife_s) return {};
  return make_error(
      ErrorKind::Invalid,
      fmt::format("a token cannot be valid for {}", rough_duration(wanted.expires_s)),
      fmt::format("give --expires from {} s to {} days", kMinTokenLife_s, kMaxTokenLife_s / 86400));
}

/// Where members enrol: as configured, otherwise at the host they will dial anyway.
std::string enrolment_address(const Settings& settings, const model::Network& network) {
  if (!settings.enrol_at.empty()) return settings.enrol_at;
  const bool v6 = network.endpoint_host.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + network.endpoint_host + "]" : network.endpoint_host;
  return fmt::format("{}:{}", host, settings.enrol_port);
}

/// "192.0.2.4-192.0.2.9, …": those of the subnet.
std::string ranges_in(const model::Network& network, const base::Prefix& subnet) {
  std::string out;
  for (const model::AddressRange& range : network.reserved) {
    if (subnet.contains(range.first)) out += (out.empty() ? "" : ", ") + range.to_string();
  }
  return out;
}

base::Result<base::IpAddress> next_address(const model::Network& network,
                                           const base::Prefix& subnet,
                                           const std::vector<base::IpAddress>& taken) {
  const bool v4 = subnet.address.is_v4();
  const auto gateway = v4 ? network.gateway4() : network.gateway6();
  const auto next = model::next_free_address(subnet, taken, gateway, network.reserved);
  if (next) return *next;
  const auto used = std::ranges::count_if(
      taken, [&](const base::IpAddress& address) { return subnet.contains(address); });
  const std::uint64_t reserved = model::count_addresses(network.reserved, subnet);
  std::string message =
      fmt::format("subnet {} is full: {} addresses are used by members", subnet.to_string(), used);
  if (reserved != 0) {
    message += fmt::format(", {} are reserved ({})", reserved, ranges_in(network, subnet));
  }
  return make_error(ErrorKind::Conflict, std::move(message),
                    reserved == 0 ? "revoke a member that is not needed, or make a network with a "
                                    "larger subnet"
                                  : "revoke a member that is not needed, or reserve less: warren "
                                    "network set " +
                                        network.name + " --reserve RANGE");
}

}  // namespace

base::Status Control::Impl::choose_addresses(const model::Network& network, model::Peer& peer) {
  // Addresses of revoked peers count until their ways in are closed.
  std::vector<base::IpAddress> taken;
  for (const auto& [id, other] : state.peers) {
    if (other.network != network.id) continue;
    for (const auto& address : {other.address4, other.address6}) {
      if (address) taken.push_back(*address);
    }
  }
  if (network.subnet4 && !peer.address4) {
    WARREN_TRY_ASSIGN(peer.address4, next_address(network, *network.subnet4, taken));
  }
  if (network.subnet6 && !peer.address6) {
    WARREN_TRY_ASSIGN(peer.address6, next_address(network, *network.subnet6, taken));
  }
  return {};
}

base::Status Control::Impl::check_room(const model::Network& network) const {
  const auto members = std::ranges::count_if(state.peers, [&](const auto& entry) {
    return entry.second.network == network.id && entry.second.state != model::PeerState::Revoked;
  });
  if (static_cast<std::size_t>(members) < kMaxPeersPerNetwork) return {};
  return make_error(
      ErrorKind::Conflict,
      fmt::format("network {} has {} members, the most it may", network.name, kMaxPeersPerNetwork),
      "revoke a member that is not needed");
}

base::Result<api::Invitation> Control::Impl::invite(const Request& request,
                                                    const std::string& network_name,
                                                    const api::InviteRequest& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  WARREN_TRY(check_request(wanted));
  const std::string enrol_at = enrolment_address(settings, network);
  if (const auto parts = base::HostPort::parse(enrol_at); !parts || parts->port == 0) {
    return make_error(ErrorKind::Invalid, "it is not known where members shall enrol",
                      "set the endpoint of this gateway in warren.yaml and reload");
  }
  const base::WallTime now = deps.clock.wall();
  model::Peer peer;
  if (const model::Peer* other = current_peer(network.id, wanted.name)) {
    const bool lapsed = other->state == model::PeerState::Invited &&
                        std::ranges::none_of(state.tokens, [&](const model::Token& token) {
                          return token.peer == other->id && token.expires > now;
                        });
    if (!lapsed) return name_in_use(network, *other);
    peer = *other;  // keeps its id and its addresses, as one that waits for its key does
  } else {
    WARREN_TRY(check_room(network));
    peer.id = {state.next_peer_id};
    WARREN_TRY(choose_addresses(network, peer));
  }
  peer.network = network.id;
  peer.name = wanted.name;
  peer.role = wanted.role;
  peer.invited = now;

  model::TokenText text{.enrol_at = enrol_at, .pin = settings.identity_pin};
  deps.random.fill(text.secret);
  const model::Token token{.secret_hash = pki::secret_hash(text.secret),
                           .network = network.id,
                           .peer = peer.id,
                           .expires = now + std::chrono::seconds(wanted.expires_s)};
  WARREN_TRY(commit({store::PutPeer{peer}, store::DeleteTokensOf{peer.id}, store::PutToken{token}},
                    request));
  return api::Invitation{network.name, peer.name, text.write(), token.expires.seconds()};
}

}  // namespace warren::control
