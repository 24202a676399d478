// Theory of operation
//
// One blocking NETLINK_ROUTE socket per Rtnl, strictly one request at a time: send, then read until
// the answer to that sequence number is complete (an error message, or NLMSG_DONE for a dump).
// Answers to earlier sequence numbers cannot be pending, except for a dump that we abandoned at a
// receive error; they are skipped by number. A dump that the kernel marks as interrupted
// (NLM_F_DUMP_INTR: something changed while it ran) is repeated, kDumpAttempts times at most.
//
// A subscribed Rtnl is used for nothing else: notifications carry sequence numbers of their
// originators. drain_changes() reads without waiting; ENOBUFS (notifications lost) counts as a
// change.
#include "os/rtnl.hpp"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "os/netns.hpp"

namespace warren::os {

namespace {

constexpr int kDumpAttempts = 5;
constexpr std::size_t kReceiveSize = 64 << 10;

constexpr std::uint16_t kAckOnly = NLM_F_ACK;
constexpr std::uint16_t kCreate = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;

std::uint8_t family_of(const base::IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

base::Result<std::uint32_t> index_of(Rtnl& rtnl, const std::string& name) {
  WARREN_TRY_ASSIGN(const Link link, rtnl.link(name));
  return link.index;
}

base::Status check_name(const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ && name.find('/') == std::string::npos) return {};
  return base::make_error(base::ErrorKind::Invalid, "'" + name + "' is not an interface name",
                          "use 1 to 15 characters without a slash");
}

Link parse_link(const NetlinkMessage& message) {
  Link link;
  const auto info = body_of<ifinfomsg>(message.payload);
  if (!info) return link;
  link.index = static_cast<std::uint32_t>(info->ifi_index);
  link.up = (info->ifi_flags & IFF_UP) != 0;
  link.is_ethernet = info->ifi_type == ARPHRD_ETHER && (info->ifi_flags & IFF_LOOPBACK) == 0;
  for_each_attribute(attributes_of<ifinfomsg>(message.payload),
                     [&](std::uint16_t type, base::Bytes value) {
                       if (type == IFLA_IFNAME) link.name = text_of(value);
                       if (type == IFLA_IFALIAS) link.alias = text_of(value);
                       if (type == IFLA_MTU) link.mtu = u32_of(value);
                       if (type == IFLA_MASTER) link.master = u32_of(value);
                       if (type == IFLA_LINK) link.peer_index = u32_of(value);
                       if (type == IFLA_GROUP) link.group = u32_of(value);
                       if (type == IFLA_ADDRESS && value.size() == link.mac.size())
                         std::ranges::copy(value, link.mac.begin());
                       if (type != IFLA_LINKINFO) return;
                       for_each_attribute(value, [&](std::uint16_t inner, base::Bytes content) {
                         if (inner == IFLA_INFO_KIND) link.kind = text_of(content);
                       });
                     });
  return link;
}

std::optional<LinkAddress> parse_address(const NetlinkMessage& message) {
  const auto info = body_of<ifaddrmsg>(message.payload);
  if (!info) return std::nullopt;
  std::optional<base::IpAddress> local;
  std::optional<base::IpAddress> address;
  for_each_attribute(attributes_of<ifaddrmsg>(message.payload),
                     [&](std::uint16_t type, base::Bytes value) {
                       if (type == IFA_LOCAL) local = base::IpAddress::from_bytes(value);
                       if (type == IFA_ADDRESS) address = base::IpAddress::from_bytes(value);
                     });
  // On point-to-point links IFA_ADDRESS is the other end; IFA_LOCAL is ours where present.
  if (!local) local = address;
  if (!local) return std::nullopt;
  return LinkAddress{.link = info->ifa_index,
                     .prefix = {.address = *local, .length = info->ifa_prefixlen}};
}

// Appends one Route per next hop.
void parse_multipath(base::Bytes hops, const Route& shared, std::vector<Route>& out) {
  while (hops.size() >= sizeof(rtnexthop)) {
    rtnexthop hop{};
    std::memcpy(&hop, hops.data(), sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > hops.size()) return;
    Route route = shared;
    route.link = static_cast<std::uint32_t>(hop.rtnh_ifindex);
    for_each_attribute(hops.subspan(sizeof hop, hop.rtnh_len - sizeof hop),
                       [&](std::uint16_t type, base::Bytes value) {
                         if (type == RTA_GATEWAY)
                           route.gateway = base::IpAddress::from_bytes(value);
                       });
    out.push_back(route);
    hops = hops.subspan(std::min<std::size_t>(RTNH_ALIGN(hop.rtnh_len), hops.size()));
  }
}

void parse_route(const NetlinkMessage& message, std::vector<Route>& out) {
  const auto info = body_of<rtmsg>(message.payload);
  if (!info || info->rtm_type != RTN_UNICAST || (info->rtm_flags & RTM_F_CLONED) != 0) return;
  if (info->rtm_family != AF_INET && info->rtm_family != AF_INET6) return;
  Route route;
  route.table = info->rtm_table;
  route.protocol = info->rtm_protocol;
  route.destination.length = info->rtm_dst_len;
  if (info->rtm_family == AF_INET6) route.destination.address = base::IpAddress::v6({});
  base::Bytes multipath;
  for_each_attribute(attributes_of<rtmsg>(message.payload),
                     [&](std::uint16_t type, base::Bytes value) {
                       if (type == RTA_DST) {
                         if (const auto to = base::IpAddress::from_bytes(value))
                           route.destination.address = *to;
                       }
                       if (type == RTA_GATEWAY) route.gateway = base::IpAddress::from_bytes(value);
                       if (type == RTA_OIF) route.link = u32_of(value);
                       if (type == RTA_TABLE) route.table = u32_of(value);
                       if (type == RTA_MULTIPATH) multipath = value;
                     });
  if (route.table == RT_TABLE_LOCAL) return;
  if (multipath.empty()) {
    out.push_back(route);
  } else {
    parse_multipath(multipath, route, out);
  }
}

}  // namespace

base::Result<Rtnl> Rtnl::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return base::os_error("open a netlink socket");
  // Bound at once: the kernel skips an unbound socket when it multicasts changes of its own.
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    return base::os_error("bind a netlink socket");
  const int on = 1;
  // Both only improve error answers and dumps; an old kernel without them is fine.
  (void)setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)setsockopt(socket.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  return Rtnl(std::move(socket));
}

base::Result<Rtnl> Rtnl::open_in(const Fd& netns) {
  std::optional<Rtnl> made;
  WARREN_TRY(in_netns(netns, [&]() -> base::Status {
    WARREN_TRY_ASSIGN(Rtnl opened, open());
    made.emplace(std::move(opened));
    return {};
  }));
  return std::move(*made);
}

base::Status Rtnl::transact(NetlinkRequest request, const std::string& what) {
  bool answered = false;
  int failure = 0;
  const auto handle = [&](const NetlinkMessage& message) {
    if (message.type != NLMSG_ERROR) return;
    const auto answer = body_of<nlmsgerr>(message.payload);
    answered = true;
    failure = answer ? -answer->error : EBADMSG;
  };
  const std::uint32_t sequence = ++sequence_;
  const base::Bytes bytes = request.finish(sequence);
  if (send(socket_.get(), bytes.data(), bytes.size(), 0) < 0) return base::os_error(what);
  std::vector<std::uint8_t> buffer(kReceiveSize);
  while (!answered) {
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::os_error(what);
    for_each_message({buffer.data(), static_cast<std::size_t>(size)}, [&](const auto& message) {
      if (message.sequence == sequence) handle(message);
    });
  }
  if (failure != 0) return base::os_error(what, failure);
  return {};
}

base::Status Rtnl::dump(NetlinkRequest request, const std::string& what,
                        const std::function<void(const NetlinkMessage&)>& each) {
  const std::uint32_t sequence = ++sequence_;
  const base::Bytes bytes = request.finish(sequence);
  if (send(socket_.get(), bytes.data(), bytes.size(), 0) < 0) return base::os_error(what);
  std::vector<std::uint8_t> buffer(kReceiveSize);
  bool done = false;
  bool interrupted = false;
  int failure = 0;
  while (!done) {
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return base::os_error(what);
    for_each_message({buffer.data(), static_cast<std::size_t>(size)}, [&](const auto& message) {
      if (message.sequence != sequence) return;
      if ((message.flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (message.type == NLMSG_DONE) {
        done = true;
      } else if (message.type == NLMSG_ERROR) {
        const auto answer = body_of<nlmsgerr>(message.payload);
        failure = answer ? -answer->error : EBADMSG;
        done = true;
      } else {
        each(message);
      }
    });
  }
  if (failure != 0) return base::os_error(what, failure);
  // Told to the caller as EINTR: read_all() below repeats the dump.
  if (interrupted) return base::os_error(what, EINTR);
  return {};
}

namespace {

// Repeats `read` while the kernel says that the dump was interrupted by a change.
base::Status read_all(const std::function<base::Status()>& read) {
  base::Status status;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    status = read();
    if (status || status.error().os_errno != EINTR) return status;
  }
  return status;
}

}  // namespace

base::Result<std::vector<Link>> Rtnl::links() {
  std::vector<Link> out;
  WARREN_TRY(read_all([&] {
    out.clear();
    NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
    request.body(ifinfomsg{});
    return dump(std::move(request), "list links", [&](const NetlinkMessage& message) {
      if (message.type == RTM_NEWLINK) out.push_back(parse_link(message));
    });
  }));
  return out;
}

base::Result<Link> Rtnl::link(const std::string& name) {
  WARREN_TRY(check_name(name));
  NetlinkRequest request(RTM_GETLINK, NLM_F_ACK);
  request.body(ifinfomsg{}).text(IFLA_IFNAME, name);
  std::optional<Link> found;
  // A single get answers with the link and then, as NLM_F_ACK asks for, with an error of 0.
  WARREN_TRY(dump(std::move(request), "find link " + name, [&](const NetlinkMessage& message) {
    if (message.type == RTM_NEWLINK) found = parse_link(message);
  }));
  if (!found) return base::os_error("find link " + name, ENODEV);
  return std::move(*found);
}

base::Result<std::vector<LinkAddress>> Rtnl::addresses() {
  std::vector<LinkAddress> out;
  WARREN_TRY(read_all([&] {
    out.clear();
    NetlinkRequest request(RTM_GETADDR, NLM_F_DUMP);
    request.body(ifaddrmsg{});
    return dump(std::move(request), "list addresses", [&](const NetlinkMessage& message) {
      if (auto address = parse_address(message)) out.push_back(*address);
    });
  }));
  return out;
}

base::Result<std::vector<Route>> Rtnl::routes() {
  std::vector<Route> out;
  WARREN_TRY(read_all([&] {
    out.clear();
    NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP);
    request.body(rtmsg{});
    return dump(std::move(request), "list routes",
                [&](const NetlinkMessage& message) { parse_route(message, out); });
  }));
  return out;
}

base::Status Rtnl::add_bridge(const std::string& name) {
  WARREN_TRY(check_name(name));
  NetlinkRequest request(RTM_NEWLINK, kCreate);
  request.body(ifinfomsg{}).text(IFLA_IFNAME, name);
  request.nested(IFLA_LINKINFO, [](NetlinkRequest& info) { info.text(IFLA_INFO_KIND, "bridge"); });
  return transact(std::move(request), "add bridge " + name);
}

base::Status Rtnl::add_veth(const std::string& name, const std::string& peer_name, int peer_netns,
                            std::uint32_t peer_group) {
  WARREN_TRY(check_name(name));
  WARREN_TRY(check_name(peer_name));
  NetlinkRequest request(RTM_NEWLINK, kCreate);
  request.body(ifinfomsg{}).text(IFLA_IFNAME, name);
  request.nested(IFLA_LINKINFO, [&](NetlinkRequest& info) {
    info.text(IFLA_INFO_KIND, "veth");
    info.nested(IFLA_INFO_DATA, [&](NetlinkRequest& data) {
      data.nested(VETH_INFO_PEER, [&](NetlinkRequest& peer) {
        peer.body(ifinfomsg{}).text(IFLA_IFNAME, peer_name);
        if (peer_netns >= 0) peer.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_netns));
        if (peer_group != 0) peer.u32(IFLA_GROUP, peer_group);
      });
    });
  });
  return transact(std::move(request), "add veth " + name + " with peer " + peer_name);
}

base::Status Rtnl::delete_link(const std::string& name) {
  WARREN_TRY(check_name(name));
  NetlinkRequest request(RTM_DELLINK, kAckOnly);
  request.body(ifinfomsg{}).text(IFLA_IFNAME, name);
  return transact(std::move(request), "delete link " + name);
}

base::Status Rtnl::set_group(const std::string& name, std::uint32_t group) {
  return set_link(name, "set the group of " + name, 0, 0,
                  [&](NetlinkRequest& request) { request.u32(IFLA_GROUP, group); });
}

base::Status Rtnl::delete_group(std::uint32_t group) {
  NetlinkRequest request(RTM_DELLINK, kAckOnly);
  request.body(ifinfomsg{}).u32(IFLA_GROUP, group);
  return transact(std::move(request), "delete the links of group " + std::to_string(group));
}

base::Status Rtnl::set_link(const std::string& name, const std::string& what, unsigned flags,
                            unsigned change, const std::function<void(NetlinkRequest&)>& fill) {
  WARREN_TRY(check_name(name));
  ifinfomsg info{};
  info.ifi_flags = flags;
  info.ifi_change = change;
  NetlinkRequest request(RTM_NEWLINK, kAckOnly);
  request.body(info).text(IFLA_IFNAME, name);
  fill(request);
  return transact(std::move(request), what);
}

base::Status Rtnl::set_up(const std::string& name, bool up) {
  return set_link(name, "set link " + name + (up ? " up" : " down"), up ? unsigned{IFF_UP} : 0U,
                  IFF_UP, [](NetlinkRequest&) {});
}

base::Status Rtnl::set_mtu(const std::string& name, std::uint32_t mtu) {
  return set_link(name, "set mtu " + std::to_string(mtu) + " of " + name, 0, 0,
                  [&](NetlinkRequest& request) { request.u32(IFLA_MTU, mtu); });
}

base::Status Rtnl::set_queueing(const std::string& name, const LinkQueueing& queueing) {
  return set_link(name, "set the queueing of " + name, 0, 0, [&](NetlinkRequest& request) {
    if (queueing.queue_length != 0) request.u32(IFLA_TXQLEN, queueing.queue_length);
    if (queueing.gso_max_segments != 0) request.u32(IFLA_GSO_MAX_SEGS, queueing.gso_max_segments);
    if (queueing.gso_max_bytes != 0) request.u32(IFLA_GSO_MAX_SIZE, queueing.gso_max_bytes);
  });
}

base::Status Rtnl::set_noqueue(const std::string& name) {
  const std::string what = "take the queueing discipline from " + name;
  auto index = index_of(*this, name);
  if (!index) return std::move(index).within(what).error();
  tcmsg info{};
  info.tcm_ifindex = static_cast<int>(*index);
  info.tcm_parent = TC_H_ROOT;
  constexpr int kFlags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
  NetlinkRequest request(RTM_NEWQDISC, static_cast<std::uint16_t>(kFlags));
  request.body(info).text(TCA_KIND, "noqueue");
  return transact(std::move(request), what);
}

base::Status Rtnl::set_alias(const std::string& name, const std::string& alias) {
  return set_link(name, "set alias of " + name, 0, 0, [&](NetlinkRequest& request) {
    // Without the terminating zero, which would become part of the alias; empty removes it.
    request.attribute(IFLA_IFALIAS, base::as_bytes(alias));
  });
}

base::Status Rtnl::set_master(const std::string& name, const std::string& master) {
  std::uint32_t index = 0;
  if (!master.empty()) {
    WARREN_TRY_ASSIGN(index, index_of(*this, master));
  }
  return set_link(name, "set master of " + name + " to '" + master + "'", 0, 0,
                  [&](NetlinkRequest& request) { request.u32(IFLA_MASTER, index); });
}

base::Status Rtnl::move_to_netns(const std::string& name, const Fd& netns) {
  return set_link(name, "move " + name + " to another namespace", 0, 0,
                  [&](NetlinkRequest& request) {
                    request.u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns.get()));
                  });
}

base::Status Rtnl::change_address(std::uint16_t type, std::uint16_t flags, const std::string& name,
                                  const base::Prefix& prefix) {
  const std::string what = (type == RTM_NEWADDR ? "add address " : "delete address ") +
                           prefix.to_string() + (type == RTM_NEWADDR ? " to " : " of ") + name;
  auto index = index_of(*this, name);
  if (!index) return std::move(index).within(what).error();
  ifaddrmsg info{};
  info.ifa_family = family_of(prefix.address);
  info.ifa_prefixlen = prefix.length;
  info.ifa_index = *index;
  NetlinkRequest request(type, flags);
  request.body(info)
      .attribute(IFA_LOCAL, prefix.address.bytes())
      .attribute(IFA_ADDRESS, prefix.address.bytes());
  // Duplicate address detection would keep the address unusable for a second.
  if (type == RTM_NEWADDR && prefix.address.is_v6()) request.u32(IFA_FLAGS, IFA_F_NODAD);
  return transact(std::move(request), what);
}

base::Status Rtnl::add_address(const std::string& name, const base::Prefix& prefix) {
  return change_address(RTM_NEWADDR, kCreate, name, prefix);
}

base::Status Rtnl::delete_address(const std::string& name, const base::Prefix& prefix) {
  return change_address(RTM_DELADDR, kAckOnly, name, prefix);
}

base::Status Rtnl::change_route(std::uint16_t type, std::uint16_t flags, const Route& route,
                                const std::string& what) {
  rtmsg info{};
  info.rtm_family = family_of(route.destination.address);
  info.rtm_dst_len = route.destination.length;
  info.rtm_table =
      route.table < 256 ? static_cast<std::uint8_t>(route.table) : std::uint8_t{RT_TABLE_UNSPEC};
  const bool adding = type == RTM_NEWROUTE;
  info.rtm_type = adding ? std::uint8_t{RTN_UNICAST} : std::uint8_t{RTN_UNSPEC};
  info.rtm_protocol =
      route.protocol != 0 ? route.protocol : (adding ? std::uint8_t{RTPROT_BOOT} : std::uint8_t{0});
  // A deletion takes the scope as it is; an addition without a gateway is on the link.
  info.rtm_scope = !adding ? std::uint8_t{RT_SCOPE_NOWHERE}
                           : (route.gateway || route.destination.address.is_v6()
                                  ? std::uint8_t{RT_SCOPE_UNIVERSE}
                                  : std::uint8_t{RT_SCOPE_LINK});
  const base::Prefix destination = route.destination.network();
  NetlinkRequest request(type, flags);
  request.body(info).attribute(RTA_DST, destination.address.bytes()).u32(RTA_TABLE, route.table);
  if (route.link != 0) request.u32(RTA_OIF, route.link);
  if (route.gateway) request.attribute(RTA_GATEWAY, route.gateway->bytes());
  return transact(std::move(request), what + " " + destination.to_string());
}

base::Status Rtnl::add_route(const Route& route, bool replace) {
  const int how = replace ? NLM_F_REPLACE : NLM_F_EXCL;
  return change_route(RTM_NEWROUTE, static_cast<std::uint16_t>(NLM_F_ACK | NLM_F_CREATE | how),
                      route, "add route");
}

base::Status Rtnl::delete_route(const Route& route) {
  return change_route(RTM_DELROUTE, kAckOnly, route, "delete route");
}

base::Status Rtnl::subscribe() {
  constexpr std::array<int, 5> kGroups = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                          RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
  for (const int group : kGroups) {
    if (setsockopt(socket_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return base::os_error("subscribe to network changes");
  }
  return socket_.set_nonblocking();
}

base::Result<bool> Rtnl::drain_changes() {
  std::vector<std::uint8_t> buffer(kReceiveSize);
  bool changed = false;
  for (;;) {
    const ssize_t size = recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size >= 0 || errno == ENOBUFS) {
      changed = true;
    } else if (errno == EAGAIN) {
      return changed;
    } else if (errno != EINTR) {
      return base::os_error("read network changes");
    }
  }
}

}  // namespace warren::os
