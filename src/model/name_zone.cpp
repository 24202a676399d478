#include "model/name_zone.hpp"

#include <algorithm>
#include <map>

namespace warren::model {

namespace {

constexpr std::string_view kTop = ".internal";

base::Error taken(const std::string& message) {
  return base::make_error(base::ErrorKind::Conflict, message,
                          "choose another name: inside the network a name stands for one");
}

void add_services(const std::vector<Service>& services, const std::map<std::string, NamedHost*>& by,
                  NameZone& zone) {
  for (const Service& service : services) {
    if (service.peer.empty() || !is_domain_name(service.name)) continue;
    const auto host = by.find(service.peer);
    if (host != by.end() && service.name != service.peer) {
      host->second->names.push_back(service.name);
    }
    if (!is_domain_name(service.peer)) continue;
    for (const PortRange& range : service.ports) {
      if (range.first_port != range.last_port || range.first_port == 0) continue;
      for (const auto& [number, protocol] : {std::pair{kTcp, "tcp"}, std::pair{kUdp, "udp"}}) {
        const bool has = range.first_protocol <= number && number <= range.last_protocol;
        if (!has) continue;
        zone.services.push_back({service.name, protocol, service.peer, range.first_port});
      }
    }
  }
}

}  // namespace

std::string domain_of(std::string_view network) { return std::string(network) + std::string(kTop); }

bool is_domain_name(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.back() != '.' &&
         name.find("..") == std::string_view::npos;
}

NameZone make_name_zone(const Network& network, const std::vector<const Peer*>& members,
                        const std::vector<Service>& services) {
  NameZone zone;
  zone.network = network.id;
  zone.network_name = network.name;
  zone.domain = domain_of(network.name);
  zone.forwarders = network.forwarders;
  zone.ask_the_host = network.forwarders.empty() && network.nat;
  zone.leads_out = network.nat;
  if (network.host_access) zone.host_link = network.id.uplink_name();
  for (const auto& address : {network.gateway4(), network.gateway6()}) {
    if (address) zone.listen.push_back(*address);
  }
  for (const auto& subnet : {network.subnet4, network.subnet6}) {
    if (subnet) zone.subnets.push_back(*subnet);
  }
  zone.hosts.reserve(members.size() + 1);  // pointers into it are taken below
  zone.hosts.push_back({{std::string(kGatewayName)}, zone.listen});
  std::map<std::string, NamedHost*> by_name;
  for (const Peer* member : members) {
    NamedHost host{{member->name}, {}};
    for (const auto& address : {member->address4, member->address6}) {
      if (address) host.addresses.push_back(*address);
    }
    if (host.addresses.empty() || !is_domain_name(member->name)) continue;
    by_name[member->name] = &zone.hosts.emplace_back(std::move(host));
  }
  add_services(services, by_name, zone);
  return zone;
}

bool NameZone::reaches(const base::IpAddress& server) const {
  if (server.is_loopback()) return false;
  return leads_out || std::ranges::any_of(subnets, [&](const base::Prefix& subnet) {
           return subnet.contains(server);
         });
}

base::Status check_member_name(std::string_view name, const std::vector<Service>& services) {
  if (name == kGatewayName) return taken("`gateway` is the name of the gateway itself");
  const auto service = std::ranges::find(services, name, &Service::name);
  if (service == services.end() || service->peer.empty() || service->peer == name) return {};
  return taken("`" + std::string(name) + "` is the name of a service that " + service->peer +
               " offers");
}

base::Status check_service_names(const std::vector<Service>& services,
                                 const std::function<bool(const std::string&)>& is_member) {
  for (const Service& service : services) {
    if (service.peer.empty()) continue;
    if (service.name == kGatewayName) {
      return taken("service `gateway` has the name of the gateway itself");
    }
    if (service.name == service.peer || !is_member(service.name)) continue;
    return taken("service `" + service.name + "`, which " + service.peer +
                 " offers, has the name of a member");
  }
  return {};
}

}  // namespace warren::model
