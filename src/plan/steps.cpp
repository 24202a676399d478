#include "plan/steps.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

namespace warren::plan {

namespace {

using base::ErrorKind;

std::unordered_map<std::string, const Fact*> by_key(const std::vector<Fact>& facts) {
  std::unordered_map<std::string, const Fact*> out;
  for (const Fact& fact : facts) out.emplace(key_of(fact), &fact);
  return out;
}

/// Others can depend on it.
bool is_container(const Fact& fact) {
  return std::holds_alternative<Namespace>(fact) || std::holds_alternative<Table>(fact) ||
         std::holds_alternative<Link>(fact);
}

}  // namespace

base::Status check_names(const std::vector<HostNetwork>& networks, const Environment& environment) {
  for (const HostNetwork& network : networks) {
    const std::string netns = network.netns_name();
    if (const auto at = environment.foreign_namespaces.find(netns);
        at != environment.foreign_namespaces.end())
      return base::make_error(
          ErrorKind::Conflict,
          "create network " + network.name + ": the namespace " + netns + " exists and " +
              at->second,
          "choose another name, or remove it with `ip netns del " + netns + "` when unused");
    for (const std::string& link :
         {network.id.uplink_name(), network.id.interface_name(), network.port_name()}) {
      if (const auto at = environment.foreign_links.find(link);
          at != environment.foreign_links.end())
        return base::make_error(
            ErrorKind::Conflict,
            "create network " + network.name + ": the link " + link + " exists and " + at->second,
            "remove it with `ip link del " + link + "` when unused");
    }
  }
  return {};
}

std::vector<std::string> Step::to_commands(const std::string& instance) const {
  return commands(before ? &*before : nullptr, after ? &*after : nullptr, instance);
}

base::Result<std::vector<Step>> make_plan(const std::vector<HostNetwork>& desired,
                                          const Observed& observed) {
  WARREN_TRY(check_names(desired, observed.environment));
  std::vector<Fact> wanted = desired_facts(desired, observed.environment);
  std::vector<Fact> present = observed.facts;
  std::ranges::stable_sort(wanted, {}, rank_of);
  std::ranges::stable_sort(present, {}, rank_of);
  const auto wanted_by_key = by_key(wanted);
  const auto present_by_key = by_key(present);

  // What goes, and a table that is replaced, takes its dependents along: those still wanted are
  // removed first and made again, so that every step's inverse finds what it needs.
  std::vector<const Fact*> going;
  std::vector<const Fact*> containers;  // those that go, and those that are replaced
  std::unordered_set<std::string> missing;
  for (const Fact& fact : present) {
    const std::string key = key_of(fact);
    const auto same = wanted_by_key.find(key);
    const auto takes = [&](const Fact* container) { return depends_on(fact, *container); };
    if (same == wanted_by_key.end() || std::ranges::any_of(containers, takes)) {
      going.push_back(&fact);
      missing.insert(key);
      if (is_container(fact)) containers.push_back(&fact);
    } else if (std::holds_alternative<Table>(fact) && *same->second != fact) {
      containers.push_back(&fact);
    }
  }

  std::vector<Step> plan;
  for (auto at = going.rbegin(); at != going.rend(); ++at)
    plan.push_back({.before = **at, .after = std::nullopt});
  for (const Fact& fact : wanted) {
    const std::string key = key_of(fact);
    const auto same = present_by_key.find(key);
    if (same == present_by_key.end() || missing.contains(key)) {
      plan.push_back({.before = std::nullopt, .after = fact});
    } else if (*same->second != fact) {
      plan.push_back({.before = *same->second, .after = fact});
    }
  }
  return plan;
}

}  // namespace warren::plan
