// What dnsmasq is told, as text: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "model/name_zone.hpp"

namespace warren::services {

/// Where dnsmasq finds its files, and as whom it runs.
struct DnsmasqPlace {
  std::string hosts;
  std::string servers;
  std::string user;
  std::string group;
};

/// Read once, when it starts: what it listens on, and the records of services.
[[nodiscard]] std::string dnsmasq_configuration(const model::NameZone& zone,
                                                const DnsmasqPlace& place);
/// Read again on SIGHUP: who has which names.
[[nodiscard]] std::string dnsmasq_hosts(const model::NameZone& zone);
/// Read again on SIGHUP: who is asked for the names of others, and for which ones nobody is.
struct AskedServers {
  std::vector<base::IpAddress> servers;
  std::vector<std::string> withheld;  ///< domains
};
[[nodiscard]] std::string dnsmasq_servers(const AskedServers& asked);

/// The name servers of a resolv.conf, in its order, each once; without those of one link.
[[nodiscard]] std::vector<base::IpAddress> resolvers_in(std::string_view resolv_conf);

}  // namespace warren::services
