// Stations on a wire: addresses that the kernel answers for, further devices on a link, and the
// hardware addresses of links.
//
// Proxy neighbours have a table of their own in the kernel: a dump that asks for NTF_PROXY lists
// them for both families.
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "os/rtnl.hpp"

namespace warren::os {

base::Status Rtnl::change_proxy_neighbour(std::uint16_t type, std::uint16_t flags,
                                          const std::string& name, const base::IpAddress& address,
                                          const std::string& what) {
  auto on = link(name);
  if (!on) return std::move(on).within(what).error();
  ndmsg info{};
  info.ndm_family = address.is_v4() ? AF_INET : AF_INET6;
  info.ndm_ifindex = static_cast<int>(on->index);
  info.ndm_state = NUD_PERMANENT;
  info.ndm_flags = NTF_PROXY;
  NetlinkRequest request(type, flags);
  request.body(info).attribute(NDA_DST, address.bytes());
  return transact(std::move(request), what);
}

base::Status Rtnl::add_proxy_neighbour(const std::string& name, const base::IpAddress& address) {
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE;
  return change_proxy_neighbour(RTM_NEWNEIGH, static_cast<std::uint16_t>(kFlags), name, address,
                                "add proxy neighbour " + address.to_string() + " on " + name);
}

base::Status Rtnl::delete_proxy_neighbour(const std::string& name, const base::IpAddress& address) {
  return change_proxy_neighbour(RTM_DELNEIGH, NLM_F_ACK, name, address,
                                "delete proxy neighbour " + address.to_string() + " of " + name);
}

base::Status Rtnl::add_neighbour(const std::string& name, const base::IpAddress& address,
                                 const MacAddress& mac) {
  const std::string what = "add neighbour " + address.to_string() + " on " + name;
  auto on = link(name);
  if (!on) return std::move(on).within(what).error();
  ndmsg info{};
  info.ndm_family = address.is_v4() ? AF_INET : AF_INET6;
  info.ndm_ifindex = static_cast<int>(on->index);
  info.ndm_state = NUD_PERMANENT;
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
  NetlinkRequest request(RTM_NEWNEIGH, static_cast<std::uint16_t>(kFlags));
  request.body(info).attribute(NDA_DST, address.bytes()).attribute(NDA_LLADDR, mac);
  return transact(std::move(request), what);
}

base::Result<std::vector<ProxyNeighbour>> Rtnl::proxy_neighbours() {
  std::vector<ProxyNeighbour> out;
  for (const int family : {AF_INET, AF_INET6}) {
    ndmsg wanted{};
    wanted.ndm_family = static_cast<std::uint8_t>(family);
    wanted.ndm_flags = NTF_PROXY;
    NetlinkRequest request(RTM_GETNEIGH, NLM_F_DUMP);
    request.body(wanted);
    WARREN_TRY(dump(std::move(request), "list proxy neighbours", [&](const NetlinkMessage& m) {
      const auto info = body_of<ndmsg>(m.payload);
      if (m.type != RTM_NEWNEIGH || !info || (info->ndm_flags & NTF_PROXY) == 0) return;
      for_each_attribute(attributes_of<ndmsg>(m.payload), [&](std::uint16_t type, base::Bytes v) {
        const auto address = type == NDA_DST ? base::IpAddress::from_bytes(v) : std::nullopt;
        if (address) out.push_back({static_cast<std::uint32_t>(info->ndm_ifindex), *address});
      });
    }));
  }
  return out;
}

base::Status Rtnl::add_macvlan(const std::string& name, const std::string& lower, const Fd& netns) {
  const std::string what = "add station " + name + " on " + lower;
  auto on = link(lower);
  if (!on) return std::move(on).within(what).error();
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  NetlinkRequest request(RTM_NEWLINK, static_cast<std::uint16_t>(kFlags));
  request.body(ifinfomsg{}).text(IFLA_IFNAME, name).u32(IFLA_LINK, on->index);
  request.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns.get()));
  request.nested(IFLA_LINKINFO, [](NetlinkRequest& info) {
    info.text(IFLA_INFO_KIND, "macvlan");
    info.nested(IFLA_INFO_DATA,
                [](NetlinkRequest& data) { data.u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE); });
  });
  return transact(std::move(request), what);
}

base::Status Rtnl::set_mac(const std::string& name, const MacAddress& mac) {
  return set_link(name, "set the hardware address of " + name, 0, 0,
                  [&](NetlinkRequest& request) { request.attribute(IFLA_ADDRESS, mac); });
}

}  // namespace warren::os
