// Names inside a network, and what its services tell programs.
//
// What is answered follows from the state (name_zone); the servers are told that something changed
// and ask for the zone when they come to it, so that a thousand members that join at once are not a
// thousand zones. Turning names on is a grant: the server answers, or nothing is changed.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/name_servers.hpp"
#include "control/names.hpp"
#include "model/environment.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

const std::vector<model::Service> kNoServices;

}  // namespace

const std::vector<model::Service>& Control::Impl::services_of(const model::Network& network) const {
  const model::Policy* document = document_of(network);
  return document == nullptr ? kNoServices : document->services;
}

std::optional<model::NameZone> Control::Impl::name_zone(model::NetworkId id) const {
  const auto stored = state.networks.find(id);
  if (stored == state.networks.end() || unapplied.contains(id)) return std::nullopt;
  const model::Network& network = stored->second.network;
  if (!network.names || network.stopped) return std::nullopt;
  std::vector<const model::Peer*> members;
  const base::WallTime now = deps.clock.wall();
  for (const auto& [peer_id, peer] : index.in(id)) {
    if (peer->state == model::PeerState::Enrolled && !peer->is_over(now)) members.push_back(peer);
  }
  return model::make_name_zone(network, members, services_of(network));
}

base::Status Control::Impl::set_forwarders(const std::vector<std::string>& texts,
                                           model::Network& network) {
  model::Network parsed;
  WARREN_TRY(set_dns(texts, parsed).within("forwarders"));
  for (const base::IpAddress& address : parsed.dns) {
    const bool own = address == network.gateway4() || address == network.gateway6();
    if (!own && !address.is_link_local()) continue;
    return make_error(
        ErrorKind::Invalid,
        fmt::format("forwarder {} cannot be asked from inside the network{}", address.to_string(),
                    own ? ": it is the gateway's own address there" : ""),
        "give the address of a name server inside, in the world or on this host's loopback");
  }
  network.forwarders = std::move(parsed.dns);
  return {};
}

base::Status Control::Impl::check_names(const model::Network& network) const {
  if (!network.names) return {};
  if (deps.names == nullptr) {
    return make_error(ErrorKind::Unavailable, "this gateway has nobody to answer for names");
  }
  WARREN_TRY(deps.names->check());
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state == model::PeerState::Revoked) continue;
    WARREN_TRY(model::check_member_name(peer->name, services_of(network))
                   .within("a member is called " + peer->name));
  }
  return {};
}

base::Status Control::Impl::check_member_name(const model::Network& network,
                                              const std::string& name) const {
  if (!network.names) return {};
  return model::check_member_name(name, services_of(network));
}

base::Status Control::Impl::check_services(const model::Network& network,
                                           const model::Policy& document) const {
  if (!network.names) return {};
  return model::check_service_names(document.services, [&](const std::string& name) {
    return current_peer(network.id, name) != nullptr;
  });
}

base::Status Control::Impl::stop_names(model::NetworkId id) {
  return deps.names == nullptr ? base::Status() : deps.names->stop(id);
}

base::Status Control::Impl::apply_names(model::NetworkId id) {
  if (deps.names == nullptr) return {};
  const auto zone = name_zone(id);
  if (!zone) return stop_names(id);
  return deps.names->serve(*zone).within("answer for names");
}

void Control::Impl::fill_dns(const model::Network& network, api::EnrolAnswer& answer) const {
  for (const base::IpAddress& server : network.dns) answer.dns.push_back(server.to_string());
  if (!network.names || !network.dns.empty()) return;
  for (const auto& address : {network.gateway4(), network.gateway6()}) {
    if (address) answer.dns.push_back(address->to_string());
  }
  answer.dns.push_back(model::domain_of(network.name));
}

std::vector<api::EnvironmentVariable> Control::Impl::variables_of(
    const model::Network& network) const {
  const auto address_of = [&](const std::string& name) -> std::optional<base::IpAddress> {
    const model::Peer* peer = current_peer(network.id, name);
    if (peer == nullptr || peer->state != model::PeerState::Enrolled) return std::nullopt;
    return peer->address4 ? peer->address4 : peer->address6;
  };
  std::vector<api::EnvironmentVariable> out;
  for (model::Variable& variable : model::environment_of(
           services_of(network), network.names ? model::domain_of(network.name) : std::string(),
           address_of)) {
    out.push_back({std::move(variable.name), std::move(variable.value)});
  }
  return out;
}

bool Control::Impl::is_told_by_address(model::NetworkId network, model::PeerId id) const {
  const auto stored = state.networks.find(network);
  const auto peer = state.peers.find(id);
  if (stored == state.networks.end() || peer == state.peers.end()) return false;
  if (stored->second.network.names) return false;
  return std::ranges::any_of(services_of(stored->second.network),
                             [&](const model::Service& service) {
                               return !service.env.empty() && service.peer == peer->second.name;
                             });
}

std::vector<std::string> Control::Impl::name_warnings(const model::Network& network) const {
  std::vector<std::string> out;
  if (deps.names == nullptr || !network.names) return out;
  if (std::string problem = deps.names->problem(network.id); !problem.empty()) {
    out.push_back("names: " + problem);
  }
  const auto zone = name_zone(network.id);
  if (!zone) return out;
  for (const std::string& warning : deps.names->warnings(*zone)) out.push_back("names: " + warning);
  return out;
}

void Control::Impl::verify_names(const model::Network& network, api::VerifyReport& report) const {
  if (deps.names == nullptr) return;
  const auto zone = name_zone(network.id);
  if (!zone) return;
  for (std::string& what : deps.names->differences(*zone)) {
    report.differences.push_back({network.name, "names", std::move(what), ""});
  }
}

base::Result<api::DoctorReport> Control::check_names() {
  std::vector<model::NameZone> zones;
  for (const auto& [id, stored] : impl_->state.networks) {
    if (auto zone = impl_->name_zone(id)) zones.push_back(std::move(*zone));
  }
  api::DoctorReport report;
  if (impl_->deps.names == nullptr) return report;
  for (NameFinding& found : impl_->deps.names->examine(zones)) {
    api::DoctorReport::Finding& finding = report.findings.emplace_back();
    finding.network = std::move(found.network);
    finding.what = std::move(found.what);
    finding.state = std::move(found.state);
    finding.text = std::move(found.text);
    finding.remedy = std::move(found.remedy);
  }
  return report;
}

std::optional<model::NameZone> Control::name_zone(model::NetworkId network) const {
  return impl_->name_zone(network);
}

base::Result<api::Environment> Control::environment(const std::string& name) const {
  WARREN_TRY_ASSIGN(const model::Network network, impl_->find_network(name));
  return api::Environment{.network = network.name, .variables = impl_->variables_of(network)};
}

}  // namespace warren::control
