// PolicyTable: a policy as a packet filter can hold it.
//
// Every member is in one group; rules are between groups. A group is a role, or a single peer where
// the policy names it, so that rules do not grow with the number of members and a member that comes
// or goes is one entry.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "model/policy.hpp"

namespace warren::model {

/// 0 stands for every member in a rule, and for nobody in the kernel.
using PolicyGroup = std::uint32_t;
inline constexpr PolicyGroup kEveryMember = 0;
inline constexpr PolicyGroup kInternetGroup = 1;
inline constexpr PolicyGroup kGatewayGroup = 2;
inline constexpr PolicyGroup kSegmentGroup = 3;
inline constexpr PolicyGroup kFirstRoleGroup = 16;
inline constexpr PolicyGroup kFirstPeerGroup = 1U << 24;
inline constexpr std::size_t kMaxGroupRules = 65'536;

struct GroupMember {
  base::IpAddress address;
  PolicyGroup group = 0;
  auto operator<=>(const GroupMember&) const = default;
};

struct GroupRule {
  PolicyGroup from = kEveryMember;
  PolicyGroup to = kEveryMember;
  PortRange ports;
  auto operator<=>(const GroupRule&) const = default;
};

/// Both lists are sorted; rules of one pair do not overlap.
struct PolicyTable {
  std::vector<GroupMember> members;
  std::vector<GroupRule> rules;

  /// 0 when the address belongs to nobody.
  [[nodiscard]] PolicyGroup group_of(const base::IpAddress& address) const;
  [[nodiscard]] bool allows(PolicyGroup from, PolicyGroup to, std::uint8_t protocol,
                            std::uint16_t port) const;
  bool operator==(const PolicyTable&) const = default;
};

/// What a table needs to know of a member.
struct PolicyMember {
  std::string name;
  std::uint32_t id = 0;    ///< below kFirstPeerGroup … 2^32
  std::uint32_t role = 0;  ///< its number
  std::optional<base::IpAddress> address4;
  std::optional<base::IpAddress> address6;
};

/// The group of a member under this policy.
[[nodiscard]] PolicyGroup group_of(const Policy& policy, const PolicyMember& member);
/// What a member adds to the table.
[[nodiscard]] std::vector<GroupMember> members_of(const Policy& policy, const PolicyMember& member);
[[nodiscard]] PolicyTable make_policy_table(const Policy& policy, const std::vector<Role>& roles,
                                            const std::vector<PolicyMember>& members,
                                            const std::vector<base::IpAddress>& gateway);
/// Conflict when the table could grow beyond kMaxGroupRules, whoever comes later.
[[nodiscard]] base::Status check_size(const Policy& policy);

}  // namespace warren::model
