// From a request to a whole network: every check that needs no change, and every choice that the
// request leaves to us. Nothing here changes state, host or engines.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Result<base::Prefix> parse_subnet(const std::string& text, base::Family family) {
  const auto prefix = base::Prefix::parse(text);
  const bool v4 = family == base::Family::V4;
  if (!prefix || prefix->address.family() != family || text.find('/') == std::string::npos) {
    return make_error(
        ErrorKind::Invalid,
        fmt::format("\"{}\" is no {} subnet", one_line(text, 80), v4 ? "IPv4" : "IPv6"),
        v4 ? "write it like --subnet 10.20.0.0/24" : "write it like --subnet6 fd12:3456:789a::/64");
  }
  WARREN_TRY(model::check_subnet(*prefix));
  return *prefix;
}

/// RFC 4193 section 3.2: fd, 40 random bits, subnet 0.
base::Prefix random_ula(base::RandomSource& random) {
  std::array<std::uint8_t, 16> bytes{};
  bytes[0] = 0xfd;
  random.fill(base::MutableBytes(bytes).subspan(1, 5));
  return {base::IpAddress::v6(bytes), 64};
}

base::Status check_transit_overlap(const base::Prefix& subnet, const base::Prefix& pool) {
  if (!subnet.overlaps(pool)) return {};
  return make_error(ErrorKind::Conflict,
                    fmt::format("subnet {} overlaps the gateway's transit pool {}",
                                subnet.to_string(), pool.to_string()),
                    "choose another subnet, or another transit pool in warren.yaml");
}

/// A host name (letters, digits, hyphens, dots) or an address, without a port.
bool is_host(const std::string& text) {
  if (base::IpAddress::parse(text)) return true;
  constexpr std::size_t kLongest = 253;
  return !text.empty() && text.size() <= kLongest && text.front() != '-' && text.front() != '.' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.';
         });
}

base::Result<std::vector<base::IpAddress>> parse_dns(const std::vector<std::string>& texts) {
  if (texts.size() > kMaxDnsServers) {
    return make_error(ErrorKind::Invalid, fmt::format("{} DNS servers are too many", texts.size()),
                      fmt::format("give at most {}", kMaxDnsServers));
  }
  std::vector<base::IpAddress> servers;
  for (const std::string& text : texts) {
    const auto address = base::IpAddress::parse(text);
    if (!address || address->is_unspecified() || address->is_multicast()) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("DNS server \"{}\" is no address", one_line(text, 80)),
                        "write it like --dns 10.20.0.1");
    }
    servers.push_back(*address);
  }
  return servers;
}

/// How many /31 or /127 pairs a pool holds; at most 2^31.
std::uint64_t pairs_of(const base::Prefix& pool) {
  const unsigned host_bits = pool.address.bit_count() - pool.length;
  return host_bits == 0 ? 0 : std::uint64_t{1} << std::min(host_bits - 1, 31U);
}

}  // namespace

base::Status Control::Impl::choose_subnets(const api::NetworkCreate& wanted,
                                           model::Network& network) {
  if (wanted.subnet) {
    WARREN_TRY_ASSIGN(network.subnet4, parse_subnet(*wanted.subnet, base::Family::V4));
    WARREN_TRY(check_transit_overlap(*network.subnet4, settings.transit.v4));
  }
  if (!wanted.subnet6) {
    // The hosts of a segment know no prefix that we invent.
    if (wanted.attach && network.subnet4) return {};
    do {
      network.subnet6 = random_ula(deps.random);
    } while (network.subnet6->overlaps(settings.transit.v6));
  } else if (*wanted.subnet6 != "none") {
    WARREN_TRY_ASSIGN(network.subnet6, parse_subnet(*wanted.subnet6, base::Family::V6));
    WARREN_TRY(check_transit_overlap(*network.subnet6, settings.transit.v6));
  }
  if (network.subnet4 || network.subnet6) return {};
  return make_error(ErrorKind::Invalid, "a network needs at least one subnet",
                    "give --subnet, or leave out --subnet6 none");
}

base::Status Control::Impl::choose_port(const api::NetworkCreate& wanted, model::Network& network) {
  std::map<std::uint16_t, std::string> owners;
  for (const auto& [id, stored] : state.networks) {
    owners.emplace(stored.network.port, "network " + stored.network.name);
  }
  for (const auto& [from, forward] : state.forwards) {
    if (from.protocol != model::Protocol::Udp) continue;
    const std::string& name = state.networks.at(forward.network).network.name;
    owners.emplace(from.port, fmt::format("the forward {} of network {}", from.to_string(), name));
  }
  if (wanted.port) {
    if (*wanted.port == 0) {
      return make_error(ErrorKind::Invalid, "port 0 is no port",
                        "give a port from 1 to 65535, or leave --port out");
    }
    if (const auto owner = owners.find(*wanted.port); owner != owners.end()) {
      return make_error(ErrorKind::Conflict,
                        fmt::format("port {} is used by {}", *wanted.port, owner->second),
                        "choose another port, or leave --port out");
    }
    network.port = *wanted.port;
    base::Status free = deps.engines.check_port(network.port, network.listen);
    if (free) return {};
    base::Error why = std::move(free).error();
    if (why.os_errno == EADDRNOTAVAIL) return why;
    return std::move(why).with_hint("choose another port, or leave --port out");
  }
  for (std::uint32_t port = settings.first_port; port <= settings.last_port; ++port) {
    network.port = static_cast<std::uint16_t>(port);
    if (owners.contains(network.port)) continue;
    base::Status free = deps.engines.check_port(network.port, network.listen);
    if (free || free.error().os_errno == EADDRNOTAVAIL) return free;
  }
  return make_error(
      ErrorKind::Conflict,
      fmt::format("no UDP port from {} to {} is free", settings.first_port, settings.last_port),
      "give one with --port, or widen the range of ports in warren.yaml");
}

base::Status Control::Impl::choose_endpoint(const api::NetworkCreate& wanted,
                                            model::Network& network) const {
  return set_endpoint(wanted.endpoint.value_or(settings.endpoint_host), network);
}

base::Status Control::Impl::set_endpoint(const std::string& host, model::Network& network) {
  network.endpoint_host = host;
  if (network.endpoint_host.empty()) {
    return make_error(ErrorKind::Invalid, "it is not known what members shall dial",
                      "give the name or address of this host with --endpoint");
  }
  if (is_host(network.endpoint_host)) return check_endpoint_outside(network);
  return make_error(ErrorKind::Invalid,
                    fmt::format("endpoint \"{}\" is no host", one_line(network.endpoint_host, 80)),
                    "give a name or an address without a port (the port is --port)");
}

base::Status Control::Impl::set_dns(const std::vector<std::string>& servers,
                                    model::Network& network) {
  WARREN_TRY_ASSIGN(network.dns, parse_dns(servers));
  return {};
}

base::Status Control::Impl::check_endpoint_outside(const model::Network& network) {
  const auto endpoint = base::IpAddress::parse(network.endpoint_host);
  if (!endpoint) return {};
  const auto& subnet = endpoint->is_v4() ? network.subnet4 : network.subnet6;
  if (!subnet || !subnet->contains(*endpoint)) return {};
  return make_error(ErrorKind::Conflict,
                    fmt::format("the endpoint {} lies inside the subnet {}: members would look for "
                                "it in the tunnel",
                                endpoint->to_string(), subnet->to_string()),
                    "choose another subnet, or give an endpoint outside it with --endpoint");
}

base::Status Control::Impl::choose_gateway(const std::vector<std::string>& wanted,
                                           model::Network& network) {
  for (const std::string& text : wanted) {
    const auto address = base::IpAddress::parse(text);
    if (!address) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("gateway address \"{}\" is no address", one_line(text, 80)),
                        "write it like --gateway-address 10.20.0.254");
    }
    const auto& subnet = address->is_v4() ? network.subnet4 : network.subnet6;
    auto& chosen = address->is_v4() ? network.chosen_gateway4 : network.chosen_gateway6;
    if (!subnet || chosen) {
      return make_error(
          ErrorKind::Invalid,
          fmt::format("gateway address {}: the network {}", address->to_string(),
                      chosen ? "has one of that family already" : "has no subnet of that family"),
          "give at most one for each subnet");
    }
    WARREN_TRY(model::check_gateway_address(*subnet, *address));
    chosen = *address;
  }
  return {};
}

base::Status Control::Impl::choose_reserved(const std::vector<std::string>& wanted,
                                            model::Network& network) {
  network.reserved.clear();
  if (wanted.size() > kMaxReservedRanges) {
    return make_error(ErrorKind::Invalid,
                      fmt::format("{} reserved ranges are too many", wanted.size()),
                      fmt::format("give at most {}", kMaxReservedRanges));
  }
  for (const std::string& text : wanted) {
    const auto range = model::AddressRange::parse(text);
    if (!range) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("\"{}\" is no range of addresses", one_line(text, 100)),
                        "write it like 10.20.0.10-10.20.0.19, 10.20.0.16/28 or 10.20.0.9");
    }
    const auto& subnet = range->first.is_v4() ? network.subnet4 : network.subnet6;
    if (!subnet || !subnet->contains(range->first) || !subnet->contains(range->last)) {
      return make_error(
          ErrorKind::Invalid,
          fmt::format("the reserved range {} is not inside the network's {}", range->to_string(),
                      subnet ? "subnet " + subnet->to_string() : "subnets"),
          "reserve addresses that could be handed out otherwise");
    }
    network.reserved.push_back(*range);
  }
  std::ranges::sort(network.reserved);
  const auto twice = std::ranges::unique(network.reserved);
  network.reserved.erase(twice.begin(), twice.end());
  return {};
}

std::vector<std::string> Control::Impl::warnings_of(const model::Network& network) {
  std::vector<std::string> out;
  for (const auto& subnet : {network.subnet4, network.subnet6}) {
    if (!subnet) continue;
    const auto routes = deps.host.overlapping_routes(*subnet);
    if (!routes) continue;  // a warning less; what needs the host's routes says so itself
    for (const std::string& route : *routes) {
      if (!network.attach.empty() && route.ends_with(" dev " + network.attach)) continue;
      out.push_back(
          fmt::format("subnet {} overlaps this host's route {}: members cannot reach what is there",
                      subnet->to_string(), route));
    }
  }
  for (std::string& warning : segment_warnings(network)) out.push_back(std::move(warning));
  return out;
}

base::Status Control::Impl::choose_listen(const std::vector<std::string>& wanted,
                                          model::Network& network) {
  for (const std::string& text : wanted) {
    const auto address = base::IpAddress::parse(text);
    if (!address || address->is_unspecified() || address->is_multicast()) {
      return make_error(ErrorKind::Invalid,
                        fmt::format("\"{}\" is no address to listen on", one_line(text, 100)),
                        "give an address of this host, or leave --listen out for all of them");
    }
    if (std::ranges::find(network.listen, address->family(), &base::IpAddress::family) !=
        network.listen.end()) {
      return make_error(ErrorKind::Invalid, "--listen takes one address of each family",
                        "leave --listen out to listen on all of them");
    }
    network.listen.push_back(*address);
  }
  return {};
}

base::Status Control::Impl::check_may_change_host(const std::string& what,
                                                  const std::string& instead) const {
  if (deps.host.may_change_host()) return {};
  return make_error(ErrorKind::NotPermitted,
                    "this gateway runs without root: it cannot make " + what,
                    (instead.empty() ? "leave it out" : "give " + instead) +
                        ", or serve the network from a gateway that root starts");
}

base::Status Control::Impl::choose_transit(model::Network& network) {
  WARREN_TRY(deps.host.check_transit(settings.transit));
  std::set<std::uint32_t> used;
  for (const auto& [id, stored] : state.networks) used.insert(stored.network.transit);
  while (used.contains(network.transit)) ++network.transit;
  const std::uint64_t pairs =
      std::min(pairs_of(settings.transit.v4), pairs_of(settings.transit.v6));
  if (network.transit < pairs) return {};
  return make_error(ErrorKind::Conflict,
                    fmt::format("the transit pools {} and {} are used up",
                                settings.transit.v4.to_string(), settings.transit.v6.to_string()),
                    "choose larger pools in warren.yaml");
}

model::NetworkId Control::Impl::choose_id() {
  for (;;) {
    const model::NetworkId id{deps.random.u32()};
    const bool taken = state.networks.contains(id) || engines_to_stop.contains(id);
    if (id.value != 0 && !taken) return id;
  }
}

base::Result<model::Network> Control::Impl::choose_network(const api::NetworkCreate& wanted) {
  model::Network network;
  WARREN_TRY(model::check_network_name(wanted.name));
  network.name = wanted.name;
  for (const auto& [id, stored] : state.networks) {
    if (stored.network.name != wanted.name) continue;
    return make_error(
        ErrorKind::Conflict,
        fmt::format("network {} exists already (made {})", wanted.name,
                    utc_text(stored.network.created.seconds())),
        fmt::format("choose another name, or see `warren network show {}`", wanted.name));
  }
  if (state.networks.size() >= kMaxNetworks) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("this gateway has {} networks, the most it may", kMaxNetworks),
                      "delete one that is not needed");
  }
  WARREN_TRY(choose_subnets(wanted, network));
  WARREN_TRY(choose_gateway(wanted.gateway_addresses, network));
  WARREN_TRY(choose_reserved(wanted.reserve, network));
  for (const api::RoleAdd& role : wanted.roles) {
    WARREN_TRY(insert_role(network, role).within("role " + one_line(role.name, 80)));
  }
  if (wanted.default_role) {
    auto role = role_for(network, *wanted.default_role);
    if (!role) {
      // The network is not there yet, and nobody can add one to it.
      base::Error error = std::move(role).error();
      if (!error.hint.starts_with("did you mean")) {
        error.hint = fmt::format("make it along with the network: --role {}",
                                 one_line(*wanted.default_role, 80));
      }
      return error;
    }
    network.default_role = role->name;
  }
  network.max_members = wanted.max_members.value_or(0);
  network.max_devices = wanted.max_devices.value_or(0);
  WARREN_TRY(choose_endpoint(wanted, network));
  WARREN_TRY_ASSIGN(network.dns, parse_dns(wanted.dns));
  network.names = wanted.names.value_or(false);
  if (wanted.forwarders) WARREN_TRY(set_forwarders(*wanted.forwarders, network));
  WARREN_TRY(check_names(network));
  WARREN_TRY(choose_transit(network));
  if (wanted.listen) WARREN_TRY(choose_listen(*wanted.listen, network));
  WARREN_TRY(choose_port(wanted, network));
  network.nat = wanted.nat;
  network.id = choose_id();
  network.created = deps.clock.wall();
  network.host_access = wanted.host_access.value_or(false);
  // Before the host is asked about a segment that cannot be served anyway.
  if (network.host_access || !wanted.attach.value_or("").empty())
    WARREN_TRY(check_may_change_host("a path between the network and its host", ""));
  WARREN_TRY(choose_attach(wanted, network));
  if (network.host_access) WARREN_TRY(check_host_access(network));
  if (network.nat) WARREN_TRY(check_may_change_host("a way out of the network", "--no-nat"));
  return network;
}

}  // namespace warren::control
