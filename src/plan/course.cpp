#include "plan/course.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace warren::plan {

namespace {

/// Up to this rank facts of the host are there before any namespace.
constexpr int kLastRankBeforeSpaces = 4;

const Fact& shown(const Step& step) { return step.after ? *step.after : *step.before; }
bool is_removal(const Step& step) { return !step.after; }

/// What leaves with a plan, and what becomes of the host's own table.
struct Leaving {
  std::set<std::string> spaces;
  std::set<std::string> host_links;
  bool table_goes = false;
  bool table_changes = false;

  explicit Leaving(const std::vector<Step>& plan) {
    for (const Step& step : plan) {
      if (const auto* space = std::get_if<Namespace>(&shown(step)); space && is_removal(step))
        spaces.insert(space->name);
      const auto* table = std::get_if<Table>(&shown(step));
      if (table == nullptr || !table->netns.empty()) continue;
      table_goes = table_goes || is_removal(step);
      table_changes = table_changes || (step.before && step.after);
    }
    for (const Step& step : plan) {
      const auto* link = std::get_if<Link>(&shown(step));
      const bool leaves = link != nullptr && is_removal(step) && spaces.contains(link->netns);
      if (leaves && !link->host_name.empty()) host_links.insert(link->host_name);
    }
  }

  /// The fact goes with a network that goes.
  [[nodiscard]] bool takes(const Fact& fact) const {
    if (const auto* space = std::get_if<Namespace>(&fact)) return spaces.contains(space->name);
    if (const std::string netns = netns_of(fact); !netns.empty()) return spaces.contains(netns);
    // A table that is replaced must be empty first.
    if (table_changes && std::holds_alternative<Gate>(fact)) return false;
    return host_links.contains(host_link_of(fact));
  }
};

}  // namespace

std::string host_link_of(const Fact& fact) {
  if (!netns_of(fact).empty()) return "";
  if (const auto* address = std::get_if<Address>(&fact)) return address->link;
  if (const auto* route = std::get_if<Route>(&fact)) return route->link;
  if (const auto* gate = std::get_if<Gate>(&fact)) return gate->link;
  const auto* sysctl = std::get_if<Sysctl>(&fact);
  if (sysctl == nullptr) return "";
  constexpr std::string_view kFolder = "/conf/";
  const std::size_t start = sysctl->key.find(kFolder);
  if (start == std::string::npos) return "";
  const std::size_t name = start + kFolder.size();
  return sysctl->key.substr(name, sysctl->key.find('/', name) - name);
}

Course Course::of(const std::vector<Step>& plan) {
  const Leaving leaving(plan);
  Course out;
  std::map<std::string, std::size_t> places;
  for (const Step& step : plan) {
    const Fact& fact = shown(step);
    const bool early = rank_of(fact) <= kLastRankBeforeSpaces;
    if (is_removal(step) && leaving.takes(fact)) {
      out.farewell.push_back(step);
    } else if (std::holds_alternative<Namespace>(fact)) {
      out.spaces.push_back(step);
    } else if (const std::string netns = netns_of(fact); !netns.empty()) {
      const auto [place, is_new] = places.emplace(netns, out.inside.size());
      if (is_new) out.inside.emplace_back(netns, std::vector<Step>{});
      out.inside[place->second].second.push_back(step);
    } else if (is_removal(step)) {
      (early && leaving.table_goes ? out.host_end : out.host_first).push_back(step);
    } else {
      (early ? out.host_first : out.host_last).push_back(step);
    }
  }
  return out;
}

}  // namespace warren::plan
