#include "plan/host_network.hpp"

namespace warren::plan {

HostNetwork host_network(const model::Network& network, const TransitPool& pool) {
  const std::uint64_t first = std::uint64_t{network.transit} * 2;
  return {.id = network.id,
          .name = network.name,
          .mtu = network.mtu,
          .nat = network.nat,
          .subnet4 = network.subnet4,
          .subnet6 = network.subnet6,
          .gateway4 = network.gateway4(),
          .gateway6 = network.gateway6(),
          .transit4_host = pool.v4.network().address.plus(first),
          .transit4_inside = pool.v4.network().address.plus(first + 1),
          .transit6_host = pool.v6.network().address.plus(first),
          .transit6_inside = pool.v6.network().address.plus(first + 1),
          .forwards = {},
          .policy = {},
          .attach = network.attach,
          .host_access = network.host_access,
          .attached_members = {}};
}

}  // namespace warren::plan
