// A network's policy in its namespace: one nftables table of our own, whose maps hold the members
// and the rules.
#pragma once

#include <string>
#include <vector>

#include "model/policy_table.hpp"
#include "plan/host_network.hpp"

namespace warren::plan {

/// The table (family inet) that holds a policy, beside kNamespaceTable, which it only narrows.
inline constexpr const char* kPolicyTable = "warren_policy";

/// Exactly as `nft --terse list table` shows it.
[[nodiscard]] std::string policy_table_text(const HostNetwork& network);

/// An entry of one of the table's maps.
struct PolicyElement {
  std::string map;
  std::string key;
  std::string value;
};
[[nodiscard]] PolicyElement element_of(const model::GroupMember& member);
[[nodiscard]] PolicyElement element_of(const model::GroupRule& rule);

/// From one table to another, as the commands of one nft transaction; empty when they are equal.
[[nodiscard]] std::string policy_script(const model::PolicyTable& before,
                                        const model::PolicyTable& after);
/// Members that go, which may be gone already, and members that come.
[[nodiscard]] std::string members_script(const std::vector<model::GroupMember>& gone,
                                         const std::vector<model::GroupMember>& come);
/// Whether `after` denies something that `before` allowed, or might.
[[nodiscard]] bool is_tighter(const model::PolicyTable& before, const model::PolicyTable& after);

}  // namespace warren::plan
