#include "plan/fact.hpp"

#include <type_traits>

namespace warren::plan {

namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

std::string kind_name(LinkKind kind) {
  switch (kind) {
    case LinkKind::Loopback:
      return "loopback";
    case LinkKind::Tun:
      return "tun";
    case LinkKind::Bridge:
      return "bridge";
    case LinkKind::Veth:
      return "veth";
    case LinkKind::Macvlan:
      return "macvlan";
  }
  return "";
}

/// A setting of one link's.
bool is_of_link(const std::string& key, const std::string& link) {
  return key.find("/" + link + "/") != std::string::npos;
}

bool starts_with_host_link(const std::string& key) {
  return key.find("/conf/wh") != std::string::npos;
}

}  // namespace

std::string PortForward::key_text() const {
  return std::string(model::to_string(from.protocol)) + " . " + std::to_string(from.port);
}

std::string PortForward::target_text() const {
  return to.to_string() + " . " + std::to_string(to_port);
}

std::string key_of(const Fact& fact) {
  return std::visit(Overloaded{
                        [](const Namespace& f) { return "namespace " + f.name; },
                        [](const Sysctl& f) { return "sysctl " + f.netns + " " + f.key; },
                        [](const Link& f) {
                          // Whose wire a station is on cannot be changed, of which bridge a port is
                          // can.
                          return "link " + f.netns + " " + f.name + " " + kind_name(f.kind) + " " +
                                 (f.kind == LinkKind::Macvlan ? f.master : f.host_name);
                        },
                        [](const Address& f) {
                          return "address " + f.netns + " " + f.link + " " + f.prefix.to_string();
                        },
                        [](const Route& f) {
                          return "route " + f.netns + " " + f.destination.to_string() + " " +
                                 (f.gateway ? f.gateway->to_string() : "-") + " " + f.link;
                        },
                        [](const ProxyNeighbour& f) {
                          return "proxy " + f.netns + " " + f.link + " " + f.address.to_string();
                        },
                        [](const Table& f) { return "table " + f.netns + " " + f.name; },
                        [](const Gate& f) {
                          if (!f.link.empty()) return "gate " + f.link;
                          const auto& transit = f.transit4 ? f.transit4 : f.transit6;
                          return "gate of " + (transit ? transit->to_string() : "nobody");
                        },
                        [](const Guard& f) {
                          return std::string("guard ") +
                                 (f.family == base::Family::V4 ? "4 " : "6 ") + f.link;
                        },
                        [](const PortForward& f) {
                          return "forward " + f.netns + " " + f.map() + " " + f.from.to_string();
                        },
                        [](const PolicyFilter& f) { return "policy " + f.netns; },
                    },
                    fact);
}

int rank_of(const Fact& fact) {
  return std::visit(Overloaded{
                        [](const Namespace&) { return 5; },
                        [](const Sysctl& f) {
                          // Connection tracking has settings once something uses it.
                          if (f.key.starts_with("net/netfilter/")) return 11;
                          if (is_of_link(f.key, kSegment)) return 9;
                          if (!f.netns.empty()) return 6;
                          if (starts_with_host_link(f.key)) return 9;
                          // Router advertisements stay accepted only when this comes before
                          // forwarding.
                          return f.key.ends_with("accept_ra") ? 3 : 4;
                        },
                        [](const Link&) { return 7; },
                        [](const Address&) { return 8; },
                        [](const Route&) { return 10; },
                        [](const ProxyNeighbour&) { return 11; },
                        [](const Table& f) { return f.netns.empty() ? 1 : 11; },
                        [](const Gate&) { return 12; },
                        [](const Guard&) { return 2; },
                        [](const PortForward&) { return 12; },
                        // It narrows what the namespace's own table lets through.
                        [](const PolicyFilter&) { return 10; },
                    },
                    fact);
}

std::string netns_of(const Fact& fact) {
  return std::visit(
      []<typename T>(const T& f) -> std::string {
        if constexpr (requires { f.netns; }) return f.netns;
        return "";
      },
      fact);
}

bool depends_on(const Fact& fact, const Fact& container) {
  if (const auto* space = std::get_if<Namespace>(&container)) return netns_of(fact) == space->name;
  if (const auto* table = std::get_if<Table>(&container)) {
    const auto* forward = std::get_if<PortForward>(&fact);
    if (forward != nullptr) return forward->netns == table->netns;
    if (!table->netns.empty()) return false;
    return std::holds_alternative<Gate>(fact) || std::holds_alternative<Guard>(fact);
  }
  const auto* link = std::get_if<Link>(&container);
  if (link == nullptr) return false;
  const auto is_end = [&](const std::string& netns, const std::string& name) {
    return (netns == link->netns && name == link->name) ||
           (netns.empty() && !link->host_name.empty() && name == link->host_name);
  };
  if (const auto* address = std::get_if<Address>(&fact))
    return is_end(address->netns, address->link);
  if (const auto* route = std::get_if<Route>(&fact)) return is_end(route->netns, route->link);
  if (const auto* proxy = std::get_if<ProxyNeighbour>(&fact))
    return is_end(proxy->netns, proxy->link);
  if (const auto* sysctl = std::get_if<Sysctl>(&fact)) {
    if (!sysctl->netns.empty())
      return sysctl->netns == link->netns && is_of_link(sysctl->key, link->name);
    return !link->host_name.empty() && is_of_link(sysctl->key, link->host_name);
  }
  return false;
}

}  // namespace warren::plan
