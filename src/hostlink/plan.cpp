// Theory of operation
//
// For a family with a route that covers an endpoint (or has length 0), three rules stand before the
// host's own, in this order:
//
//   1  all packets                         → main, its default route left out
//   2  UDP from the engine's port (IPv4)   → main
//   3  all packets without the mark        → our table
//
// 1 keeps what the host reaches more exactly: its neighbours, other tunnels. 3 sends all else into
// the tunnel, but not the engine's packets, which go on to the host's own rules. 2 is for
// the way back: where the kernel checks that a packet came in by the link that an answer would
// leave by (rp_filter=1), it asks these rules for that answer, without a mark but with the ports.
// So no setting of the host and no firewall rule has to change. IPv6 has no such check.
#include "hostlink/plan.hpp"

#include <algorithm>

#include "hostlink/limits.hpp"

namespace warren::hostlink {

namespace {

constexpr std::uint32_t kMainPriority = 32766;
constexpr std::uint32_t kHighestTable = UINT32_MAX;

bool covers_endpoint(const base::Prefix& route, const std::vector<base::IpAddress>& endpoints) {
  return route.length == 0 ||
         std::ranges::any_of(endpoints, [&](const auto& one) { return route.contains(one); });
}

void add_rules(const PlanInput& input, base::Family family, std::vector<os::Rule>& rules) {
  rules.push_back({.family = family, .table = kMainTable, .suppresses_default_route = true});
  if (family == base::Family::V4) {
    rules.push_back({.family = family, .table = kMainTable, .udp_source_port = input.port});
  }
  rules.push_back(
      {.family = family, .table = input.own_table, .mark = input.mark, .inverted = true});
}

bool is_connected(const PlanInput& input, const base::Prefix& route) {
  return std::ranges::any_of(input.addresses,
                             [&](const base::Prefix& own) { return own.network() == route; });
}

}  // namespace

base::Result<TableChoice> TableChoice::parse(std::string_view text) {
  TableChoice choice;
  if (text.empty() || text == "auto") return choice;
  choice.automatic = false;
  if (text == "off") return choice;
  choice.number = base::parse_number(text, 1, kHighestTable);
  if (choice.number) return choice;
  return base::make_error(base::ErrorKind::Invalid,
                          "Table = " + std::string(text) + " is no routing table",
                          "write auto, off or a number; names of tables are not looked up");
}

LinkPlan make_plan(const PlanInput& input) {
  LinkPlan plan{.addresses = input.addresses, .mtu = input.mtu, .routes = {}, .rules = {}};
  if (!input.table.automatic) {
    if (!input.table.number) return plan;
    for (const base::Prefix& route : input.routes) {
      plan.routes.push_back({.destination = route, .table = *input.table.number});
    }
    return plan;
  }
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    bool covers = false;
    for (const base::Prefix& route : input.routes) {
      if (route.address.family() != family) continue;
      const bool own = covers_endpoint(route, input.endpoints);
      covers = covers || own;
      if (!own && is_connected(input, route)) continue;  // its address brings the route
      plan.routes.push_back({.destination = route, .table = own ? input.own_table : kMainTable});
    }
    if (covers) add_rules(input, family, plan.rules);
  }
  return plan;
}

std::optional<std::uint32_t> free_table(const std::vector<os::Route>& routes,
                                        const std::vector<os::Rule>& rules,
                                        const std::vector<std::uint32_t>& taken) {
  for (std::uint32_t table = kFirstTable; table < kFirstTable + kTablesTried; ++table) {
    const bool routed = std::ranges::find(routes, table, &os::Route::table) != routes.end();
    const bool named = std::ranges::any_of(
        rules, [&](const os::Rule& rule) { return rule.table == table || rule.mark == table; });
    const bool kept = std::ranges::find(taken, table) != taken.end();
    if (!routed && !named && !kept) return table;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> first_priority(const std::vector<os::Rule>& rules, base::Family family,
                                            std::size_t count) {
  std::uint32_t lowest = kMainPriority;
  for (const os::Rule& rule : rules) {
    if (rule.family == family && rule.priority != 0) lowest = std::min(lowest, rule.priority);
  }
  if (lowest <= count) return std::nullopt;
  return lowest - static_cast<std::uint32_t>(count);
}

}  // namespace warren::hostlink
