#include "netns/network.hpp"

#include <unistd.h>

#include <algorithm>

#include "os/file.hpp"
#include "os/rtnl.hpp"
#include "os/tun.hpp"
#include "os/udp.hpp"

namespace warren::netns {

namespace {

bool any_v6(const RunNetwork& config) {
  return std::ranges::any_of(config.addresses,
                             [](const base::Prefix& prefix) { return prefix.address.is_v6(); });
}

// Kinds of fields of Control::Change, before a prefix.
constexpr char kAddress = 'a';
constexpr char kRoute = 'r';
constexpr char kRefused = 'x';

constexpr std::uint32_t kTunQueueLength = 1000;

/// As many inner packets of full size as fit into one UDP train when they are sealed.
std::uint32_t segments_of_train(std::uint32_t mtu) {
  constexpr std::uint32_t kTransportOverhead = 32;
  const auto bytes = static_cast<std::uint32_t>(os::kTrainBytesMax);
  const auto most = static_cast<std::uint32_t>(os::kTrainSegmentsMax);
  return std::clamp(bytes / (mtu + kTransportOverhead), 1U, most);
}

/// The namespace obeys no router and makes up no address: what it has is what the profile says.
base::Status set_sysctls(const RunNetwork& config) {
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
  return os::write_existing(of_tun + "disable_ipv6", any_v6(config) ? "0" : "1");
}

base::Status add_routes(os::Rtnl& rtnl, const RunNetwork& config, std::uint32_t link) {
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

/// What a server excludes from its tunnel goes to the loopback, where nobody has the address.
base::Status add_refused_routes(os::Rtnl& rtnl, const RunNetwork& config) {
  if (config.refused_routes.empty()) return {};
  WARREN_TRY_ASSIGN(const os::Link loopback, rtnl.link("lo"));
  for (const base::Prefix& destination : config.refused_routes) {
    os::Route route;
    route.destination = destination;
    route.link = loopback.index;
    WARREN_TRY(rtnl.add_route(route, true));
  }
  return {};
}

base::Status add_addresses(os::Rtnl& rtnl, const RunNetwork& config) {
  for (const base::Prefix& address : config.addresses) {
    base::Status added = rtnl.add_address(kInterfaceName, address);
    if (!added && added.error().os_errno == EEXIST) continue;  // written twice, or there before
    WARREN_TRY(std::move(added));
  }
  return {};
}

bool holds(const std::vector<base::Prefix>& all, const base::Prefix& one) {
  return std::ranges::find(all, one) != all.end();
}

/// Of the routes only what is gone: the new ones are added by who calls.
void delete_routes(os::Rtnl& rtnl, const std::vector<base::Prefix>& before,
                   const std::vector<base::Prefix>& now, std::uint32_t link) {
  for (const base::Prefix& destination : before) {
    if (holds(now, destination)) continue;
    os::Route route;
    route.destination = destination;
    route.link = link;
    static_cast<void>(rtnl.delete_route(route));  // it may have gone with an address
  }
}

}  // namespace

base::Status change_network(const RunNetwork& before, const RunNetwork& now) {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  WARREN_TRY(rtnl.set_mtu(kInterfaceName, now.mtu));
  WARREN_TRY(set_sysctls(now));
  // New addresses first: with the last one of a family the kernel would take its routes away.
  WARREN_TRY(add_addresses(rtnl, now));
  for (const base::Prefix& address : before.addresses) {
    if (holds(now.addresses, address)) continue;
    WARREN_TRY(rtnl.delete_address(kInterfaceName, address));
  }
  WARREN_TRY_ASSIGN(const os::Link link, rtnl.link(kInterfaceName));
  WARREN_TRY_ASSIGN(const os::Link loopback, rtnl.link("lo"));
  delete_routes(rtnl, before.routes, now.routes, link.index);
  delete_routes(rtnl, before.refused_routes, now.refused_routes, loopback.index);
  WARREN_TRY(add_routes(rtnl, now, link.index));
  return add_refused_routes(rtnl, now);
}

std::vector<std::string> write_network(const RunNetwork& network) {
  std::vector<std::string> fields = {std::to_string(network.mtu)};
  const auto add = [&](char kind, const std::vector<base::Prefix>& prefixes) {
    for (const base::Prefix& prefix : prefixes) {
      fields.push_back(std::string(1, kind) + prefix.to_string());
    }
  };
  add(kAddress, network.addresses);
  add(kRoute, network.routes);
  add(kRefused, network.refused_routes);
  return fields;
}

std::optional<RunNetwork> read_network(const std::vector<std::string>& fields) {
  RunNetwork network;
  if (fields.empty()) return std::nullopt;
  const auto mtu = base::parse_number(fields[0], 0, UINT16_MAX);
  if (!mtu) return std::nullopt;
  network.mtu = static_cast<std::uint32_t>(*mtu);
  for (const std::string& field : std::span(fields).subspan(1)) {
    const auto prefix = base::Prefix::parse(std::string_view(field).substr(1));
    if (!prefix) return std::nullopt;
    auto& into = field[0] == kAddress ? network.addresses
                 : field[0] == kRoute ? network.routes
                                      : network.refused_routes;
    into.push_back(*prefix);
  }
  return network;
}

base::Status set_up_loopback() {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  return rtnl.set_up("lo", true);
}

base::Result<os::Fd> set_up_network(const RunConfig& config) {
  os::TunOptions options;
  options.name = kInterfaceName;
  options.offloads = config.tun_offloads;
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
  WARREN_TRY(add_addresses(rtnl, config));
  WARREN_TRY_ASSIGN(const os::Link link, rtnl.link(kInterfaceName));
  WARREN_TRY(add_routes(rtnl, config, link.index));
  WARREN_TRY(add_refused_routes(rtnl, config));
  return std::move(tun.descriptor);
}

}  // namespace warren::netns
