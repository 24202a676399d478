// Theory of operation
//
// What is ours is found by its mark: the host's table by its name, the host's ends of uplinks by
// their alias, namespaces by the alias of their loopback. Only kinds of facts that plans know are
// reported; what others put into a namespace of ours (a container's interface, its routes) is left
// out and so left alone. A setting is reported only while it has the value a plan would give it.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "hostnet/host_net.hpp"
#include "hostnet/nftables.hpp"
#include "hostnet/station.hpp"
#include "hostnet/sysctl.hpp"
#include "os/netns.hpp"
#include "plan/policy.hpp"

namespace warren::hostnet {

namespace {

using base::Status;

constexpr const char* kAllForwarding6 = "net/ipv6/conf/all/forwarding";
constexpr std::string_view kMark = "warren:";
constexpr const char* kNetnsFolder = "/run/netns";
constexpr std::string_view kNetnsPrefix = "warren-";
constexpr std::uint32_t kMainTable = 254;

const os::Link* find_link(const std::vector<os::Link>& links, std::uint32_t index) {
  const auto at = std::ranges::find(links, index, &os::Link::index);
  return at == links.end() ? nullptr : &*at;
}

std::string owner_of(const std::string& alias) {
  if (!alias.starts_with(kMark)) return "was not made by warren";
  return "belongs to warren instance " + alias.substr(kMark.size());
}

// "wr" or "wh" and 8 hexadecimal digits.
bool is_network_link(const std::string& name, std::string_view start) {
  constexpr std::size_t kLength = 10;
  return name.size() == kLength && name.starts_with(start) &&
         name.find_first_not_of("0123456789abcdef", start.size()) == std::string::npos;
}

struct Space {
  RuleMemory& rules;
  const std::string& netns;
  const std::vector<os::Link>& host_links;
  const std::string& alias;
};

/// A network's place on a segment: which bridge it is a port of, or whose wire it is on.
void add_segment(const os::Link& link, const Space& space, plan::Link& out) {
  const bool is_veth = link.kind == "veth";
  out.kind = is_veth ? plan::LinkKind::Veth : plan::LinkKind::Macvlan;
  out.station = station_of(link.mac);
  const os::Link* other = find_link(space.host_links, link.peer_index);
  if (other == nullptr) return;
  if (!is_veth) {
    out.master = other->name;
    return;
  }
  if (other->alias != space.alias) return;
  out.host_name = other->name;
  out.up = link.up && other->up;
  const os::Link* bridge = find_link(space.host_links, other->master);
  if (bridge != nullptr) out.master = bridge->name;
}

std::optional<plan::Link> to_fact(const os::Link& link, const Space& space) {
  plan::Link out{.netns = space.netns, .name = link.name, .host_name = "", .up = link.up};
  if (link.name == "lo") {
    out.kind = plan::LinkKind::Loopback;
  } else if (is_network_link(link.name, "wr") && link.kind == "tun") {
    out.kind = plan::LinkKind::Tun;
    out.mtu = link.mtu;
  } else if (link.name == plan::kBridge && link.kind == "bridge") {
    out.kind = plan::LinkKind::Bridge;
  } else if (link.name == plan::kUplink && link.kind == "veth") {
    out.kind = plan::LinkKind::Veth;
    const os::Link* peer = find_link(space.host_links, link.peer_index);
    if (peer != nullptr && peer->alias == space.alias) {
      out.host_name = peer->name;
      out.up = link.up && peer->up;
    }
  } else if (link.name == plan::kSegment && (link.kind == "veth" || link.kind == "macvlan")) {
    add_segment(link, space, out);
  } else {
    return std::nullopt;
  }
  return out;
}

void add_addresses(const std::vector<os::LinkAddress>& addresses,
                   const std::vector<os::Link>& links, const std::string& netns,
                   std::vector<plan::Fact>& out) {
  for (const os::LinkAddress& address : addresses) {
    const os::Link* link = find_link(links, address.link);
    if (link == nullptr || link->name == "lo" || address.prefix.address.is_link_local()) continue;
    out.push_back(plan::Address{.netns = netns, .link = link->name, .prefix = address.prefix});
  }
}

void add_sysctls(const std::vector<plan::Sysctl>& wanted, std::vector<plan::Fact>& out) {
  for (const plan::Sysctl& sysctl : wanted) {
    const auto value = read_sysctl(sysctl.key);
    if (value ? *value == sysctl.value : sysctl.optional) out.push_back(sysctl);
  }
}

/// Of a network that is attached to a segment. Those that only a network with IPv6 has count when
/// they are as it would have them.
void add_segment_sysctls(const std::string& netns, std::vector<plan::Fact>& out) {
  const std::vector<plan::Sysctl> without6 = plan::segment_sysctls(netns, false);
  add_sysctls(without6, out);
  for (const plan::Sysctl& sysctl : plan::segment_sysctls(netns, true)) {
    const bool known = std::ranges::find(without6, sysctl) != without6.end();
    if (!known && read_sysctl(sysctl.key) == sysctl.value) out.push_back(sysctl);
  }
}

void add_forwards(const NftElements& elements, const std::string& netns, const std::string& table,
                  std::vector<plan::Fact>& out) {
  for (const NftElements::Forward& forward : elements.forwards)
    out.push_back(plan::PortForward{.netns = netns,
                                    .table = table,
                                    .from = forward.from,
                                    .to = forward.to,
                                    .to_port = forward.to_port});
}

// Runs inside the namespace.
Status observe_policy(const std::string& netns, std::vector<plan::Fact>& out) {
  auto text = list_nft_table(plan::kPolicyTable);
  if (!text && text.error().kind == base::ErrorKind::NotFound) return {};
  if (!text) return std::move(text).error();
  WARREN_TRY_ASSIGN(NftPolicy policy, list_nft_policy(plan::kPolicyTable));
  if (policy.has_others) *text += "# with foreign elements\n";
  out.push_back(plan::PolicyFilter{
      .netns = netns, .text = std::move(*text), .table = std::move(policy.table)});
  return {};
}

// Runs inside the namespace.
Status observe_rules(const std::string& netns, std::vector<plan::Fact>& out) {
  WARREN_TRY(observe_policy(netns, out));
  auto text = list_nft_table(plan::kNamespaceTable);
  if (!text && text.error().kind == base::ErrorKind::NotFound) return {};
  if (!text) return std::move(text).error();
  if (text->find("map forwards4") != std::string::npos) {
    WARREN_TRY_ASSIGN(const NftElements elements, list_nft_elements(plan::kNamespaceTable));
    add_forwards(elements, netns, plan::kNamespaceTable, out);
    if (elements.has_others) *text += "# with foreign elements\n";
  }
  out.push_back(
      plan::Table{.netns = netns, .name = plan::kNamespaceTable, .text = std::move(*text)});
  return {};
}

// Runs inside the namespace.
Status observe_inside(os::Rtnl& rtnl, const Space& space, std::vector<plan::Fact>& out) {
  out.push_back(plan::Namespace{space.netns});
  add_sysctls(plan::namespace_sysctls(space.netns, true), out);
  add_sysctls(plan::policy_sysctls(space.netns), out);
  WARREN_TRY_ASSIGN(const std::vector<os::Link> all, rtnl.links());
  std::vector<os::Link> known;
  for (const os::Link& link : all) {
    auto fact = to_fact(link, space);
    if (!fact) continue;
    known.push_back(link);
    out.push_back(std::move(*fact));
  }
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl.addresses());
  add_addresses(addresses, known, space.netns, out);
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl.routes());
  for (const os::Route& route : routes) {
    const os::Link* link = find_link(known, route.link);
    if (link == nullptr || route.protocol != plan::kRouteProtocol) continue;
    out.push_back(plan::Route{.netns = space.netns,
                              .destination = route.destination,
                              .gateway = route.gateway,
                              .link = link->name});
  }
  if (std::ranges::find(known, plan::kSegment, &os::Link::name) != known.end()) {
    add_segment_sysctls(space.netns, out);
    WARREN_TRY_ASSIGN(const auto proxies, rtnl.proxy_neighbours());
    for (const os::ProxyNeighbour& proxy : proxies) {
      const os::Link* link = find_link(known, proxy.link);
      if (link == nullptr) continue;
      out.push_back(
          plan::ProxyNeighbour{.netns = space.netns, .link = link->name, .address = proxy.address});
    }
  }
  const auto read = [&](std::vector<plan::Fact>& facts) {
    return observe_rules(space.netns, facts);
  };
  return space.rules.recall(space.netns, read, out);
}

// Transit addresses that no gate is known to have, each for itself: it may be taken out alone, and
// the table with the gates of all others stays. False: an element that is no address.
bool add_lone_transits(const std::string& table,
                       const std::map<std::string, std::set<std::string>>& sets,
                       std::vector<plan::Fact>& out) {
  bool known = true;
  for (const auto& [set, family] :
       {std::pair("transit4", base::Family::V4), std::pair("transit6", base::Family::V6)}) {
    const auto found = sets.find(set);
    if (found == sets.end()) continue;
    for (const std::string& text : found->second) {
      const auto address = base::IpAddress::parse(text);
      known = known && address && address->family() == family;
      if (!address || address->family() != family) continue;
      plan::Gate lone{.table = table, .link = ""};
      (address->is_v4() ? lone.transit4 : lone.transit6) = *address;
      out.push_back(std::move(lone));
    }
  }
  return known;
}

// The kernel takes IPv6 addresses off a link that is down. Whose a transit address is tells the
// network's own end of the pair then.
void claim_lone_transits(std::vector<plan::Fact>& facts) {
  std::map<std::string, std::string> host_ends;   // by namespace
  std::map<base::IpAddress, std::string> places;  // of inner ends: the namespace
  std::map<std::string, plan::Gate*> gates;
  for (plan::Fact& fact : facts) {
    if (const auto* link = std::get_if<plan::Link>(&fact); link && link->name == plan::kUplink)
      host_ends[link->netns] = link->host_name;
    const auto* address = std::get_if<plan::Address>(&fact);
    if (address != nullptr && address->link == plan::kUplink)
      places[address->prefix.address] = address->netns;
    if (auto* gate = std::get_if<plan::Gate>(&fact); gate && !gate->link.empty())
      gates[gate->link] = gate;
  }
  const auto claimed = [&](const plan::Fact& fact) {
    const auto* lone = std::get_if<plan::Gate>(&fact);
    if (lone == nullptr || !lone->link.empty()) return false;
    const auto& transit = lone->transit4 ? lone->transit4 : lone->transit6;
    const auto place = places.find(*transit);
    if (place == places.end()) return false;
    const auto gate = gates.find(host_ends[place->second]);
    if (gate == gates.end()) return false;
    auto& own = transit->is_v4() ? gate->second->transit4 : gate->second->transit6;
    if (own) return false;
    own = *transit;
    return true;
  };
  std::vector<plan::Fact> rest;
  std::vector<bool> is_claimed;
  for (const plan::Fact& fact : facts) is_claimed.push_back(claimed(fact));
  for (std::size_t at = 0; at < facts.size(); ++at)
    if (!is_claimed[at]) rest.push_back(std::move(facts[at]));
  facts = std::move(rest);
}

// The gates and guards that the sets of the host's table hold. False when an element belongs to
// none of them: the table is then not as we made it.
bool add_elements(NftElements elements, const std::string& table,
                  const std::vector<plan::Address>& uplinks, std::vector<plan::Fact>& out) {
  add_forwards(elements, "", table, out);
  auto& sets = elements.sets;
  std::map<std::string, plan::Gate> gates;
  for (const std::string& link : sets["networks"]) gates[link] = {.table = table, .link = link};
  for (const plan::Address& address : uplinks) {
    const auto gate = gates.find(address.link);
    if (gate == gates.end()) continue;
    const base::IpAddress inside = address.prefix.address.plus(1);
    auto& set = sets[inside.is_v4() ? "transit4" : "transit6"];
    if (set.erase(inside.to_string()) == 0) continue;
    (inside.is_v4() ? gate->second.transit4 : gate->second.transit6) = inside;
  }
  for (auto& [link, gate] : gates) out.push_back(std::move(gate));
  for (const auto& [set, family] :
       {std::pair("guarded4", base::Family::V4), std::pair("guarded6", base::Family::V6)})
    for (const std::string& link : sets[set])
      out.push_back(plan::Guard{.table = table, .family = family, .link = link});
  return add_lone_transits(table, sets, out) && !elements.has_others;
}

bool reads(const std::string& key, const char* value) { return read_sysctl(key) == value; }

}  // namespace

Status HostNet::observe_recorded(std::vector<plan::Fact>& out) {
  std::vector<std::string> stale;
  for (const auto& [key, record] : records_.sysctls()) {
    if (read_sysctl(key) == record.ours) {
      out.push_back(plan::Sysctl{.netns = "", .key = key, .value = record.ours});
    } else {
      stale.push_back(key);  // someone else's by now, or gone with its interface
    }
  }
  for (const std::string& key : stale) WARREN_TRY(records_.drop(key));
  return {};
}

Status HostNet::observe_environment(const std::vector<os::Link>& links, plan::Environment& out) {
  out.instance = options_.instance;
  const auto recorded = [&](const std::string& key) { return records_.sysctls().contains(key); };
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl_.addresses());
  const auto leads_out = [&](const os::Link& link, base::Family family) {
    const auto is_of = [&](const os::Route& route) {
      return route.table == kMainTable && route.destination.address.family() == family;
    };
    const auto is_default = [&](const os::Route& route) {
      return is_of(route) && route.destination.length == 0;
    };
    const bool has_default = std::ranges::any_of(routes, is_default);
    return std::ranges::any_of(routes, [&](const os::Route& route) {
      if (route.link != link.index) return false;
      return has_default ? is_default(route) : is_of(route) && route.gateway.has_value();
    });
  };
  out.force_forwarding6 =
      options_.use_force_forwarding && read_sysctl("net/ipv6/conf/all/force_forwarding");
  out.forwards4_everywhere = reads("net/ipv4/conf/all/forwarding", "1");
  out.forwards6_everywhere = reads(kAllForwarding6, "1") && !recorded(kAllForwarding6);
  for (const os::Link& link : links) {
    if (link.name == "lo" || link.alias == alias()) continue;
    const std::string key4 = "net/ipv4/conf/" + link.name + "/forwarding";
    const std::string key6 = "net/ipv6/conf/" + link.name + "/force_forwarding";
    const plan::Uplink uplink{.link = link.name,
                              .routes4 = leads_out(link, base::Family::V4),
                              .routes6 = leads_out(link, base::Family::V6),
                              .forwards4 = reads(key4, "1") && !recorded(key4),
                              .forwards6 = reads(key6, "1") && !recorded(key6)};
    if (uplink.routes4 || uplink.routes6) out.uplinks.push_back(uplink);
    const auto is_global = [&](const os::LinkAddress& address) {
      return address.link == link.index && address.prefix.address.is_v6() &&
             !address.prefix.address.is_link_local();
    };
    const std::string accept = "net/ipv6/conf/" + link.name + "/accept_ra";
    if (recorded(accept) || (reads(accept, "1") && std::ranges::any_of(addresses, is_global)))
      out.advertised.push_back(link.name);
  }
  return {};
}

Status HostNet::observe_host(const std::vector<os::Link>& links, plan::Observed& out) {
  std::vector<os::Link> ours;
  for (const os::Link& link : links) {
    // The network's namespace has the other end: seen as wrong there, and made again.
    if (is_halfway(link)) continue;
    if (const auto kind = segment_kind(link); kind && link.alias != alias())
      out.environment.segments.emplace(link.name, *kind);
    if (is_network_link(link.name, "ws") && link.alias != alias())
      out.environment.foreign_links[link.name] = owner_of(link.alias);
    const bool is_uplink = is_network_link(link.name, "wh");
    if (is_uplink && link.alias == alias()) {
      ours.push_back(link);
      add_sysctls(plan::uplink_sysctls(link.name, out.environment.force_forwarding6), out.facts);
    } else if (is_uplink || is_network_link(link.name, "wr")) {
      out.environment.foreign_links[link.name] = owner_of(link.alias);
    }
  }
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl_.addresses());
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  for (const os::Route& route : routes) {
    const os::Link* link = find_link(ours, route.link);
    if (link == nullptr || route.protocol != plan::kRouteProtocol) continue;
    out.facts.push_back(plan::Route{.netns = "",
                                    .destination = route.destination,
                                    .gateway = route.gateway,
                                    .link = link->name});
  }
  std::vector<plan::Fact> uplink_addresses;
  add_addresses(addresses, ours, "", uplink_addresses);
  std::vector<plan::Address> typed;
  typed.reserve(uplink_addresses.size());
  for (const plan::Fact& fact : uplink_addresses) typed.push_back(std::get<plan::Address>(fact));
  out.facts.insert(out.facts.end(), uplink_addresses.begin(), uplink_addresses.end());

  const std::string table = out.environment.host_table();
  // Where the host is not ours to change no table of ours can be, and asking for it is an error.
  if (!may_change_host()) return {};
  auto text = list_nft_table(table);
  if (!text && text.error().kind == base::ErrorKind::NotFound) return {};
  if (!text) return std::move(text).error();
  WARREN_TRY_ASSIGN(NftElements elements, list_nft_elements(table));
  if (!add_elements(std::move(elements), table, typed, out.facts))
    *text += "# with foreign elements\n";
  out.facts.push_back(plan::Table{.netns = "", .name = table, .text = std::move(*text)});
  return {};
}

Status HostNet::observe_namespaces(const std::vector<os::Link>& host_links, plan::Observed& out) {
  const std::string mark = alias();
  std::vector<std::string> names = list_folder(kNetnsFolder);
  std::ranges::sort(names);
  rules_.keep_only(names);
  for (const std::string& name : names) {
    if (!name.starts_with(kNetnsPrefix)) continue;
    const Space space{.rules = rules_, .netns = name, .host_links = host_links, .alias = mark};
    auto status = inside(name, [&]() -> Status {
      WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
      WARREN_TRY_ASSIGN(const os::Link loopback, rtnl.link("lo"));
      if (loopback.alias == mark) return observe_inside(rtnl, space, out.facts);
      WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl.links());
      const bool halfway = records_.has_begun(name) && loopback.alias.empty() && links.size() == 1;
      if (!halfway) out.environment.foreign_namespaces[name] = owner_of(loopback.alias);
      return {};
    });
    // Others' namespaces come and go; one that cannot be read is nobody's to touch.
    std::error_code failure;
    if (!status && !records_.has_begun(name) &&
        std::filesystem::exists(std::string(kNetnsFolder) + "/" + name, failure))
      out.environment.foreign_namespaces[name] = "cannot be read: " + status.error().message;
  }
  return {};
}

base::Result<plan::Observed> HostNet::observe() {
  plan::Observed out;
  const Status read = inside("", [&]() -> Status {
    WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl_.links());
    WARREN_TRY(observe_recorded(out.facts));
    WARREN_TRY(observe_environment(links, out.environment));
    WARREN_TRY(observe_host(links, out));
    WARREN_TRY(observe_namespaces(links, out));
    claim_lone_transits(out.facts);
    return {};
  });
  if (!read) return base::Error(read.error()).within("read the host back");
  return out;
}

}  // namespace warren::hostnet
