#include "plan/fake_host.hpp"

#include <algorithm>

namespace warren::plan {

namespace {

using base::ErrorKind;

// The link that a fact needs, as (namespace, name).
std::optional<std::pair<std::string, std::string>> link_of(const Fact& fact) {
  if (const auto* address = std::get_if<Address>(&fact)) return {{address->netns, address->link}};
  if (const auto* route = std::get_if<Route>(&fact)) return {{route->netns, route->link}};
  if (const auto* proxy = std::get_if<ProxyNeighbour>(&fact)) return {{proxy->netns, proxy->link}};
  return std::nullopt;
}

}  // namespace

FakeHost::FakeHost() {
  environment.instance = "fake";
  environment.force_forwarding6 = true;
  environment.uplinks = {{.link = "eth0", .routes4 = true, .routes6 = true}};
}

base::Result<Observed> FakeHost::observe() {
  Observed out{.environment = environment, .facts = {}};
  for (const auto& [key, fact] : facts) out.facts.push_back(fact);
  return out;
}

base::Status FakeHost::apply(const Step& step) {
  const std::size_t call = applied++;
  if (failing.contains(call)) return base::make_error(ErrorKind::Failed, "injected failure");
  if (!step.before && !step.after) return base::make_error(ErrorKind::Internal, "an empty step");
  const Fact& fact = step.after ? *step.after : *step.before;
  const std::string key = key_of(fact);
  const bool present = facts.contains(key);
  if (present != step.before.has_value())
    return base::make_error(present ? ErrorKind::Conflict : ErrorKind::NotFound,
                            key + (present ? ": exists" : ": does not exist"));
  if (step.before && facts.at(key) != *step.before)
    return base::make_error(ErrorKind::Conflict, key + ": is not as the step expects");
  const auto depends = [&](const auto& entry) { return depends_on(entry.second, fact); };
  // A table is replaced whole, so that what is in its sets would be lost.
  const bool empties = step.before && (!step.after || std::holds_alternative<Table>(fact));
  if (empties && std::ranges::any_of(facts, depends))
    return base::make_error(ErrorKind::Conflict, key + ": others depend on it");
  if (!step.after) {
    facts.erase(key);
    return {};
  }
  if (const std::string netns = netns_of(fact);
      !netns.empty() && !facts.contains(key_of(Namespace{netns})))
    return base::make_error(ErrorKind::NotFound, key + ": no namespace " + netns);
  if (const auto link = link_of(fact)) {
    const auto is_it = [&](const auto& entry) {
      return depends_on(fact, entry.second) && std::holds_alternative<Link>(entry.second);
    };
    if (std::ranges::none_of(facts, is_it))
      return base::make_error(ErrorKind::NotFound, key + ": no link " + link->second);
  }
  facts.insert_or_assign(key, fact);
  return {};
}

base::Result<std::size_t> FakeHost::flush_connections(
    const HostNetwork&, const std::vector<base::IpAddress>& addresses) {
  flushed.insert(flushed.end(), addresses.begin(), addresses.end());
  return addresses.size();
}

base::Status FakeHost::check_transit(const TransitPool& pool) {
  for (const base::Prefix& route : routes)
    if (route.overlaps(pool.v4) || route.overlaps(pool.v6))
      return base::make_error(ErrorKind::Conflict,
                              "the transit pool overlaps the host's route " + route.to_string());
  return {};
}

base::Result<std::size_t> FakeHost::close_forwards(const HostNetwork& network,
                                                   const std::vector<HostForward>& forwards) {
  for (const HostForward& forward : forwards) {
    for (const PortForward& fact : forward_facts(network, forward, environment.host_table()))
      facts.erase(key_of(fact));
    closed_forwards.push_back(forward.from);
  }
  return forwards.size();
}

base::Status FakeHost::change_policy_members(const HostNetwork& network,
                                             const std::vector<model::GroupMember>& gone,
                                             const std::vector<model::GroupMember>& come) {
  const auto found = facts.find(key_of(PolicyFilter{.netns = network.netns_name()}));
  if (found == facts.end()) return base::make_error(ErrorKind::NotFound, "no policy is there");
  auto& members = std::get<PolicyFilter>(found->second).table.members;
  for (const model::GroupMember& member : gone) std::erase(members, member);
  for (const model::GroupMember& member : come) {
    std::erase(members, member);
    members.insert(std::ranges::upper_bound(members, member), member);
  }
  return {};
}

base::Result<std::size_t> FakeHost::cut_denied(const HostNetwork& network) {
  cut.push_back(network.name);
  return std::size_t{1};
}

base::Result<SegmentFacts> FakeHost::find_segment(const std::string& link) {
  const auto found = segments.find(link);
  if (found != segments.end()) return found->second;
  return base::make_error(ErrorKind::NotFound, "there is no link " + link);
}

base::Status FakeHost::change_attached_members(const HostNetwork& network,
                                               const std::vector<base::IpAddress>& gone,
                                               const std::vector<base::IpAddress>& come) {
  for (const base::IpAddress& member : gone)
    for (const Fact& fact : attached_member_facts(network, member)) facts.erase(key_of(fact));
  for (const base::IpAddress& member : come)
    for (const Fact& fact : attached_member_facts(network, member))
      facts.insert_or_assign(key_of(fact), fact);
  return {};
}

base::Result<std::vector<Occupant>> FakeHost::find_occupants(
    const HostNetwork&, const std::vector<base::IpAddress>& addresses) {
  ++probes;
  std::vector<Occupant> out;
  for (const base::IpAddress& address : addresses)
    if (const auto found = occupants.find(address); found != occupants.end())
      out.push_back({address, found->second});
  return out;
}

base::Result<std::optional<Obstacle>> FakeHost::probe_uplink(const HostNetwork&) {
  return obstacle;
}

base::Result<std::optional<Obstacle>> FakeHost::probe_segment(const HostNetwork&) {
  return bridge_obstacle;
}

base::Result<std::vector<PortFinding>> FakeHost::probe_ports(
    const std::vector<PortQuestion>& questions) {
  std::vector<PortFinding> out;
  for (const PortQuestion& question : questions) {
    PortFinding& found = out.emplace_back();
    found.port = question.port;
    found.asked = true;
    if (!question.is_forward && listening.contains(question.port))
      found.listener = "fake (process 1)";
    if (const auto closed = closed_ports.find(question.port); closed != closed_ports.end())
      found.obstacle = closed->second;
  }
  return out;
}

base::Result<std::vector<std::string>> FakeHost::find_strangers(const HostNetwork& network) {
  const auto found = strangers.find(network.netns_name());
  return found == strangers.end() ? std::vector<std::string>{} : found->second;
}

base::Status FakeHost::check_public_port(const model::PublicPort& port) {
  if (!listening.contains(port)) return {};
  return base::make_error(ErrorKind::Conflict,
                          "port " + port.to_string() + " belongs to fake (process 1)");
}

base::Result<std::vector<std::string>> FakeHost::overlapping_routes(const base::Prefix& subnet) {
  std::vector<std::string> out;
  for (const base::Prefix& route : routes)
    if (route.overlaps(subnet)) out.push_back(route.to_string() + " dev eth0");
  return out;
}

}  // namespace warren::plan
