#include "netns/network.hpp"

#include <unistd.h>

#include <algorithm>

#include "os/file.hpp"
#include "os/rtnl.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::netns {

namespace {

bool any_v6(const RunConfig& config) {
  return std::ranges::any_of(config.addresses,
                             [](const base::Prefix& prefix) { return prefix.address.is_v6(); });
}

constexpr std::uint32_t kTunQueueLength = 1000;

/// As many inner packets of full size as fit into one UDP train when they are sealed.
std::uint32_t segments_of_train(std::uint32_t mtu) {
  constexpr std::uint32_t kTransportOverhead = 32;
  const auto bytes = static_cast<std::uint32_t>(os::kTrainBytesMax);
  const auto most = static_cast<std::uint32_t>(os::kTrainSegmentsMax);
  return std::clamp(bytes / (mtu + kTransportOverhead), 1U, most);
}

/// The namespace obeys no router and makes up no address: what it has is what the profile says.
base::Status set_sysctls(const RunConfig& config) {
  const std::string gid = std::to_string(getegid());
  // Without it `ping` and the status check lack a socket; everything else works.
  static_cast<void>(os::write_existing("/proc/sys/net/ipv4/ping_group_range", gid + " " + gid));
  // The run is the user's own: any port of it may be served, as on a machine of one's own.
  static_cast<void>(os::write_existing("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"));
  const std::string v6 = "/proc/sys/net/ipv6/conf/";
  if (access(v6.c_str(), F_OK) != 0) {
    if (!any_v6(config)) return {};
    return base::make_error(base::ErrorKind::Failed,
                            "the profile has an IPv6 address, but this kernel has IPv6 off",
                            "boot without ipv6.disable=1, or remove the IPv6 Address lines");
  }
  const std::string of_tun = v6 + kInterfaceName + "/";
  WARREN_TRY(os::write_existing(of_tun + "accept_ra", "0"));
  WARREN_TRY(os::write_existing(of_tun + "accept_redirects", "0"));
  WARREN_TRY(os::write_existing(of_tun + "addr_gen_mode", "1"));
  if (!any_v6(config)) WARREN_TRY(os::write_existing(of_tun + "disable_ipv6", "1"));
  return {};
}

base::Status add_routes(os::Rtnl& rtnl, const RunConfig& config, std::uint32_t link) {
  const bool v6 = any_v6(config);
  for (const base::Prefix& destination : config.routes) {
    if (destination.address.is_v6() && !v6) continue;  // no address to send from
    const bool connected = std::ranges::any_of(
        config.addresses, [&](const base::Prefix& own) { return own.network() == destination; });
    if (connected) continue;  // its address brought the route
    os::Route route;
    route.destination = destination;
    route.link = link;
    base::Status added = rtnl.add_route(route);
    if (!added && added.error().os_errno == EEXIST) continue;  // the route of an address
    WARREN_TRY(std::move(added));
  }
  return {};
}

}  // namespace

base::Status set_up_loopback() {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  return rtnl.set_up("lo", true);
}

base::Result<os::Fd> set_up_network(const RunConfig& config) {
  os::TunOptions options;
  options.name = kInterfaceName;
  options.offloads = true;
  options.restrict_to_root = false;
  WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun(options));
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  WARREN_TRY(rtnl.set_up("lo", true));
  WARREN_TRY(rtnl.set_mtu(kInterfaceName, config.mtu));
  // Whatever sends here lives here, so a super-packet can be kept to what one train of datagrams
  // carries. It is a matter of speed alone.
  static_cast<void>(rtnl.set_queueing(
      kInterfaceName,
      {.queue_length = kTunQueueLength, .gso_max_segments = segments_of_train(config.mtu)}));
  WARREN_TRY(set_sysctls(config));
  WARREN_TRY(rtnl.set_up(kInterfaceName, true));
  for (const base::Prefix& address : config.addresses) {
    base::Status added = rtnl.add_address(kInterfaceName, address);
    if (!added && added.error().os_errno == EEXIST) continue;  // written twice in the profile
    WARREN_TRY(std::move(added));
  }
  WARREN_TRY_ASSIGN(const os::Link link, rtnl.link(kInterfaceName));
  WARREN_TRY(add_routes(rtnl, config, link.index));
  return std::move(tun.descriptor);
}

}  // namespace warren::netns
