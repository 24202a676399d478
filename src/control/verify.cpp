// Verifying: what is in force, read back from the kernel, from the engines and, for certificates,
// from the disk, beside what the state says. Nothing is changed here; what differs is named, and
// how it is put right.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "control/certificates.hpp"
#include "control/names.hpp"
#include "plan/steps.hpp"

namespace warren::control {

namespace {

using Difference = api::VerifyReport::Difference;

constexpr std::size_t kMaxRepair = 300;

/// What can be pasted as it stands: whole commands, or where they are more than a line (the text of
/// a table, whose first half alone would take everything of it away) the one that does it all.
std::string repair_of(const plan::Step& step, const std::string& instance) {
  std::string out;
  for (const std::string& command : step.to_commands(instance)) {
    out += (out.empty() ? "" : "; ") + command;
  }
  const bool is_a_line = out.size() <= kMaxRepair && out.find('\n') == std::string::npos;
  return is_a_line ? out : "warren export | warren apply -f -";
}

/// What only goes and comes again because its table is replaced differs in nothing.
std::vector<plan::Step> without_remade(std::vector<plan::Step> plan) {
  std::map<std::string, plan::Fact> removed;
  for (const plan::Step& step : plan) {
    if (step.before && !step.after) removed.emplace(plan::key_of(*step.before), *step.before);
  }
  std::set<std::string> remade;
  for (const plan::Step& step : plan) {
    if (step.before || !step.after) continue;
    const auto former = removed.find(plan::key_of(*step.after));
    if (former != removed.end() && former->second == *step.after) remade.insert(former->first);
  }
  std::erase_if(plan, [&](const plan::Step& step) {
    return step.before.has_value() != step.after.has_value() &&
           remade.contains(plan::key_of(step.after ? *step.after : *step.before));
  });
  return plan;
}

/// "member 10.20.0.5 of group 17", "rule 17 -> 18 …", one each.
void compare_policies(const plan::PolicyFilter& is, const plan::PolicyFilter& should,
                      const std::string& network, api::VerifyReport& report) {
  const auto tell = [&](const char* how, const auto& entries, const auto& others) {
    for (const auto& entry : entries) {
      if (std::ranges::binary_search(others, entry)) continue;
      const plan::PolicyElement element = plan::element_of(entry);
      report.differences.push_back({network, "policy",
                                    fmt::format("{}: {} : {} in {} of {}", how, element.key,
                                                element.value, element.map, plan::kPolicyTable),
                                    ""});
    }
  };
  if (is.text != should.text) {
    report.differences.push_back(
        {network, "policy", fmt::format("different: table {}", plan::kPolicyTable), ""});
  }
  tell("unexpected", is.table.members, should.table.members);
  tell("unexpected", is.table.rules, should.table.rules);
  tell("missing", should.table.members, is.table.members);
  tell("missing", should.table.rules, is.table.rules);
}

std::vector<base::Prefix> sorted(std::vector<base::Prefix> prefixes) {
  std::ranges::sort(prefixes);
  return prefixes;
}

std::string listed(const std::vector<base::Prefix>& prefixes) {
  std::string out;
  for (const base::Prefix& prefix : prefixes) out += (out.empty() ? "" : " ") + prefix.to_string();
  return out.empty() ? "none" : out;
}

}  // namespace

void Control::Impl::verify_host(api::VerifyReport& report) {
  std::map<std::string, std::string> names;  // by namespace
  for (const auto& [id, stored] : state.networks) {
    const model::Network& network = stored.network;
    names["warren-" + network.name] = network.name;
    if (!unapplied.contains(id)) continue;
    report.differences.push_back(
        {network.name, "state", "it could not be brought up: " + problems[id], ""});
  }
  const std::vector<plan::HostNetwork> desired = desired_host();
  auto observed = deps.host.observe();
  auto plan = observed ? plan::make_plan(desired, *observed)
                       : base::Result<std::vector<plan::Step>>(observed.error());
  if (!plan) {
    report.differences.push_back({"", "host", plan.error().message, plan.error().hint});
    return;
  }
  for (const plan::Step& step : without_remade(std::move(*plan))) {
    const plan::Fact& fact = step.after ? *step.after : *step.before;
    const auto network = names.find(plan::netns_of(fact));
    const std::string name = network == names.end() ? "" : network->second;
    const auto* is = step.before ? std::get_if<plan::PolicyFilter>(&*step.before) : nullptr;
    const auto* should = step.after ? std::get_if<plan::PolicyFilter>(&*step.after) : nullptr;
    if (is != nullptr && should != nullptr) {
      compare_policies(*is, *should, name, report);
      continue;
    }
    const char* how = !step.before ? "missing" : !step.after ? "unexpected" : "different";
    report.differences.push_back(
        {name, "host", one_line(fmt::format("{}: {}", how, plan::key_of(fact)), kMaxRepair),
         repair_of(step, observed->environment.instance)});
  }
  for (const auto& [id, stored] : state.networks) {
    const base::Status here = check_segment(stored.network);
    if (here || unapplied.contains(id)) continue;
    report.differences.push_back(
        {stored.network.name, "segment", here.error().message, here.error().hint});
  }
  for (const plan::HostNetwork& network : desired) {
    const auto strangers = deps.host.find_strangers(network);
    if (!strangers) {
      report.differences.push_back({network.name, "host", strangers.error().message, ""});
      continue;
    }
    for (const std::string& stranger : *strangers) {
      report.differences.push_back({network.name, "host", "unexpected: " + stranger, ""});
    }
  }
}

void Control::Impl::verify_engine(const model::Network& network, api::VerifyReport& report) {
  const auto differs = [&](std::string what) {
    report.differences.push_back({network.name, "engine", std::move(what), ""});
  };
  const EngineState running = deps.engines.state(network.id);
  if (network.stopped) {
    if (running != EngineState::Stopped) differs("unexpected: an engine, the network is stopped");
    return;
  }
  const auto facts = deps.engines.read_back(network.id);
  if (!facts) return differs("it cannot be asked: " + facts.error().message);
  if (!facts->has_the_key) differs("different: its private key is not the network's");
  if (facts->port != network.port) {
    differs(fmt::format("different: it listens on port {}, not {}", facts->port, network.port));
  }
  std::map<base::PublicKey, std::pair<std::string, std::vector<base::Prefix>>> wanted;
  const base::WallTime now = deps.clock.wall();
  for (const auto& [id, peer] : index.in(network.id)) {
    const bool member = peer->state == model::PeerState::Enrolled && !peer->is_over(now);
    if (!member || !peer->public_key) continue;
    wanted[*peer->public_key] = {peer->name, sorted(engine_peer(*peer).allowed_ips)};
  }
  for (const EnginePeer& peer : facts->peers) {
    const auto found = wanted.find(peer.public_key);
    if (found == wanted.end()) {
      differs("unexpected: peer " + peer.public_key.base64());
      continue;
    }
    const auto& [name, addresses] = found->second;
    if (sorted(peer.allowed_ips) != addresses) {
      differs(fmt::format("different: {} may use {}, not {}", name,
                          listed(sorted(peer.allowed_ips)), listed(addresses)));
    }
    wanted.erase(found);
  }
  for (const auto& [key, member] : wanted) {
    differs(fmt::format("missing: peer {} ({})", member.first, key.base64()));
  }
}

base::Status Control::Impl::repair_engine(const model::Network& network) {
  if (network.stopped || unapplied.contains(network.id)) return {};
  const auto facts = deps.engines.read_back(network.id);
  if (!facts || !facts->has_the_key || facts->port != network.port) {
    // What it is cannot be changed under way, only begun again.
    if (const auto gone = deps.engines.stop(network.id);
        !gone && gone.error().kind != base::ErrorKind::NotFound) {
      return gone;
    }
    return start_engine(network.id);
  }
  std::map<base::PublicKey, EnginePeer> wanted;
  for (const auto& [id, peer] : index.in(network.id)) {
    const bool member =
        peer->state == model::PeerState::Enrolled && !peer->is_over(deps.clock.wall());
    if (member && peer->public_key) wanted.emplace(*peer->public_key, engine_peer(*peer));
  }
  for (const EnginePeer& is : facts->peers) {
    const auto found = wanted.find(is.public_key);
    if (found == wanted.end()) {
      WARREN_TRY(deps.engines.remove_peer(network.id, is.public_key));
    } else if (sorted(is.allowed_ips) == sorted(found->second.allowed_ips)) {
      wanted.erase(found);
    }
  }
  for (const auto& [key, peer] : wanted) WARREN_TRY(deps.engines.add_peer(network.id, peer));
  return {};
}

base::Result<api::VerifyReport> Control::Impl::repair(const Request& request,
                                                      const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  WARREN_TRY_ASSIGN(api::VerifyReport before, verify(name));
  if (before.differences.empty()) return before;
  WARREN_TRY(commit({}, request));
  WARREN_TRY(reconcile_host());
  WARREN_TRY(repair_engine(network).within("repair its engine"));
  WARREN_TRY(certificates->repair(request, network).within("repair its certificates"));
  WARREN_TRY(apply_names(network.id));
  return verify(name);
}

base::Result<api::VerifyReport> Control::Impl::verify(const std::string& name) {
  api::VerifyReport report;
  std::optional<model::Network> only;
  if (!name.empty()) {
    WARREN_TRY_ASSIGN(only, find_network(name));
  }
  verify_host(report);
  certificates->verify_kept(only ? std::optional(only->id) : std::nullopt, report);
  for (const auto& [id, stored] : state.networks) {
    if (only && only->id != id) continue;
    report.networks.push_back(stored.network.name);
    if (!unapplied.contains(id)) verify_engine(stored.network, report);
    certificates->verify(stored.network, report);
    verify_names(stored.network, report);
    for (const auto& [peer_id, peer] : index.in(id)) {
      const bool pending =
          peer->state == model::PeerState::Revoked && (peer->address4 || peer->address6);
      if (!pending) continue;
      report.differences.push_back(
          {stored.network.name, "state",
           fmt::format("{} is revoked but not every way in is closed yet", peer->name), ""});
    }
  }
  std::ranges::sort(report.networks);
  std::erase_if(report.differences, [&](const Difference& difference) {
    return only && !difference.network.empty() && difference.network != only->name;
  });
  return report;
}

}  // namespace warren::control
