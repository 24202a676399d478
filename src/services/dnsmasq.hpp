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
/// Read again on SIGHUP: who is asked for the names of others.
[[nodiscard]] std::string dnsmasq_servers(const std::vector<base::IpAddress>& forwarders);

/// The name servers of a resolv.conf that can be asked from another network namespace: none of the
/// loopback's, nor of one link's.
[[nodiscard]] std::vector<base::IpAddress> reachable_resolvers(std::string_view resolv_conf);

}  // namespace warren::services
