// Role: a class of members of a network, with its own share of the address plan and its limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/address_range.hpp"

namespace warren::model {

/// The role of whoever is given no other. Every network has it, with the whole plan (what other
/// roles hold apart), unless it says otherwise.
inline constexpr std::string_view kDefaultRole = "member";

struct Role {
  /// Never changes and is not given twice in a network: names the role's members in the kernel. 0
  /// is the default role's alone.
  std::uint32_t number = 0;
  std::string name;
  /// Where its members' addresses come from; absent: whatever no other role holds.
  std::optional<AddressRange> range4;
  std::optional<AddressRange> range6;
  std::uint32_t max_members = 0;   ///< 0: as many as the network may have
  std::uint32_t membership_s = 0;  ///< how long a membership lasts; 0: until it is ended

  [[nodiscard]] const std::optional<AddressRange>& range(base::Family family) const {
    return family == base::Family::V4 ? range4 : range6;
  }
  bool operator==(const Role&) const = default;
};

/// As a peer's name, and none of the words that policies use for something else.
[[nodiscard]] base::Status check_role_name(std::string_view name);
/// The role of this name; the default role is there without being listed.
[[nodiscard]] std::optional<Role> find_role(const std::vector<Role>& roles, std::string_view name);
/// Whether a member of this role may ask for this address: inside the role's range (Invalid), and
/// where it has none, in no other role's (Conflict).
[[nodiscard]] base::Status check_role_address(const Role& role, const std::vector<Role>& roles,
                                              const base::IpAddress& address);
/// Whether an IPv4 range is one that a subnet could be (10.20.1.0/24), of four addresses at least.
[[nodiscard]] bool is_subnet4(const AddressRange& range);
/// What a member of this role is not given, besides what is reserved: of each family everything
/// outside its own range, or, without one, what lies in other roles' ranges. Of an IPv4 range that
/// is_subnet4() also the first and the last address: to the network they are like any other, and
/// who asks for one gets it, but many a foreign device takes them for the subnet's own and for
/// broadcast.
[[nodiscard]] std::vector<AddressRange> barred_for(const Role& role, const std::vector<Role>& roles,
                                                   const std::optional<base::Prefix>& subnet4,
                                                   const std::optional<base::Prefix>& subnet6);

}  // namespace warren::model
