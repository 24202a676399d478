#include "gateway/default_endpoint.hpp"

namespace warren::gateway {

namespace {

constexpr std::uint32_t kMainTable = 254;

bool is_unique_local(const base::IpAddress& address) {
  return address.is_v6() && (address.bytes()[0] & 0xfeU) == 0xfcU;
}

std::optional<base::IpAddress> address_on(std::uint32_t link, base::Family family,
                                          const std::vector<os::LinkAddress>& addresses) {
  std::optional<base::IpAddress> second_best;
  for (const os::LinkAddress& candidate : addresses) {
    const base::IpAddress& address = candidate.prefix.address;
    if (candidate.link != link || address.family() != family || address.is_link_local()) continue;
    if (!is_unique_local(address)) return address;
    if (!second_best) second_best = address;
  }
  return second_best;
}

}  // namespace

std::optional<base::IpAddress> choose_endpoint(const std::vector<os::Route>& routes,
                                               const std::vector<os::LinkAddress>& addresses) {
  for (const base::Family family : {base::Family::V4, base::Family::V6})
    for (const os::Route& route : routes) {
      const bool is_default = route.destination.length == 0 && route.table == kMainTable &&
                              route.destination.address.family() == family;
      if (!is_default) continue;
      if (auto address = address_on(route.link, family, addresses)) return address;
    }
  return std::nullopt;
}

base::Result<std::optional<base::IpAddress>> default_endpoint() {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  WARREN_TRY_ASSIGN(const auto routes, rtnl.routes());
  WARREN_TRY_ASSIGN(const auto addresses, rtnl.addresses());
  return choose_endpoint(routes, addresses);
}

}  // namespace warren::gateway
