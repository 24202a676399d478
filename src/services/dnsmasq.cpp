#include "services/dnsmasq.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "services/limits.hpp"

namespace warren::services {

namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

}  // namespace

std::string dnsmasq_configuration(const model::NameZone& zone, const DnsmasqPlace& place) {
  std::string out = "# Written by warren for network " + zone.network_name + ".\n";
  const auto line = [&out](std::string_view key, std::string_view value) {
    out.append(key).append("=").append(value).append("\n");
  };
  line("user", place.user);
  line("group", place.group);
  line("pid-file", "");
  line("log-facility", "-");
  out += "bind-interfaces\nno-resolv\nno-hosts\nno-poll\n";
  for (const base::IpAddress& address : zone.listen) line("listen-address", address.to_string());
  line("addn-hosts", place.hosts);
  line("servers-file", place.servers);
  // What belongs to the network is answered here or not at all.
  line("local", "/" + zone.domain + "/");
  for (const base::Prefix& subnet : zone.subnets) line("rev-server", subnet.to_string());
  out += "domain-needed\n";
  line("cache-size", std::to_string(kCachedNames));
  line("edns-packet-max", "1232");
  for (const model::NamedService& service : zone.services) {
    line("srv-host", fmt::format("_{0}._{1}.{2},{3}.{2},{4}", service.name, service.protocol,
                                 zone.domain, service.target, service.port));
  }
  return out;
}

std::string dnsmasq_hosts(const model::NameZone& zone) {
  std::string out;
  for (const model::NamedHost& host : zone.hosts) {
    std::string names;
    for (const std::string& name : host.names) {
      names.append(" ").append(name).append(".").append(zone.domain);
      names.append(" ").append(name);
    }
    // The first name of an address's first line is what the address is called.
    for (const base::IpAddress& address : host.addresses) {
      out.append(address.to_string()).append(names).append("\n");
    }
  }
  return out;
}

std::string dnsmasq_servers(const AskedServers& asked) {
  std::string out;
  for (const base::IpAddress& server : asked.servers) {
    out.append("server=").append(server.to_string()).append("\n");
  }
  for (const std::string& domain : asked.withheld) {
    out.append("server=/").append(domain).append("/\n");
  }
  return out;
}

std::vector<base::IpAddress> resolvers_in(std::string_view resolv_conf) {
  constexpr std::string_view kKey = "nameserver";
  std::vector<base::IpAddress> out;
  for (std::size_t begin = 0; begin < resolv_conf.size();) {
    const std::size_t end = std::min(resolv_conf.find('\n', begin), resolv_conf.size());
    const std::string_view line = trimmed(resolv_conf.substr(begin, end - begin));
    begin = end + 1;
    if (!line.starts_with(kKey) || line.size() == kKey.size()) continue;
    const std::string_view value = trimmed(line.substr(kKey.size()));
    const auto address = base::IpAddress::parse(value.substr(0, value.find_first_of(" \t#")));
    if (!address || address->is_link_local() || address->is_unspecified() ||
        address->is_multicast()) {
      continue;
    }
    if (std::ranges::find(out, *address) == out.end()) out.push_back(*address);
  }
  return out;
}

}  // namespace warren::services
