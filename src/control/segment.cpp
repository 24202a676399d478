// Networks that are served into what exists: members on a segment of the host's (`--attach`), and
// the host on a network (`--host-access`).
//
// The hosts of a segment have addresses that nobody here knows of. Before one is handed out the
// segment is asked who has it; what was asked a moment ago is not asked again, so that thousands of
// peers are a few questions. A host that is off now may come back later: ranges for such hosts are
// reserved, or roles have ranges that they never get (docs/design/0022-attach.md). When a member is
// admitted its address is asked for once more: from then on it is answered for.
//
// Several networks may be on one link: what one of them has, its members' addresses and its
// gateway's, no other gets, whether anybody answers for it or not.
//
// A segment may vanish and come back; the plan follows what is there, `status` and `verify` say
// when it is not.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

}  // namespace

base::Status Control::Impl::choose_attach(const api::NetworkCreate& wanted,
                                          model::Network& network) {
  if (!wanted.attach || wanted.attach->empty()) return {};
  const std::string link = one_line(*wanted.attach, 80);
  if (!wanted.subnet && !wanted.subnet6) {
    return make_error(ErrorKind::Invalid,
                      "a network that is attached to a segment has the segment's subnet",
                      "give it, as in --attach " + link + " --subnet 10.20.0.0/24");
  }
  WARREN_TRY_ASSIGN(const plan::SegmentFacts segment,
                    deps.host.find_segment(*wanted.attach).within("attach to " + link));
  network.attach = *wanted.attach;
  for (const auto& subnet : {network.subnet4, network.subnet6}) {
    if (!subnet) continue;
    const auto differs = [&](const base::Prefix& own) {
      return own.address.family() == subnet->address.family() && subnet->contains(own.address) &&
             own.length != subnet->length;
    };
    const auto other = std::ranges::find_if(segment.addresses, differs);
    if (other == segment.addresses.end()) continue;
    return make_error(ErrorKind::Conflict,
                      fmt::format("{} has the address {} of this host, so its segment's subnet is "
                                  "{} and not {}",
                                  network.attach, other->to_string(), other->network().to_string(),
                                  subnet->to_string()),
                      "give the segment's own subnet; --reserve or a role's range says which part "
                      "of it is the members'");
  }
  std::vector<base::IpAddress> gateway;
  for (const auto& address : {network.gateway4(), network.gateway6()}) {
    if (address) gateway.push_back(*address);
  }
  return check_unused(network, gateway, "give the gateway a free address with --gateway-address");
}

std::vector<std::string> Control::Impl::segment_warnings(const model::Network& network) const {
  std::vector<std::string> out;
  if (network.attach.empty()) return out;
  const auto segment = deps.host.find_segment(network.attach);
  if (!segment) return out;
  if (!segment->up) out.push_back(network.attach + " is down: nothing passes until it is up");
  if (!segment->is_bridge) {
    out.push_back(
        fmt::format("{} is no bridge: this host itself does not reach the members, nor "
                    "they it; all others on the wire do",
                    network.attach));
  }
  if (network.reserved.empty() && network.roles.empty()) {
    out.push_back(fmt::format(
        "nothing is reserved: a host of {} that is off now may have an address that a member gets; "
        "keep the range of its DHCP server out with --reserve",
        network.attach));
  }
  return out;
}

base::Status Control::Impl::check_host_access(const model::Network& network) const {
  for (const auto& subnet : {network.subnet4, network.subnet6}) {
    if (!subnet) continue;
    for (const auto& [id, stored] : state.networks) {
      const model::Network& other = stored.network;
      if (id == network.id || !other.host_access) continue;
      const auto& theirs = subnet->address.is_v4() ? other.subnet4 : other.subnet6;
      if (!theirs || !theirs->overlaps(*subnet)) continue;
      return make_error(ErrorKind::Conflict,
                        fmt::format("this host reaches {} in network {} already",
                                    theirs->to_string(), other.name),
                        fmt::format("one of them can have it: warren network set {} "
                                    "--no-host-access",
                                    other.name));
    }
    WARREN_TRY_ASSIGN(const std::vector<std::string> routes, deps.host.overlapping_routes(*subnet));
    if (routes.empty()) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("{} is taken by this host's route {}", subnet->to_string(), routes.front()),
        "the host cannot reach both; leave --host-access out, or choose another "
        "subnet");
  }
  return {};
}

base::Status Control::Impl::look_at_segment(const model::Network& network,
                                            const std::vector<base::IpAddress>& addresses) {
  if (network.attach.empty()) return {};
  const base::Instant now = deps.clock.now();
  std::erase_if(seen_on_segment,
                [&](const auto& seen) { return now - seen.second.when > kSegmentBelieved; });
  std::vector<base::IpAddress> asked;
  for (const base::IpAddress& address : addresses) {
    if (!seen_on_segment.contains({network.id, address})) asked.push_back(address);
  }
  if (asked.empty()) return {};
  const auto occupants =
      deps.host.find_occupants(plan::host_network(network, settings.transit), asked);
  if (!occupants) {
    // Nobody is there to be in the way where the segment is not there.
    if (occupants.error().kind == ErrorKind::NotFound) return {};
    return base::Error(occupants.error()).within("look for addresses in use");
  }
  for (const base::IpAddress& address : asked) {
    seen_on_segment[{network.id, address}] = {.owner = {}, .when = now};
  }
  for (const plan::Occupant& one : *occupants) {
    seen_on_segment[{network.id, one.address}] = {.owner = one.owner, .when = now};
  }
  return {};
}

std::string Control::Impl::owner_beside(const model::Network& network,
                                        const base::IpAddress& address) const {
  if (network.attach.empty()) return {};
  for (const auto& [id, stored] : state.networks) {
    const model::Network& other = stored.network;
    if (id == network.id || other.attach != network.attach) continue;
    const auto gateway = address.is_v4() ? other.gateway4() : other.gateway6();
    if (gateway == address) return "the gateway of network " + other.name;
    const model::Peer* holder = index.holder(id, address);
    if (holder != nullptr) return fmt::format("{} of network {}", holder->name, other.name);
  }
  return {};
}

std::optional<model::AddressRange> Control::Impl::held_beside(
    const model::Network& network, const base::IpAddress& address) const {
  for (const auto& [id, stored] : state.networks) {
    const model::Network& other = stored.network;
    if (network.attach.empty() || id == network.id || other.attach != network.attach) continue;
    const auto gateway = address.is_v4() ? other.gateway4() : other.gateway6();
    if (gateway == address) return model::AddressRange{address, address};
    const PeerIndex::ByAddress& held = index.addresses(id);
    auto at = held.find(address);
    if (at == held.end()) continue;
    base::IpAddress last = address;
    for (++at; at != held.end() && at->first == last.plus(1); ++at) last = at->first;
    return model::AddressRange{address, last};
  }
  return std::nullopt;
}

std::string Control::Impl::seen_owner(const model::Network& network,
                                      const base::IpAddress& address) const {
  const auto seen = seen_on_segment.find({network.id, address});
  return seen == seen_on_segment.end() ? std::string() : seen->second.owner;
}

base::Status Control::Impl::check_unused(const model::Network& network,
                                         const std::vector<base::IpAddress>& addresses,
                                         const std::string& hint) {
  const auto refuse = [&](const base::IpAddress& address, const std::string& owner) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("address {} belongs to {} on {} already", address.to_string(),
                                  owner, network.attach),
                      hint);
  };
  // What another network of ours has is known better than the wire tells it: nobody answers for a
  // member that is invited, and none of our own stations for each other.
  for (const base::IpAddress& address : addresses) {
    const std::string owner = owner_beside(network, address);
    if (!owner.empty()) return refuse(address, owner);
  }
  WARREN_TRY(look_at_segment(network, addresses));
  for (const base::IpAddress& address : addresses) {
    const std::string owner = seen_owner(network, address);
    if (!owner.empty()) return refuse(address, owner);
  }
  return {};
}

base::Result<base::IpAddress> Control::Impl::next_beside(const model::Network& network,
                                                         const model::Role& role,
                                                         const base::Prefix& subnet,
                                                         std::vector<model::AddressRange>& taken) {
  for (;;) {
    WARREN_TRY_ASSIGN(const base::IpAddress next, next_address(network, role, subnet, taken));
    const auto held = held_beside(network, next);
    if (!held) return next;
    taken.push_back(*held);
  }
}

std::vector<base::IpAddress> Control::Impl::next_to_ask(const model::Network& network,
                                                        const model::Role& role,
                                                        const base::Prefix& subnet,
                                                        std::vector<model::AddressRange> taken) {
  std::vector<base::IpAddress> asked;
  while (asked.size() < kAskedTogether) {
    const auto next = next_beside(network, role, subnet, taken);
    if (!next) break;  // whoever needs it says that the range is full
    if (asked.empty() && seen_on_segment.contains({network.id, *next})) break;
    taken.push_back({*next, *next});
    asked.push_back(*next);
  }
  return asked;
}

base::Status Control::Impl::look_ahead(const model::Network& network, const model::Role& role,
                                       const model::Peer& peer,
                                       const std::vector<model::AddressRange>& taken) {
  if (network.attach.empty()) return {};
  std::vector<base::IpAddress> asked;
  if (network.subnet4 && !peer.address4) {
    asked = next_to_ask(network, role, *network.subnet4, taken);
  }
  if (network.subnet6 && !peer.address6) {
    const auto more = next_to_ask(network, role, *network.subnet6, taken);
    asked.insert(asked.end(), more.begin(), more.end());
  }
  return look_at_segment(network, asked);
}

base::Result<base::IpAddress> Control::Impl::next_unused(const model::Network& network,
                                                         const model::Role& role,
                                                         const base::Prefix& subnet,
                                                         std::vector<model::AddressRange> taken) {
  if (network.attach.empty()) return next_address(network, role, subnet, taken);
  for (;;) {
    WARREN_TRY_ASSIGN(const base::IpAddress next, next_beside(network, role, subnet, taken));
    WARREN_TRY(look_at_segment(network, next_to_ask(network, role, subnet, taken)));
    if (seen_owner(network, next).empty()) return next;
    taken.push_back({next, next});
  }
}

std::vector<base::IpAddress> Control::Impl::attached_members(const model::Network& network) const {
  std::vector<base::IpAddress> out;
  const base::WallTime now = deps.clock.wall();
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state != model::PeerState::Enrolled || peer->is_over(now)) continue;
    for (const auto& address : {peer->address4, peer->address6}) {
      if (address) out.push_back(*address);
    }
  }
  std::ranges::sort(out);
  return out;
}

base::Status Control::Impl::change_attachment(const model::Peer& peer, bool comes) {
  const model::Network& network = state.networks.at(peer.network).network;
  if (network.attach.empty() || unapplied.contains(network.id)) return {};
  std::vector<base::IpAddress> addresses;
  for (const auto& address : {peer.address4, peer.address6}) {
    if (address) addresses.push_back(*address);
  }
  // Whoever wants it next asks the segment again.
  for (const base::IpAddress& address : addresses) seen_on_segment.erase({network.id, address});
  const std::vector<base::IpAddress> none;
  const base::Status done =
      deps.host.change_attached_members(plan::host_network(network, settings.transit),
                                        comes ? none : addresses, comes ? addresses : none);
  return done ? base::Status() : reconcile_host();
}

base::Status Control::Impl::check_segment(const model::Network& network) const {
  if (network.attach.empty()) return {};
  const auto segment = deps.host.find_segment(network.attach);
  if (!segment) {
    return base::Error(segment.error())
        .within("its members are cut off from the segment of " + network.attach);
  }
  if (segment->up) return {};
  return make_error(
      ErrorKind::Unavailable,
      fmt::format("its members are cut off from the segment of {0}: {0} is down", network.attach),
      fmt::format("ip link set {} up", network.attach));
}

std::map<model::NetworkId, std::optional<std::uint32_t>> Control::Impl::present_segments() const {
  std::map<model::NetworkId, std::optional<std::uint32_t>> out;
  for (const auto& [id, stored] : state.networks) {
    if (stored.network.attach.empty() || unapplied.contains(id)) continue;
    const auto segment = deps.host.find_segment(stored.network.attach);
    out[id] = segment ? std::optional(segment->index) : std::nullopt;
  }
  return out;
}

void Control::Impl::follow_segments() {
  const auto there = present_segments();
  if (there == known_segments) return;
  for (const auto& [id, link] : there) {
    const auto known = known_segments.find(id);
    if (known != known_segments.end() && known->second == link) continue;
    const model::Network& network = state.networks.at(id).network;
    log(link ? base::LogLevel::Info : base::LogLevel::Warning,
        fmt::format("network={} segment={} {}", network.name, network.attach,
                    link ? "is there again" : "is gone"));
  }
  if (const base::Status done = reconcile_host(); !done) {
    host_to_reconcile = true;
    host_problem = done.error().message;
  }
}

}  // namespace warren::control
