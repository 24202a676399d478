#include "model/policy_table.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace warren::model {

namespace {

using GroupPair = std::pair<PolicyGroup, PolicyGroup>;

bool is_named(const Policy& policy, const std::string& name) {
  const auto names = [&](const Party& party) {
    return party.kind == PartyKind::Peer && party.name == name;
  };
  return std::ranges::any_of(policy.rules, [&](const PolicyRule& rule) {
    return std::ranges::any_of(rule.from, names) || std::ranges::any_of(rule.to, names);
  });
}

/// Who of a network has which group.
class Groups {
 public:
  Groups(const Policy& policy, const std::vector<Role>& roles,
         const std::vector<PolicyMember>& members)
      : roles_(roles) {
    std::set<std::string> named;
    for (const Party& party : policy.peers_named()) named.insert(party.name);
    for (const PolicyMember& member : members) {
      if (named.contains(member.name)) named_.push_back(&member);
    }
  }

  [[nodiscard]] std::set<PolicyGroup> of(const std::vector<Party>& parties) const {
    std::set<PolicyGroup> out;
    for (const Party& party : parties) add(party, out);
    return out;
  }

 private:
  void add(const Party& party, std::set<PolicyGroup>& out) const {
    switch (party.kind) {
      case PartyKind::Any:
        out.insert(kEveryMember);
        return;
      case PartyKind::Gateway:
        out.insert(kGatewayGroup);
        return;
      case PartyKind::Internet:
        out.insert(kInternetGroup);
        return;
      case PartyKind::Segment:
        out.insert(kSegmentGroup);
        return;
      case PartyKind::Peer:
        for (const PolicyMember* member : named_) {
          if (member->name == party.name) out.insert(kFirstPeerGroup + member->id);
        }
        return;
      case PartyKind::Role:
        const auto role = find_role(roles_, party.name);
        if (!role) return;
        out.insert(kFirstRoleGroup + role->number);
        for (const PolicyMember* member : named_) {
          if (member->role == role->number) out.insert(kFirstPeerGroup + member->id);
        }
        return;
    }
  }

  const std::vector<Role>& roles_;
  std::vector<const PolicyMember*> named_;
};

/// The same ports without overlaps: everything, or ranges of one protocol each.
std::vector<PortRange> merged(std::vector<PortRange> ranges) {
  if (std::ranges::any_of(ranges, &PortRange::is_everything)) return {PortRange{}};
  std::ranges::sort(ranges);
  std::vector<PortRange> out;
  for (const PortRange& range : ranges) {
    const bool joins = !out.empty() && out.back().first_protocol == range.first_protocol &&
                       range.first_port <= std::uint32_t{out.back().last_port} + 1;
    if (joins) {
      out.back().last_port = std::max(out.back().last_port, range.last_port);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

PolicyGroup PolicyTable::group_of(const base::IpAddress& address) const {
  const auto found = std::ranges::lower_bound(members, address, {}, &GroupMember::address);
  return found != members.end() && found->address == address ? found->group : 0;
}

bool PolicyTable::allows(PolicyGroup from, PolicyGroup to, std::uint8_t protocol,
                         std::uint16_t port) const {
  const auto opens = [&](PolicyGroup a, PolicyGroup b) {
    const auto pair = std::ranges::equal_range(
        rules, GroupPair{a, b}, {}, [](const GroupRule& r) { return GroupPair{r.from, r.to}; });
    return std::ranges::any_of(
        pair, [&](const GroupRule& rule) { return rule.ports.contains(protocol, port); });
  };
  if (from == 0 || to == 0) return false;
  if (from == kGatewayGroup) return true;
  if (to == kGatewayGroup && from != kInternetGroup && is_always_open(protocol, port)) return true;
  const bool from_member = from >= kFirstRoleGroup;
  const bool to_member = to >= kFirstRoleGroup;
  return opens(from, to) || (from_member && opens(kEveryMember, to)) ||
         (to_member && opens(from, kEveryMember)) ||
         (from_member && to_member && opens(kEveryMember, kEveryMember));
}

PolicyGroup group_of(const Policy& policy, const PolicyMember& member) {
  return is_named(policy, member.name) ? kFirstPeerGroup + member.id
                                       : kFirstRoleGroup + member.role;
}

std::vector<GroupMember> members_of(const Policy& policy, const PolicyMember& member) {
  const PolicyGroup group = group_of(policy, member);
  std::vector<GroupMember> out;
  for (const auto& address : {member.address4, member.address6}) {
    if (address) out.push_back({*address, group});
  }
  return out;
}

PolicyTable make_policy_table(const Policy& policy, const std::vector<Role>& roles,
                              const std::vector<PolicyMember>& members,
                              const std::vector<base::IpAddress>& gateway) {
  PolicyTable table;
  std::set<std::string> named;
  for (const Party& party : policy.peers_named()) named.insert(party.name);
  for (const PolicyMember& member : members) {
    const PolicyGroup group =
        named.contains(member.name) ? kFirstPeerGroup + member.id : kFirstRoleGroup + member.role;
    for (const auto& address : {member.address4, member.address6}) {
      if (address) table.members.push_back({*address, group});
    }
  }
  for (const base::IpAddress& address : gateway) {
    table.members.push_back({address, kGatewayGroup});
  }
  std::ranges::sort(table.members);

  const Groups groups(policy, roles, members);
  std::map<GroupPair, std::vector<PortRange>> opened;
  for (const PolicyRule& rule : policy.rules) {
    for (const PolicyGroup from : groups.of(rule.from)) {
      for (const PolicyGroup to : groups.of(rule.to)) {
        auto& ports = opened[{from, to}];
        ports.insert(ports.end(), rule.ports.begin(), rule.ports.end());
      }
    }
  }
  for (auto& [pair, ports] : opened) {
    for (const PortRange& range : merged(std::move(ports))) {
      table.rules.push_back({pair.first, pair.second, range});
    }
  }
  return table;
}

base::Status check_size(const Policy& policy) {
  std::set<std::string> named;
  for (const Party& party : policy.peers_named()) named.insert(party.name);
  const auto width = [&](const std::vector<Party>& parties) {
    std::size_t out = 0;
    for (const Party& party : parties) {
      out += party.kind == PartyKind::Role ? 1 + named.size() : 1;
    }
    return out;
  };
  std::size_t total = 0;
  for (const PolicyRule& rule : policy.rules) {
    total += width(rule.from) * width(rule.to) * rule.ports.size();
    if (total <= kMaxGroupRules) continue;
    return base::make_error(base::ErrorKind::Conflict,
                            "line " + std::to_string(rule.line) +
                                ": with this rule the policy could need more than " +
                                std::to_string(kMaxGroupRules) + " entries in the kernel",
                            "name fewer peers one by one: give them a role and name that");
  }
  return {};
}

}  // namespace warren::model
