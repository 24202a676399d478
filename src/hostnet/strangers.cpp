// What somebody else put into a namespace of ours, where it can change what packets do. Plans leave
// it alone; `warren verify` names it. Links are left out: machines have theirs there.
#include <algorithm>

#include "hostnet/host_net.hpp"
#include "hostnet/nftables.hpp"
#include "plan/policy.hpp"

namespace warren::hostnet {

namespace {

constexpr std::uint8_t kByTheKernel = 2;  // RTPROT_KERNEL
constexpr std::uint8_t kByAdvertisement = 9;
constexpr std::uint32_t kLocalTable = 255;

}  // namespace

base::Result<std::vector<std::string>> HostNet::find_strangers(const plan::HostNetwork& network) {
  std::vector<std::string> out;
  WARREN_TRY(inside(network.netns_name(), [&]() -> base::Status {
    WARREN_TRY_ASSIGN(const std::vector<std::string> tables, list_nft_tables());
    for (const std::string& table : tables) {
      const bool ours = table == std::string("inet ") + plan::kNamespaceTable ||
                        table == std::string("inet ") + plan::kPolicyTable;
      if (!ours) out.push_back("nft table " + table);
    }
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl.links());
    WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl.routes());
    for (const os::Route& route : routes) {
      const bool known = route.protocol == kByTheKernel || route.protocol == kByAdvertisement ||
                         route.protocol == plan::kRouteProtocol || route.table == kLocalTable;
      if (known) continue;
      const auto link = std::ranges::find(links, route.link, &os::Link::index);
      out.push_back("route " + route.destination.to_string() +
                    (link != links.end() ? " dev " + link->name : std::string()));
    }
    return {};
  }));
  return out;
}

}  // namespace warren::hostnet
