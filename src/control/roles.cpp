// Roles: who belongs to a network as what, and where their addresses come from.
//
// The ranges lie inside the network's subnets and apart from each other, so that an address tells
// its role. Adding or changing one is a grant that touches nothing but the state: members keep what
// they have, and what they have must fit.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

std::string text_of(const std::optional<model::AddressRange>& range) {
  return range ? range->to_string() : std::string();
}

base::Result<std::optional<model::AddressRange>> parse_range(const std::string& text,
                                                             const model::Network& network,
                                                             base::Family family) {
  if (text.empty() || text == "none") return std::optional<model::AddressRange>();
  const bool v4 = family == base::Family::V4;
  const auto range = model::AddressRange::parse(text);
  if (!range || range->first.family() != family) {
    return make_error(ErrorKind::Invalid,
                      fmt::format("\"{}\" is no range of {} addresses", one_line(text, 100),
                                  v4 ? "IPv4" : "IPv6"),
                      v4 ? "write it like 10.20.1.0/24 or 10.20.0.100-10.20.0.199"
                         : "write it like fd12:3456:789a::1:0/112");
  }
  const auto& subnet = v4 ? network.subnet4 : network.subnet6;
  if (subnet && subnet->contains(range->first) && subnet->contains(range->last)) return range;
  return make_error(ErrorKind::Invalid,
                    fmt::format("the range {} is not inside the network's {}", range->to_string(),
                                subnet ? "subnet " + subnet->to_string() : "subnets"),
                    "roles share the subnet of their network: give a part of it");
}

base::Status check_apart(const model::Role& role, const model::Network& network) {
  for (const model::Role& other : network.roles) {
    if (other.name == role.name) continue;
    for (const base::Family family : {base::Family::V4, base::Family::V6}) {
      const auto& own = role.range(family);
      const auto& theirs = other.range(family);
      if (!own || !theirs || own->last < theirs->first || theirs->last < own->first) continue;
      return make_error(ErrorKind::Conflict,
                        fmt::format("the range {} overlaps {}, that of role {}", own->to_string(),
                                    theirs->to_string(), other.name),
                        "choose another range");
    }
  }
  return {};
}

base::Status check_membership(std::uint32_t span_s) {
  if (span_s == 0 || (span_s >= kMinMembership_s && span_s <= kMaxMembership_s)) return {};
  return make_error(ErrorKind::Invalid,
                    fmt::format("a membership cannot last {}", rough_duration(span_s)),
                    fmt::format("give --expires from {} s to {} days", kMinMembership_s,
                                kMaxMembership_s / 86400));
}

/// How many addresses a member of the role may come to have.
std::string ranges_of(const std::vector<model::AddressRange>& ranges, const base::Prefix& subnet) {
  std::string out;
  for (const model::AddressRange& range : ranges) {
    if (subnet.contains(range.first)) out += (out.empty() ? "" : ", ") + range.to_string();
  }
  return out;
}

}  // namespace

std::string Control::Impl::default_role(const model::Network& network) {
  return network.default_role.empty() ? std::string(model::kDefaultRole) : network.default_role;
}

base::Result<model::Role> Control::Impl::role_for(const model::Network& network,
                                                  const std::string& wanted) {
  // "default" was the name of the only role there was.
  const bool left_out = wanted.empty() || (wanted == "default" &&
                                           !model::find_role(network.roles, wanted).has_value());
  const std::string name = left_out ? default_role(network) : wanted;
  if (auto role = model::find_role(network.roles, name)) return std::move(*role);
  std::vector<std::string> names{std::string(model::kDefaultRole)};
  for (const model::Role& role : network.roles) names.push_back(role.name);
  base::Error error = unknown_name(
      fmt::format("network {} has no role \"{}\"", network.name, one_line(name, 80)), name, names,
      fmt::format("`warren role list {}` shows all, `warren role add {} {}` makes it", network.name,
                  network.name, one_line(name, 80)));
  error.kind = ErrorKind::Invalid;
  return error;
}

base::Status Control::Impl::check_role_address(const model::Network& network,
                                               const model::Role& role,
                                               const base::IpAddress& address) const {
  return model::check_role_address(role, network.roles, address);
}

base::Result<base::IpAddress> Control::Impl::next_address(
    const model::Network& network, const model::Role& role, const base::Prefix& subnet,
    const std::vector<model::AddressRange>& also) {
  const bool v4 = subnet.address.is_v4();
  const auto gateway = v4 ? network.gateway4() : network.gateway6();
  std::vector<model::AddressRange> barred = network.reserved;
  const auto others = model::barred_for(role, network.roles, network.subnet4, network.subnet6);
  barred.insert(barred.end(), others.begin(), others.end());
  const auto next =
      index.next_free(network.id, role.name, subnet,
                      gateway.value_or(subnet.network().address.plus(1)), barred, also);
  if (next) return *next;

  const auto& own = role.range(subnet.address.family());
  const auto inside = [&](const base::IpAddress& address) {
    return own ? own->contains(address) : subnet.contains(address);
  };
  std::vector<model::AddressRange> held = also;
  for (const auto& [address, peer] : index.addresses(network.id))
    held.push_back({address, address});
  std::erase_if(held, [&](const model::AddressRange& range) {
    return !inside(range.first) && !inside(range.last);
  });
  const std::uint64_t used = model::count_addresses(held, subnet);
  std::string message =
      own ? fmt::format("the range {} of role {} is full: {} addresses are used by members",
                        own->to_string(), role.name, used)
          : fmt::format("subnet {} is full: {} addresses are used by members", subnet.to_string(),
                        used);
  std::vector<model::AddressRange> reserved;
  for (model::AddressRange range : network.reserved) {
    if (own && (range.last < own->first || own->last < range.first)) continue;
    if (own) range = {std::max(range.first, own->first), std::min(range.last, own->last)};
    reserved.push_back(range);
  }
  const std::uint64_t kept = model::count_addresses(reserved, subnet);
  if (kept != 0) {
    message += fmt::format(", {} are reserved ({})", kept, ranges_of(reserved, subnet));
  }
  if (own && model::is_subnet4(*own))
    message += "; its first and last address are given only to who asks for them";
  const std::string kept_off = own ? std::string() : ranges_of(others, subnet);
  if (!kept_off.empty())
    message += fmt::format("; the ranges of other roles are theirs ({})", kept_off);
  std::string hint = "revoke a member that is not needed, or make a network with a larger subnet";
  if (kept != 0) {
    hint = fmt::format(
        "revoke a member that is not needed, or reserve less: warren network set {} --reserve "
        "RANGE",
        network.name);
  } else if (own) {
    hint = fmt::format(
        "revoke a member that is not needed, or widen it: warren role set {} {} --range RANGE",
        network.name, role.name);
  }
  return make_error(ErrorKind::Conflict, std::move(message), std::move(hint));
}

std::size_t Control::Impl::members_of_role(const model::Network& network,
                                           const std::string& role) const {
  return index.members(network.id, role);
}

base::Status Control::Impl::check_role_room(const model::Network& network, const model::Role& role,
                                            std::size_t more) const {
  if (role.max_members == 0) return {};
  const std::size_t members = members_of_role(network, role.name);
  if (members + more <= role.max_members) return {};
  return make_error(
      ErrorKind::Conflict,
      fmt::format("role {} of network {} has {} members, and may have {}", role.name, network.name,
                  members, role.max_members),
      fmt::format("revoke one that is not needed, or allow more: warren role set {} {} "
                  "--max-members N",
                  network.name, role.name));
}

base::Result<model::Role> Control::Impl::changed_role(const model::Network& network,
                                                      model::Role role,
                                                      const api::RoleSet& wanted) const {
  if (wanted.range) {
    WARREN_TRY_ASSIGN(role.range4, parse_range(*wanted.range, network, base::Family::V4));
  }
  if (wanted.range6) {
    WARREN_TRY_ASSIGN(role.range6, parse_range(*wanted.range6, network, base::Family::V6));
  }
  if (wanted.max_members) role.max_members = *wanted.max_members;
  if (wanted.expires_s) role.membership_s = *wanted.expires_s;
  WARREN_TRY(check_membership(role.membership_s));
  WARREN_TRY(check_apart(role, network));
  for (const auto& [address, peer] : index.addresses(network.id)) {
    const auto& range = role.range(address.family());
    if (!range || range->contains(address) == (peer->role == role.name)) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("{} has the address {}, which is {} the range {}", peer->name,
                    address.to_string(), peer->role == role.name ? "outside" : "inside",
                    range->to_string()),
        "choose another range, or revoke that member first");
  }
  return role;
}

api::RoleView Control::Impl::role_view(const model::Network& network,
                                       const model::Role& role) const {
  return {.network = network.name,
          .name = role.name,
          .range = text_of(role.range4),
          .range6 = text_of(role.range6),
          .members = static_cast<std::uint32_t>(members_of_role(network, role.name)),
          .max_members = role.max_members,
          .expires_s = role.membership_s,
          .is_default = role.name == default_role(network)};
}

base::Result<api::RoleList> Control::Impl::list_roles(const std::string& network_name) const {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  api::RoleList list;
  std::vector<model::Role> roles = network.roles;
  if (std::ranges::find(roles, model::kDefaultRole, &model::Role::name) == roles.end()) {
    roles.push_back(*model::find_role({}, model::kDefaultRole));
  }
  std::ranges::sort(roles, {}, &model::Role::name);
  for (const model::Role& role : roles) list.roles.push_back(role_view(network, role));
  return list;
}

base::Status Control::Impl::insert_role(model::Network& network, const api::RoleAdd& wanted) const {
  WARREN_TRY(model::check_role_name(wanted.name));
  if (std::ranges::find(network.roles, wanted.name, &model::Role::name) != network.roles.end()) {
    return make_error(
        ErrorKind::Conflict,
        fmt::format("network {} has a role {} already", network.name, wanted.name),
        fmt::format("change it with `warren role set {} {}`", network.name, wanted.name));
  }
  if (network.roles.size() >= kMaxRoles) {
    return make_error(ErrorKind::Conflict, fmt::format("a network may have {} roles", kMaxRoles),
                      "delete one that is not needed");
  }
  WARREN_TRY(check_unnamed(network, wanted.name));
  model::Role role{.name = wanted.name, .range4 = {}, .range6 = {}};
  if (wanted.name != model::kDefaultRole) {
    for (const model::Role& other : network.roles)
      role.number = std::max(role.number, other.number);
    ++role.number;
  }
  const api::RoleSet limits{.range = wanted.range,
                            .range6 = wanted.range6,
                            .max_members = wanted.max_members,
                            .expires_s = wanted.expires_s};
  WARREN_TRY_ASSIGN(role, changed_role(network, std::move(role), limits));
  network.roles.insert(std::ranges::upper_bound(network.roles, role.name, {}, &model::Role::name),
                       role);
  return {};
}

base::Result<api::RoleView> Control::Impl::add_role(const Request& request,
                                                    const std::string& network_name,
                                                    const api::RoleAdd& wanted) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(network_name));
  WARREN_TRY(insert_role(network, wanted));
  WARREN_TRY(commit_network(request, network));
  return role_view(network, *model::find_role(network.roles, wanted.name));
}

base::Result<api::RoleView> Control::Impl::set_role(const Request& request,
                                                    const std::string& network_name,
                                                    const std::string& name,
                                                    const api::RoleSet& wanted) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(network_name));
  WARREN_TRY_ASSIGN(const model::Role before, role_for(network, name));
  WARREN_TRY_ASSIGN(const model::Role role, changed_role(network, before, wanted));
  std::erase_if(network.roles, [&](const model::Role& one) { return one.name == name; });
  network.roles.insert(std::ranges::upper_bound(network.roles, role.name, {}, &model::Role::name),
                       role);
  if (role != before) WARREN_TRY(commit_network(request, network));
  return role_view(network, role);
}

base::Status Control::Impl::delete_role(const Request& request, const std::string& network_name,
                                        const std::string& name) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(network_name));
  WARREN_TRY_ASSIGN(const model::Role role, role_for(network, name));
  if (role.name == model::kDefaultRole) {
    return make_error(ErrorKind::Conflict, fmt::format("every network has the role {}", role.name),
                      "`warren role set` takes its range and limits away");
  }
  if (role.name == default_role(network)) {
    return make_error(
        ErrorKind::Conflict,
        fmt::format("role {} is what members of network {} get", role.name, network.name),
        fmt::format("choose another first: warren network set {} --default-role member",
                    network.name));
  }
  if (const std::size_t members = members_of_role(network, role.name); members != 0) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("role {} has {} members", role.name, members),
                      "revoke them first");
  }
  WARREN_TRY(check_unnamed(network, role.name));
  std::erase(network.roles, role);
  return commit_network(request, network);
}

}  // namespace warren::control
