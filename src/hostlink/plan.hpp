// What a host is to have for one network. Pure: values in, values out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "os/rtnl.hpp"

namespace warren::hostlink {

/// The table that is everybody's.
inline constexpr std::uint32_t kMainTable = 254;

struct PlannedRoute {
  base::Prefix destination;
  std::uint32_t table = kMainTable;
  bool operator==(const PlannedRoute&) const = default;
};

struct LinkPlan {
  std::vector<base::Prefix> addresses;
  std::uint32_t mtu = 0;
  std::vector<PlannedRoute> routes;
  /// In the order in which they are to be asked; priorities are not chosen yet.
  std::vector<os::Rule> rules;
};

/// The `Table` line of a conf: where routes go. No number: no routes at all.
struct TableChoice {
  bool automatic = true;
  std::optional<std::uint32_t> number;
  /// As wg-quick reads it: empty or "auto", "off", or a number.
  [[nodiscard]] static base::Result<TableChoice> parse(std::string_view text);
};

struct PlanInput {
  std::vector<base::Prefix> addresses;
  std::vector<base::Prefix> routes;  ///< AllowedIPs of all peers
  std::vector<base::IpAddress> endpoints;
  std::uint32_t mtu = 0;
  TableChoice table;
  std::uint32_t own_table = 0;  ///< free on this host
  std::uint32_t mark = 0;       ///< of the engine's packets
  std::uint16_t port = 0;       ///< where the engine listens
};

/// A route that holds an endpoint, or everything, would send the engine's own packets into the
/// tunnel. Such routes go to a table of their own, which packets with the engine's mark do not ask;
/// everybody asks the main table first, but for its default route.
[[nodiscard]] LinkPlan make_plan(const PlanInput& input);

/// A table number in which no route is, that no rule names, as table or mark, and that is not
/// taken.
[[nodiscard]] std::optional<std::uint32_t> free_table(const std::vector<os::Route>& routes,
                                                      const std::vector<os::Rule>& rules,
                                                      const std::vector<std::uint32_t>& taken);

/// The priority of the first of `count` rules, so that they come directly before all that are
/// there but the kernel's own (0). nullopt: there is no room.
[[nodiscard]] std::optional<std::uint32_t> first_priority(const std::vector<os::Rule>& rules,
                                                          base::Family family, std::size_t count);

}  // namespace warren::hostlink
