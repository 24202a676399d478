#include "apps/warren/echo_target.hpp"

#include <algorithm>
#include <vector>

namespace warren::app {
namespace {

bool is_own(const model::WgConf& conf, const base::IpAddress& address) {
  return std::ranges::any_of(conf.interface.addresses,
                             [&](const base::Prefix& own) { return own.address == address; });
}

}  // namespace

std::optional<base::IpAddress> choose_echo_target(const model::WgConf& conf,
                                                  std::span<const base::IpAddress> gateways) {
  std::vector<base::Prefix> allowed;
  for (const model::ConfPeer& peer : conf.peers) {
    allowed.insert(allowed.end(), peer.allowed_ips.begin(), peer.allowed_ips.end());
  }
  const auto reachable = [&](const base::IpAddress& address) {
    return !is_own(conf, address) && std::ranges::any_of(allowed, [&](const base::Prefix& prefix) {
      return prefix.contains(address);
    });
  };
  for (const base::IpAddress& gateway : gateways) {
    if (reachable(gateway)) return gateway;
  }
  for (const base::IpAddress& server : conf.interface.dns_servers) {
    if (reachable(server)) return server;
  }
  std::vector<base::Prefix> networks = conf.interface.addresses;
  networks.insert(networks.end(), allowed.begin(), allowed.end());
  for (const base::Prefix& prefix : networks) {
    if (prefix.length == 0) continue;
    const bool host = prefix.length == prefix.address.bit_count();
    const base::IpAddress first = host ? prefix.address : prefix.network().address.plus(1);
    if (reachable(first)) return first;
  }
  return std::nullopt;
}

}  // namespace warren::app
