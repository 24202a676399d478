// Rtnl: the one typed rtnetlink client. Bound to the network namespace its socket was made in.
//
// Source: rtnetlink(7), RFC 3549; attributes as in linux/if_link.h, if_addr.h, rtnetlink.h.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"
#include "os/netlink_message.hpp"

namespace warren::os {

using MacAddress = std::array<std::uint8_t, 6>;

struct Link {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;   ///< "bridge", "veth", "tun" …; empty for physical
  std::string alias;  ///< IFLA_IFALIAS
  bool up = false;
  std::uint32_t mtu = 0;
  std::uint32_t master = 0;
  std::uint32_t peer_index = 0;  ///< IFLA_LINK
  std::uint32_t group = 0;       ///< links that are named together, within a namespace
  bool is_ethernet = false;      ///< and no loopback
  MacAddress mac{};              ///< of an Ethernet link
};
struct LinkAddress {
  std::uint32_t link = 0;
  base::Prefix prefix;  ///< host bits set
};
struct Route {
  base::Prefix destination;
  std::optional<base::IpAddress> gateway;
  std::uint32_t link = 0;
  std::uint32_t table = 254;
  std::uint8_t protocol = 0;
};

/// A rule of policy routing: which packets look for their route in `table`. 0 of `mark` and
/// `udp_source_port`: any.
struct Rule {
  base::Family family = base::Family::V4;
  std::uint32_t priority = 0;  ///< the lowest is asked first
  std::uint32_t table = 0;
  std::uint32_t mark = 0;                 ///< the whole mark
  bool inverted = false;                  ///< packets that do not match
  std::uint16_t udp_source_port = 0;      ///< needs Linux 4.17
  bool suppresses_default_route = false;  ///< what is found is not used if it leads to anywhere
  bool operator==(const Rule&) const = default;
};

/// An address that the kernel answers for on a link, where it is asked who has it (ARP, ND).
struct ProxyNeighbour {
  std::uint32_t link = 0;
  base::IpAddress address;
};

/// How a device queues and cuts; 0 leaves a value as it is.
struct LinkQueueing {
  std::uint32_t queue_length = 0;      ///< packets that wait for the device
  std::uint32_t gso_max_segments = 0;  ///< the largest super-packet the device is handed
  std::uint32_t gso_max_bytes = 0;
};

class Rtnl {
 public:
  /// A socket in the calling thread's namespace.
  [[nodiscard]] static base::Result<Rtnl> open();
  /// A socket in another namespace (made on a thread of its own).
  [[nodiscard]] static base::Result<Rtnl> open_in(const Fd& netns);

  [[nodiscard]] base::Result<std::vector<Link>> links();
  /// NotFound when there is none of this name.
  [[nodiscard]] base::Result<Link> link(const std::string& name);
  [[nodiscard]] base::Result<std::vector<LinkAddress>> addresses();
  /// Unicast routes of every table but "local"; a multipath route counts once per next hop.
  [[nodiscard]] base::Result<std::vector<Route>> routes();

  /// The rules of both families.
  [[nodiscard]] base::Result<std::vector<Rule>> rules();

  [[nodiscard]] base::Status add_bridge(const std::string& name);
  /// A veth pair; `peer_netns` places the peer at once in another namespace (-1: this one), where
  /// it is born into `peer_group`.
  [[nodiscard]] base::Status add_veth(const std::string& name, const std::string& peer_name,
                                      int peer_netns = -1, std::uint32_t peer_group = 0);
  [[nodiscard]] base::Status delete_link(const std::string& name);
  [[nodiscard]] base::Status set_group(const std::string& name, std::uint32_t group);
  /// Deletes every link of the namespace that is in the group, in one step of the kernel's: each
  /// deletion by itself waits some 30 ms until nobody can use the link any more. NotFound: none is.
  [[nodiscard]] base::Status delete_group(std::uint32_t group);
  [[nodiscard]] base::Status set_up(const std::string& name, bool up);
  [[nodiscard]] base::Status set_mtu(const std::string& name, std::uint32_t mtu);
  /// Sockets of the namespace make their super-packets as small as `gso_*` says; a larger one that
  /// is forwarded to the device is cut into single packets by the kernel, which is slow.
  [[nodiscard]] base::Status set_queueing(const std::string& name, const LinkQueueing& queueing);
  /// No queueing discipline: packets go straight to the device, as they do with the kernel's own
  /// tunnels. Set before the link comes up it spares a multi-queue tun one discipline for each of
  /// its 256 possible queues, 6 MiB of the kernel's memory.
  [[nodiscard]] base::Status set_noqueue(const std::string& name);
  [[nodiscard]] base::Status set_alias(const std::string& name, const std::string& alias);
  /// Empty `master` detaches.
  [[nodiscard]] base::Status set_master(const std::string& name, const std::string& master);
  [[nodiscard]] base::Status move_to_netns(const std::string& name, const Fd& netns);
  /// `prefix` with host bits, for example 10.0.0.1/24. IPv6 addresses are added with nodad.
  [[nodiscard]] base::Status add_address(const std::string& name, const base::Prefix& prefix);
  [[nodiscard]] base::Status delete_address(const std::string& name, const base::Prefix& prefix);
  /// Replaces a route of the same destination when `replace`.
  [[nodiscard]] base::Status add_route(const Route& route, bool replace = false);
  [[nodiscard]] base::Status delete_route(const Route& route);
  [[nodiscard]] base::Status add_rule(const Rule& rule);
  /// Deletes the rule that is this one in every respect.
  [[nodiscard]] base::Status delete_rule(const Rule& rule);
  [[nodiscard]] base::Status add_proxy_neighbour(const std::string& name,
                                                 const base::IpAddress& address);
  [[nodiscard]] base::Status delete_proxy_neighbour(const std::string& name,
                                                    const base::IpAddress& address);
  [[nodiscard]] base::Result<std::vector<ProxyNeighbour>> proxy_neighbours();
  /// Who has an address on a link, for good: nobody is asked.
  [[nodiscard]] base::Status add_neighbour(const std::string& name, const base::IpAddress& address,
                                           const MacAddress& mac);
  /// A further station on the wire of `lower`, a link of this namespace, made in another one (mode
  /// bridge: it reaches other such stations, but not this namespace's own address on `lower`).
  [[nodiscard]] base::Status add_macvlan(const std::string& name, const std::string& lower,
                                         const Fd& netns);
  [[nodiscard]] base::Status set_mac(const std::string& name, const MacAddress& mac);
  /// Whatever comes in on `name` comes in on the link of this index instead, before any filter sees
  /// it. Ends with the link `name`. Fails where the kernel has no traffic control (Linux:
  /// sch_ingress, cls_u32, act_mirred).
  [[nodiscard]] base::Status redirect_incoming(const std::string& name, std::uint32_t to);

  /// Subscribes to link, address and route changes; `descriptor()` becomes readable. Use a Rtnl
  /// of its own for this.
  [[nodiscard]] base::Status subscribe();
  /// Reads what is pending; true when something changed.
  [[nodiscard]] base::Result<bool> drain_changes();
  [[nodiscard]] int descriptor() const { return socket_.get(); }

 private:
  explicit Rtnl(Fd socket) : socket_(std::move(socket)) {}
  [[nodiscard]] base::Status transact(NetlinkRequest request, const std::string& what);
  [[nodiscard]] base::Status dump(NetlinkRequest request, const std::string& what,
                                  const std::function<void(const NetlinkMessage&)>& each);
  [[nodiscard]] base::Status set_link(const std::string& name, const std::string& what,
                                      unsigned flags, unsigned change,
                                      const std::function<void(NetlinkRequest&)>& fill);
  [[nodiscard]] base::Status change_address(std::uint16_t type, std::uint16_t flags,
                                            const std::string& name, const base::Prefix& prefix);
  [[nodiscard]] base::Status change_route(std::uint16_t type, std::uint16_t flags,
                                          const Route& route, const std::string& what);
  [[nodiscard]] base::Status change_rule(std::uint16_t type, std::uint16_t flags, const Rule& rule,
                                         const std::string& what);
  [[nodiscard]] base::Status change_proxy_neighbour(std::uint16_t type, std::uint16_t flags,
                                                    const std::string& name,
                                                    const base::IpAddress& address,
                                                    const std::string& what);

  Fd socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace warren::os
