// Theory of operation
//
// The picture is DESIGN's: inside a network's namespace the tun, the bridge and the uplink pair;
// on the host one table whose sets name the networks.
//
// Peers are layer-3 and sit behind the tun, while nothing is on the bridge yet. So the gateway's
// addresses are on the tun as host prefixes and the whole subnet is routed to the tun; br0 is up
// and carries no address, for the same subnet on both would make the kernel choose.
//
// A network that is attached to a segment of the host's shares a subnet with hosts that know
// nothing of it. seg0 is its place there: a port of the host's bridge, or a station on the wire of
// another link. The subnet is then on seg0; each member is a host route to the tun and one proxy
// neighbour on seg0, so that exactly the members are answered for, at once (proxy_delay is 0).
// While the segment's link is not there the network is as if it were not attached.
//
// Where the host has access it has a route to the subnets by the transit pair, and what it sends
// there gets the gateway's own address inside: members answer that whatever they route.
//
// A forward is translated twice: on the host from a local address to the network's transit address,
// inside from there to the member. Both are elements of maps, so that one comes and goes without
// touching another. The source is kept where members route everything to the network (NAT); where
// they only know its subnets they see the gateway's address. What the gateway itself opens leaves
// with its transit address. Loopback addresses lead nowhere: the kernel keeps them off every link.
//
// Forwarding. IPv4 and, where the kernel has force_forwarding, IPv6 are switched on for exactly the
// interfaces packets come in on: the networks' uplinks and the host's own uplinks (answers). An
// interface that we switched on is guarded: our table drops what it would otherwise forward to
// others than our networks, so that the host routes for nobody else. Without force_forwarding IPv6
// can only be switched on for all interfaces: then the ones that live on router advertisements
// get accept_ra=2 first and the table drops all IPv6 forwarding that is not ours.
#include <algorithm>

#include "plan/policy.hpp"
#include "plan/steps.hpp"

namespace warren::plan {

namespace {

bool leads_out(const HostNetwork& network) { return network.nat || !network.forwards.empty(); }
bool wants_uplink(const HostNetwork& network) { return leads_out(network) || network.host_access; }

std::uint8_t pair_length(const base::IpAddress& address) { return address.is_v4() ? 31 : 127; }

void add_forwarding(const std::vector<HostNetwork>& networks, const Environment& environment,
                    std::vector<Fact>& out) {
  const bool any4 =
      std::ranges::any_of(networks, [](const HostNetwork& n) { return leads_out(n) && n.subnet4; });
  const bool any6 =
      std::ranges::any_of(networks, [](const HostNetwork& n) { return leads_out(n) && n.subnet6; });
  const std::string table = environment.host_table();
  const auto record = [&](const std::string& key, const char* value) {
    out.push_back(Sysctl{.netns = "", .key = key, .value = value});
  };
  const bool everywhere6 = any6 && !environment.force_forwarding6;
  for (const Uplink& uplink : environment.uplinks) {
    if (any4 && uplink.routes4 && !uplink.forwards4 && !environment.forwards4_everywhere) {
      out.push_back(Guard{.table = table, .family = base::Family::V4, .link = uplink.link});
      record("net/ipv4/conf/" + uplink.link + "/forwarding", "1");
    }
    if (any6 && uplink.routes6 && !uplink.forwards6 && !environment.forwards6_everywhere &&
        !everywhere6) {
      out.push_back(Guard{.table = table, .family = base::Family::V6, .link = uplink.link});
      record("net/ipv6/conf/" + uplink.link + "/force_forwarding", "1");
    }
  }
  if (everywhere6 && !environment.forwards6_everywhere) {
    for (const std::string& link : environment.advertised)
      record("net/ipv6/conf/" + link + "/accept_ra", "2");
    record("net/ipv6/conf/all/forwarding", "1");
  }
}

/// The network's place on the segment of a link that is there.
void add_segment(const HostNetwork& network, SegmentKind kind, std::vector<Fact>& out) {
  const std::string netns = network.netns_name();
  const bool is_bridge = kind == SegmentKind::Bridge;
  out.push_back(Link{.netns = netns,
                     .name = kSegment,
                     .kind = is_bridge ? LinkKind::Veth : LinkKind::Macvlan,
                     .host_name = is_bridge ? network.port_name() : "",
                     .master = network.attach,
                     .station = network.id.value});
  for (Sysctl& sysctl : segment_sysctls(netns, network.subnet6.has_value()))
    out.push_back(std::move(sysctl));
  const auto place = [&](const auto& gateway, const auto& subnet) {
    if (gateway && subnet)
      out.push_back(
          Address{.netns = netns, .link = kSegment, .prefix = {*gateway, subnet->length}});
  };
  place(network.gateway4, network.subnet4);
  place(network.gateway6, network.subnet6);
  for (const base::IpAddress& member : network.attached_members)
    for (Fact& fact : attached_member_facts(network, member)) out.push_back(std::move(fact));
}

void add_inside(const HostNetwork& network, const Environment& environment,
                std::vector<Fact>& out) {
  const std::string netns = network.netns_name();
  const std::string tun = network.id.interface_name();
  out.push_back(Namespace{netns});
  for (Sysctl& sysctl : namespace_sysctls(netns, network.subnet6.has_value()))
    out.push_back(std::move(sysctl));
  out.push_back(Link{.netns = netns, .name = "lo", .kind = LinkKind::Loopback, .host_name = ""});
  out.push_back(Link{
      .netns = netns, .name = tun, .kind = LinkKind::Tun, .host_name = "", .mtu = network.mtu});
  out.push_back(Link{.netns = netns, .name = kBridge, .kind = LinkKind::Bridge, .host_name = ""});
  for (const auto& gateway : {network.gateway4, network.gateway6})
    if (gateway)
      out.push_back(Address{.netns = netns, .link = tun, .prefix = base::Prefix::host(*gateway)});
  const auto segment = environment.segments.find(network.attach);
  if (segment != environment.segments.end()) return add_segment(network, segment->second, out);
  for (const auto& subnet : {network.subnet4, network.subnet6})
    if (subnet)
      out.push_back(
          Route{.netns = netns, .destination = *subnet, .gateway = std::nullopt, .link = tun});
}

void add_uplink(const HostNetwork& network, const Environment& environment,
                std::vector<Fact>& out) {
  const std::string netns = network.netns_name();
  const std::string host_end = network.id.uplink_name();
  out.push_back(
      Link{.netns = netns, .name = kUplink, .kind = LinkKind::Veth, .host_name = host_end});
  const auto pair = [&](const base::IpAddress& host, const base::IpAddress& inside,
                        const base::Prefix& subnet) {
    const std::uint8_t length = pair_length(host);
    out.push_back(Address{.netns = "", .link = host_end, .prefix = {host, length}});
    out.push_back(Address{.netns = netns, .link = kUplink, .prefix = {inside, length}});
    if (network.host_access)
      out.push_back(Route{.netns = "", .destination = subnet, .gateway = inside, .link = host_end});
    if (!leads_out(network)) return;
    const base::IpAddress any = host.is_v4() ? base::IpAddress() : base::IpAddress::v6({});
    out.push_back(Route{.netns = netns, .destination = {any, 0}, .gateway = host, .link = kUplink});
  };
  if (network.subnet4) pair(network.transit4_host, network.transit4_inside, *network.subnet4);
  if (network.subnet6) pair(network.transit6_host, network.transit6_inside, *network.subnet6);
  for (Sysctl& sysctl : uplink_sysctls(host_end, environment.force_forwarding6))
    out.push_back(std::move(sysctl));
  Gate gate{.table = environment.host_table(), .link = host_end};
  if (network.subnet4) gate.transit4 = network.transit4_inside;
  if (network.subnet6) gate.transit6 = network.transit6_inside;
  out.push_back(gate);
}

}  // namespace

std::vector<Fact> desired_facts(const std::vector<HostNetwork>& networks,
                                const Environment& environment) {
  std::vector<Fact> out;
  if (std::ranges::any_of(networks, wants_uplink)) {
    const std::string table = environment.host_table();
    const bool any6 = std::ranges::any_of(
        networks, [](const HostNetwork& n) { return leads_out(n) && n.subnet6; });
    const bool everywhere6 =
        any6 && !environment.force_forwarding6 && !environment.forwards6_everywhere;
    out.push_back(Table{.netns = "", .name = table, .text = host_table_text(table, everywhere6)});
    add_forwarding(networks, environment, out);
  }
  for (const HostNetwork& network : networks) {
    add_inside(network, environment, out);
    if (wants_uplink(network)) add_uplink(network, environment, out);
    if (network.policy) {
      for (Sysctl& sysctl : policy_sysctls(network.netns_name())) out.push_back(std::move(sysctl));
      out.push_back(PolicyFilter{.netns = network.netns_name(),
                                 .text = policy_table_text(network),
                                 .table = *network.policy});
    }
    out.push_back(Table{.netns = network.netns_name(),
                        .name = kNamespaceTable,
                        .text = namespace_table_text(network)});
    for (const HostForward& forward : network.forwards)
      for (PortForward& fact : forward_facts(network, forward, environment.host_table()))
        out.push_back(std::move(fact));
  }
  return out;
}

std::vector<PortForward> forward_facts(const HostNetwork& network, const HostForward& forward,
                                       const std::string& host_table) {
  std::vector<PortForward> out;
  const auto add = [&](const base::IpAddress& transit, const base::IpAddress& member) {
    out.push_back({.netns = "",
                   .table = host_table,
                   .from = forward.from,
                   .to = transit,
                   .to_port = forward.from.port});
    out.push_back({.netns = network.netns_name(),
                   .table = kNamespaceTable,
                   .from = forward.from,
                   .to = member,
                   .to_port = forward.to_port});
  };
  if (forward.to4) add(network.transit4_inside, *forward.to4);
  if (forward.to6) add(network.transit6_inside, *forward.to6);
  return out;
}

std::vector<Fact> attached_member_facts(const HostNetwork& network, const base::IpAddress& member) {
  const std::string netns = network.netns_name();
  return {Route{.netns = netns,
                .destination = base::Prefix::host(member),
                .gateway = std::nullopt,
                .link = network.id.interface_name()},
          ProxyNeighbour{.netns = netns, .link = kSegment, .address = member}};
}

std::vector<Sysctl> segment_sysctls(const std::string& netns, bool v6) {
  const std::string link = kSegment;
  std::vector<Sysctl> out = {{.netns = netns,
                              .key = "net/ipv4/neigh/" + link + "/proxy_delay",
                              .value = "0",
                              .otherwise = "80"}};
  const auto add6 = [&](const std::string& key, const char* value, const char* otherwise) {
    out.push_back({.netns = netns,
                   .key = "net/ipv6/" + key,
                   .value = value,
                   .otherwise = otherwise,
                   .optional = true});
  };
  // What a router of the segment advertises is for its hosts.
  add6("conf/" + link + "/accept_ra", "0", "1");
  if (!v6) {
    add6("conf/" + link + "/disable_ipv6", "1", "0");
    return out;
  }
  add6("neigh/" + link + "/proxy_delay", "0", "80");
  // Without entries this answers for nobody; with them it takes both.
  add6("conf/" + link + "/proxy_ndp", "1", "0");
  return out;
}

std::vector<Sysctl> namespace_sysctls(const std::string& netns, bool v6) {
  // A new namespace copies the IPv4 settings of the first one, whatever they are.
  std::vector<Sysctl> out = {
      {.netns = netns, .key = "net/ipv4/conf/all/forwarding", .value = "1", .otherwise = "0"},
      // Peers reach each other through one tun: each such packet would earn a redirect.
      {.netns = netns, .key = "net/ipv4/conf/all/send_redirects", .value = "0", .otherwise = "1"},
      {.netns = netns,
       .key = "net/ipv4/conf/default/send_redirects",
       .value = "0",
       .otherwise = "1"},
  };
  // Bridged frames must not pass the inet hooks.
  for (const char* key :
       {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables",
        "net/bridge/bridge-nf-call-arptables"})
    out.push_back({.netns = netns, .key = key, .value = "0", .otherwise = "1", .optional = true});
  if (v6)
    out.push_back(
        {.netns = netns, .key = "net/ipv6/conf/all/forwarding", .value = "1", .otherwise = "0"});
  return out;
}

std::vector<Sysctl> policy_sysctls(const std::string& netns) {
  // A connection that was cut stays cut: its packets do not begin it anew in the middle, in
  // whichever direction the next one goes.
  return {{.netns = netns,
           .key = "net/netfilter/nf_conntrack_tcp_loose",
           .value = "0",
           .otherwise = "1"}};
}

std::vector<Sysctl> uplink_sysctls(const std::string& link, bool force_forwarding6) {
  std::vector<Sysctl> out = {{.netns = "",
                              .key = "net/ipv4/conf/" + link + "/forwarding",
                              .value = "1",
                              .otherwise = "0"}};
  if (force_forwarding6)
    out.push_back({.netns = "",
                   .key = "net/ipv6/conf/" + link + "/force_forwarding",
                   .value = "1",
                   .otherwise = "0"});
  return out;
}

}  // namespace warren::plan
