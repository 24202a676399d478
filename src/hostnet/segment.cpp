// Networks on segments of the host's (DESIGN section 4): the port of a bridge or the station on a
// wire, and the members that are answered for there.
#include <algorithm>

#include "hostnet/host_net.hpp"
#include "hostnet/neighbour_probe.hpp"
#include "hostnet/station.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

using base::ErrorKind;
using base::Status;

Status unless_gone(Status status) {
  if (!status && (status.error().kind == ErrorKind::NotFound || status.error().os_errno == ENOENT ||
                  status.error().os_errno == ESRCH))
    return {};
  return status;
}

Status unless_there(Status status) {
  if (!status && status.error().os_errno == EEXIST) return {};
  return status;
}

}  // namespace

base::Result<plan::SegmentFacts> HostNet::find_segment(const std::string& name) {
  auto link = rtnl_.link(name);
  if (!link) {
    if (link.error().kind != ErrorKind::NotFound) return std::move(link).error();
    return base::make_error(ErrorKind::NotFound, "there is no link " + name,
                            "`ip link` shows all; give a bridge or an Ethernet interface");
  }
  if (link->alias == alias())
    return base::make_error(ErrorKind::Invalid, name + " is this gateway's own",
                            "give a bridge or an Ethernet interface that is there already");
  if (!link->is_ethernet)
    return base::make_error(ErrorKind::Invalid, name + " is no Ethernet link",
                            "give a bridge or an Ethernet interface");
  if (link->master != 0) {
    WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl_.links());
    const auto master = std::ranges::find(links, link->master, &os::Link::index);
    const std::string owner = master != links.end() ? master->name : "another link";
    return base::make_error(ErrorKind::Conflict, name + " is a port of " + owner,
                            "attach to " + owner + " instead: its segment is the same");
  }
  plan::SegmentFacts out{
      .is_bridge = link->kind == "bridge", .up = link->up, .index = link->index, .addresses = {}};
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl_.addresses());
  for (const os::LinkAddress& address : addresses)
    if (address.link == link->index && !address.prefix.address.is_link_local())
      out.addresses.push_back(address.prefix);
  return out;
}

Status HostNet::enslave(const plan::Link& link) {
  if (link.master.empty()) return rtnl_.set_master(link.host_name, "");
  const std::string what = "attach to " + link.master;
  auto bridge = rtnl_.link(link.master);
  if (!bridge) return std::move(bridge).error().within(what);
  // A bridge has the smallest MTU of its ports: this one must not make it smaller.
  WARREN_TRY(inside(link.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    return rtnl.set_mtu(link.name, bridge->mtu);
  }));
  WARREN_TRY(rtnl_.set_mtu(link.host_name, bridge->mtu).within(what));
  return rtnl_.set_master(link.host_name, link.master).within(what);
}

Status HostNet::change(const plan::ProxyNeighbour* before, const plan::ProxyNeighbour* after) {
  const plan::ProxyNeighbour& shown = after != nullptr ? *after : *before;
  return inside(shown.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    if (after != nullptr) return rtnl.add_proxy_neighbour(shown.link, shown.address);
    return unless_gone(rtnl.delete_proxy_neighbour(shown.link, shown.address));
  });
}

Status HostNet::change_attached_members(const plan::HostNetwork& network,
                                        const std::vector<base::IpAddress>& gone,
                                        const std::vector<base::IpAddress>& come) {
  return inside(network.netns_name(), [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    const auto tun = rtnl.link(network.id.interface_name());
    const auto segment = rtnl.link(plan::kSegment);
    // Where there is no segment now, nobody is answered for: the next plan makes what must be.
    if (!segment && segment.error().kind == ErrorKind::NotFound) return {};
    if (!segment) return segment.error();
    if (!tun) return tun.error();
    const auto route = [&](const base::IpAddress& member) {
      return os::Route{.destination = base::Prefix::host(member),
                       .gateway = std::nullopt,
                       .link = tun->index,
                       .protocol = plan::kRouteProtocol};
    };
    for (const base::IpAddress& member : gone) {
      WARREN_TRY(unless_gone(rtnl.delete_proxy_neighbour(plan::kSegment, member)));
      WARREN_TRY(unless_gone(rtnl.delete_route(route(member))));
    }
    for (const base::IpAddress& member : come) {
      WARREN_TRY(unless_there(rtnl.add_route(route(member))));
      WARREN_TRY(rtnl.add_proxy_neighbour(plan::kSegment, member));
    }
    return {};
  });
}

base::Result<std::vector<plan::Occupant>> HostNet::find_occupants(
    const plan::HostNetwork& network, const std::vector<base::IpAddress>& addresses) {
  std::vector<plan::Occupant> out;
  if (addresses.empty()) return out;
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> own, rtnl_.addresses());
  std::vector<base::IpAddress> asked;
  for (const base::IpAddress& address : addresses) {
    const bool is_own = std::ranges::any_of(
        own, [&](const os::LinkAddress& held) { return held.prefix.address == address; });
    if (is_own) out.push_back({address, "this host"});
    if (!is_own) asked.push_back(address);
  }
  WARREN_TRY_ASSIGN(const os::Link link, rtnl_.link(network.attach));
  if (!link.up || asked.empty()) return out;  // nobody can be asked
  const os::MacAddress us = station_mac(kStationMacStart, network.id.value);
  WARREN_TRY(inside("", [&]() -> Status {
    WARREN_TRY_ASSIGN(const auto answers, ask_neighbours(link, asked));
    for (const NeighbourAnswer& answer : answers)
      if (answer.mac != us) out.push_back({answer.address, to_text(answer.mac)});
    return {};
  }));
  return out;
}

}  // namespace warren::hostnet
