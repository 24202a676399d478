// Policies: who may open what to whom.
//
// The text is what is stored; its meaning is parsed from it when it is needed, and kept until text
// or roles change. A change may tighten, so it is a denial: committed first, then in force, never
// undone, retried until done. What follows from the state (host_network) brings it back at start,
// before any engine has a socket.
//
// A member that comes or goes is an element of a set: nothing else is looked at, unless the rules
// name it, or the kernel's table is not as it should be.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

model::PolicyMember policy_member(const model::Network& network, const model::Peer& peer) {
  const auto role = model::find_role(network.roles, peer.role);
  return {.name = peer.name,
          .id = peer.id.value,
          .role = role ? role->number : 0,
          .address4 = peer.address4,
          .address6 = peer.address6};
}

std::optional<model::Party> mention_of(const model::Policy& policy, const std::string& name,
                                       model::PartyKind kind) {
  for (const model::PolicyRule& rule : policy.rules) {
    for (const auto* side : {&rule.from, &rule.to}) {
      for (const model::Party& party : *side) {
        if (party.kind == kind && party.name == name) return party;
      }
    }
  }
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

}  // namespace

const model::Policy* Control::Impl::document_of(const model::Network& network) const {
  if (network.policy.empty()) return nullptr;
  ParsedPolicy& parsed = policies[network.id];
  if (parsed.text == network.policy && parsed.roles == network.roles) return &parsed.policy;
  parsed = {.text = network.policy, .roles = network.roles, .policy = {}};
  auto policy = model::Policy::parse(network.policy, network.roles);
  // One that cannot be read any more allows nothing.
  if (policy) parsed.policy = std::move(*policy);
  if (!policy) {
    deps.log.write(
        base::LogLevel::Error, "control",
        fmt::format("network={} the stored policy cannot be read, nothing is allowed: {}",
                    network.name, policy.error().message));
  }
  return &parsed.policy;
}

const model::Policy* Control::Impl::policy_of(const model::Network& network) const {
  const model::Policy* document = document_of(network);
  return document != nullptr && document->filters ? document : nullptr;
}

std::optional<model::PolicyTable> Control::Impl::policy_table(const model::Network& network) const {
  const model::Policy* policy = policy_of(network);
  if (policy == nullptr) return std::nullopt;
  std::vector<model::PolicyMember> members;
  const base::WallTime now = deps.clock.wall();
  for (const auto& [id, peer] : index.in(network.id)) {
    const bool member = !peer->is_over(now) && peer->state == model::PeerState::Enrolled;
    if (member) members.push_back(policy_member(network, *peer));
  }
  std::vector<base::IpAddress> gateway;
  for (const auto& address : {network.gateway4(), network.gateway6()}) {
    if (address) gateway.push_back(*address);
  }
  if (network.host_access) {
    // The host then speaks as the gateway.
    const plan::HostNetwork pair = plan::host_network(network, settings.transit);
    if (network.subnet4) gateway.push_back(pair.transit4_host);
    if (network.subnet6) gateway.push_back(pair.transit6_host);
  }
  return model::make_policy_table(*policy, network.roles, members, gateway);
}

base::Status Control::Impl::change_membership(const model::Peer& peer, bool comes) {
  const model::Network& network = state.networks.at(peer.network).network;
  const model::Policy* policy = policy_of(network);
  if (policy == nullptr || unapplied.contains(network.id)) return {};
  // Rules for it come and go with it.
  if (mention_of(*policy, peer.name, model::PartyKind::Peer)) return reconcile_host();
  const auto elements = model::members_of(*policy, policy_member(network, peer));
  const std::vector<model::GroupMember> none;
  const base::Status done =
      deps.host.change_policy_members(plan::host_network(network, settings.transit),
                                      comes ? none : elements, comes ? elements : none);
  return done ? base::Status() : reconcile_host();
}

base::Status Control::Impl::admit_all(const model::Network& network,
                                      const std::vector<model::Peer>& peers) {
  const model::Policy* policy = policy_of(network);
  if (policy == nullptr || unapplied.contains(network.id)) return {};
  std::vector<model::GroupMember> come;
  for (const model::Peer& peer : peers) {
    if (peer.state != model::PeerState::Enrolled) continue;
    if (mention_of(*policy, peer.name, model::PartyKind::Peer)) return reconcile_host();
    const auto elements = model::members_of(*policy, policy_member(network, peer));
    come.insert(come.end(), elements.begin(), elements.end());
  }
  if (come.empty()) return {};
  const base::Status done =
      deps.host.change_policy_members(plan::host_network(network, settings.transit), {}, come);
  return done ? base::Status() : reconcile_host();
}

base::Status Control::Impl::check_unnamed(const model::Network& network,
                                          const std::string& name) const {
  const model::Policy* policy = document_of(network);
  if (policy == nullptr) return {};
  for (const model::Service& service : policy->services) {
    if (service.peer != name) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("the policy of network {} names {} (service {})", network.name, name,
                    service.name),
        fmt::format("change the policy first: warren policy set {} FILE", network.name));
  }
  for (const auto kind : {model::PartyKind::Peer, model::PartyKind::Role}) {
    const auto mention = mention_of(*policy, name, kind);
    if (!mention) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("the policy of network {} names {} (line {})", network.name, name,
                    mention->line),
        fmt::format("change the policy first: warren policy set {} FILE", network.name));
  }
  return {};
}

base::Status Control::Impl::check_policy(const model::Network& network,
                                         const model::Policy& policy) const {
  WARREN_TRY(model::check_size(policy));
  for (const model::PolicyRule& rule : policy.rules) {
    if (!network.attach.empty()) break;
    for (const auto* side : {&rule.from, &rule.to}) {
      const auto at = std::ranges::find(*side, model::PartyKind::Segment, &model::Party::kind);
      if (at == side->end()) continue;
      return make_error(ErrorKind::Invalid,
                        fmt::format("line {}, column {}: network {} is attached to no segment",
                                    at->line, at->column, network.name),
                        "`network create --attach` makes one that is; a role or peer of that name "
                        "is role:segment or peer:segment");
    }
  }
  std::vector<std::string> names;
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state != model::PeerState::Revoked) names.push_back(peer->name);
  }
  std::vector<std::string> all = names;
  all.emplace_back(model::kDefaultRole);
  for (const model::Role& role : network.roles) all.push_back(role.name);
  for (const model::Party& party : policy.peers_named()) {
    if (std::ranges::find(names, party.name) != names.end()) continue;
    const std::string near = nearest_name(party.name, all);
    return make_error(
        ErrorKind::Invalid,
        fmt::format("line {}, column {}: network {} has no role or peer \"{}\"", party.line,
                    party.column, network.name, party.name),
        near.empty() ? fmt::format("`warren role list {0}` and `warren peer list {0}` show them",
                                   network.name)
                     : fmt::format("did you mean {}?", near));
  }
  return {};
}

api::PolicyView Control::Impl::policy_view(const model::Network& network) const {
  api::PolicyView view{.network = network.name, .present = !network.policy.empty()};
  view.lines = split(network.policy);
  const model::Policy* policy = document_of(network);
  if (policy == nullptr) return view;
  view.in_force = !host_to_reconcile && !unapplied.contains(network.id);
  for (const model::PolicyRule& rule : policy->rules) {
    view.rules.push_back({rule.line, rule.text});
  }
  if (!policy->filters) {
    view.warnings.emplace_back("it has no rules: members reach each other");
  }
  for (const model::Service& service : policy->services) {
    if (service.peer.empty() || current_peer(network.id, service.peer) != nullptr) continue;
    view.warnings.push_back(
        fmt::format("service {}: nobody is called {} now", service.name, service.peer));
  }
  for (const model::Party& party : policy->peers_named()) {
    if (current_peer(network.id, party.name) != nullptr) continue;
    view.warnings.push_back(
        fmt::format("line {}: nobody is called {} now", party.line, party.name));
  }
  return view;
}

base::Result<api::PolicyView> Control::Impl::show_policy(const std::string& name) const {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  return policy_view(network);
}

base::Result<api::PolicyView> Control::Impl::enforce(const Request& request,
                                                     const model::Network& network) {
  WARREN_TRY(commit_network(request, network));
  const base::Status applied = reconcile_host();
  if (applied) return policy_view(network);
  host_to_reconcile = true;
  host_problem = applied.error().message;
  return make_error(ErrorKind::Failed, "it is stored, but not in force yet: " + host_problem,
                    "the daemon goes on trying; `warren status` shows what is left");
}

base::Result<api::PolicyView> Control::Impl::set_policy(const Request& request,
                                                        const std::string& name,
                                                        const api::PolicySet& wanted) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(name));
  const std::string text = joined(wanted.lines);
  WARREN_TRY_ASSIGN(const model::Policy policy, model::Policy::parse(text, network.roles));
  WARREN_TRY(check_policy(network, policy));
  WARREN_TRY(check_services(network, policy));
  network.policy = text;
  return enforce(request, network);
}

base::Result<api::PolicyView> Control::Impl::clear_policy(const Request& request,
                                                          const std::string& name) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(name));
  if (network.policy.empty()) return policy_view(network);
  network.policy.clear();
  return enforce(request, network);
}

base::Result<model::Subject> Control::Impl::subject(const model::Network& network,
                                                    const std::string& word) const {
  if (word == "gateway") return model::Subject{model::PartyKind::Gateway, "", ""};
  if (word == "internet") return model::Subject{model::PartyKind::Internet, "", ""};
  if (word == "segment") {
    if (!network.attach.empty()) return model::Subject{model::PartyKind::Segment, "", ""};
    return make_error(ErrorKind::Invalid,
                      fmt::format("network {} is attached to no segment", network.name),
                      "ask about a role, a peer, the gateway or the internet");
  }
  const bool only_peer = word.starts_with("peer:");
  const bool only_role = word.starts_with("role:");
  const std::string name = only_peer || only_role ? word.substr(5) : word;
  if (!only_peer) {
    if (model::find_role(network.roles, name)) {
      return model::Subject{model::PartyKind::Peer, "", name};
    }
    if (only_role) return role_for(network, name).error();
  }
  const model::Peer* peer = current_peer(network.id, name);
  if (peer == nullptr && only_peer) return unknown_peer(network, name);
  if (peer == nullptr) return unknown_subject(network, name, false);
  return model::Subject{model::PartyKind::Peer, peer->name, peer->role};
}

base::Error Control::Impl::unknown_subject(const model::Network& network, const std::string& word,
                                           bool services_count) const {
  std::vector<std::string> names{"gateway", "internet", std::string(model::kDefaultRole)};
  if (!network.attach.empty()) names.emplace_back("segment");
  for (const model::Role& role : network.roles) names.push_back(role.name);
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state != model::PeerState::Revoked) names.push_back(peer->name);
  }
  for (const model::Service& service : services_of(network)) {
    if (services_count) names.push_back(service.name);
  }
  return unknown_name(
      fmt::format("network {} has no role{} \"{}\"", network.name,
                  services_count ? ", peer or service" : " or peer", one_line(word, 80)),
      word, names,
      fmt::format("`warren role list {0}`, `warren peer list {0}` and `warren policy show {0}` "
                  "show them",
                  network.name));
}

base::Result<Control::Impl::Target> Control::Impl::target(const model::Network& network,
                                                          const std::string& word) const {
  auto named = subject(network, word);
  if (named) return Target{.subject = std::move(*named)};
  if (word.find(':') != std::string::npos) return std::move(named).error();
  const auto& services = services_of(network);
  const auto service = std::ranges::find(services, word, &model::Service::name);
  if (service == services.end()) {
    if (named.error().kind != ErrorKind::NotFound) return std::move(named).error();
    return unknown_subject(network, word, true);
  }
  if (service->peer.empty()) {
    return make_error(
        ErrorKind::Invalid, fmt::format("service {} is nobody's: it names ports alone", word),
        fmt::format("ask about somebody: warren policy test {} FROM TO {}", network.name, word));
  }
  auto offering = subject(network, "peer:" + service->peer);
  if (!offering) return std::move(offering).error().within("service " + word);
  return Target{.subject = std::move(*offering), .service = &*service};
}

base::Result<std::vector<model::PortRange>> Control::Impl::asked_ports(
    const model::Network& network, const Target& of, const std::string& text) const {
  if (text.empty() && of.service != nullptr) return of.service->ports;
  if (const auto question = model::parse_question(text)) {
    return std::vector<model::PortRange>{
        {question->protocol, question->protocol, question->port, question->port}};
  }
  std::vector<std::string> names;
  for (const model::Service& service : services_of(network)) {
    if (service.name == text) return service.ports;
    names.push_back(service.name);
  }
  if (text.empty()) {
    return make_error(ErrorKind::Invalid, "it is not said what shall be opened",
                      "add a port like tcp/22, udp/53 or icmp; a service has its own");
  }
  base::Error error =
      unknown_name(fmt::format("\"{}\" is nothing to ask for", one_line(text, 80)), text, names,
                   "write it like tcp/22, udp/53 or icmp, or name a service of the policy");
  error.kind = ErrorKind::Invalid;
  return error;
}

base::Result<api::PolicyAnswer> Control::Impl::test_policy(const std::string& name,
                                                           const api::PolicyTest& wanted) const {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  WARREN_TRY_ASSIGN(const model::Subject from, subject(network, wanted.from));
  WARREN_TRY_ASSIGN(const Target asked, target(network, wanted.to));
  const model::Subject& to = asked.subject;
  WARREN_TRY_ASSIGN(const auto ports, asked_ports(network, asked, wanted.port));
  api::PolicyAnswer answer{.network = network.name};
  const model::Policy* policy = policy_of(network);
  if (policy == nullptr) {
    const bool out = to.kind == model::PartyKind::Internet;
    const bool leads_through =
        from.kind == model::PartyKind::Segment && (out || to.kind == model::PartyKind::Segment);
    answer.allowed = (!out || network.nat) && !leads_through;
    answer.reason = fmt::format(
        "network {} has no policy: {}", network.name,
        out ? "members reach the internet when it has NAT" : "members reach each other");
    return answer;
  }
  const auto [question, found] = policy->test_all(from, to, ports);
  answer.allowed = found.allowed;
  answer.reason = found.reason;
  const bool is_one = ports.size() == 1 && ports.front().first_port == ports.front().last_port;
  if (!found.allowed && !is_one) answer.reason = question.to_string() + ": " + found.reason;
  if (found.rule != nullptr) {
    answer.line = found.rule->line;
    answer.rule = found.rule->text;
  }
  return answer;
}

}  // namespace warren::control
