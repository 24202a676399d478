// Packets of our own from a network: towards the world, and to the hosts of the bridge that it is
// attached to. See probe.hpp for how they are seen.
#include <fmt/format.h>
#include <sys/socket.h>

#include "hostnet/foreign_filter.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/probe.hpp"
#include "hostnet/sysctl.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

using base::IpAddress;
using base::Status;
using plan::Obstacle;

constexpr std::uint16_t kUplinkPort = 33'434;  // where traceroute knocks

Status send_one(const IpAddress& from, const IpAddress& to) {
  WARREN_TRY_ASSIGN(const os::Fd socket,
                    connect_from(from, 0, to, {model::Protocol::Udp, kUplinkPort}));
  std::ignore = ::send(socket.get(), "?", 1, MSG_NOSIGNAL);
  return {};
}

/// What a packet from `from` meets that comes in on a link of the host's.
std::string uplink_table(const std::string& link, const IpAddress& from) {
  const std::string rule =
      fmt::format("\t\tiifname \"{}\" {} saddr {} udp dport {} counter name ", link,
                  from.is_v4() ? "ip" : "ip6", from.to_string(), kUplinkPort);
  return counter_line("came") + counter_line("passed") +
         "\tchain first {\n\t\ttype filter hook prerouting " + kFirst + rule + "came\n\t}\n" +
         "\tchain last {\n\t\ttype filter hook forward " + kLast + rule + "passed drop\n\t}\n";
}

bool has_passed(const Counters& now) { return now.contains("passed") && now.at("passed") != 0; }

/// To everybody on the segment, from the network's place there.
Status send_to_segment(const IpAddress& from) {
  os::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  constexpr std::string_view kLink = plan::kSegment;
  const SocketAddress here = socket_address(from, 0);
  const bool ready =
      socket && setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0 &&
      setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, kLink.data(), kLink.size()) == 0 &&
      bind(socket.get(), here.get(), here.size) == 0;
  if (!ready) return base::os_error("send a probe to the segment");
  const SocketAddress everybody = socket_address(known("255.255.255.255"), kUplinkPort);
  std::ignore = ::sendto(socket.get(), "?", 1, MSG_NOSIGNAL, everybody.get(), everybody.size);
  return {};
}

}  // namespace

base::Result<std::optional<Obstacle>> HostNet::probe_segment(const plan::HostNetwork& network) {
  std::optional<Obstacle> found;
  // A wire is not bridged, and what is bridged is of one kind: IPv4 stands for both.
  const auto link = rtnl_.link(network.attach);
  const bool asks = link && link->kind == "bridge" && network.gateway4;
  if (!asks) return found;
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(network.netns_name()));
  WARREN_TRY(inside("", [&]() -> Status {
    if (read_sysctl("net/bridge/bridge-nf-call-iptables").value_or("0") != "1") return {};
    const std::string name = "warren_probe_" + options_.instance;
    WARREN_TRY_ASSIGN(const OwnedTable table,
                      OwnedTable::create(name, uplink_table(network.attach, *network.gateway4)));
    const auto send = [&] {
      return os::in_netns(space, [&] { return send_to_segment(*network.gateway4); });
    };
    WARREN_TRY_ASSIGN(Counters seen, watch(table, send, has_passed));
    if (seen["came"] == 0 || seen["passed"] != 0) return {};
    WARREN_TRY_ASSIGN(found, find_foreign_filter({.hook = "forward",
                                                  .family = base::Family::V4,
                                                  .port = {},
                                                  .bridge = network.attach,
                                                  .link = network.attach}));
    return {};
  }));
  return found;
}

base::Result<std::optional<Obstacle>> HostNet::probe_uplink(const plan::HostNetwork& network) {
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(network.netns_name()));
  std::optional<Obstacle> found;
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    const bool v4 = family == base::Family::V4;
    const auto out = way_out(routes, family);
    const bool asks = (v4 ? network.subnet4 : network.subnet6).has_value() && out.has_value();
    if (!asks || found) continue;
    const IpAddress from = v4 ? network.transit4_inside : network.transit6_inside;
    WARREN_TRY(inside("", [&]() -> Status {
      const std::string name = "warren_probe_" + options_.instance;
      WARREN_TRY_ASSIGN(const OwnedTable table,
                        OwnedTable::create(name, uplink_table(network.id.uplink_name(), from)));
      const auto send = [&] {
        return os::in_netns(space, [&] { return send_one(from, out->next); });
      };
      WARREN_TRY_ASSIGN(Counters seen, watch(table, send, has_passed));
      // What never arrived was not dropped by a filter of the host's.
      if (seen["came"] == 0 || seen["passed"] != 0) return {};
      WARREN_TRY_ASSIGN(
          found,
          find_foreign_filter(
              {.hook = "forward", .family = family, .port = {}, .link = network.id.uplink_name()}));
      if (!found) found = Obstacle{"something other than a packet filter (routes, rp_filter)", ""};
      return {};
    }));
  }
  return found;
}

}  // namespace warren::hostnet
