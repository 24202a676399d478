#include "hostnet/host_net.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <type_traits>
#include <utility>

#include "hostnet/conntrack.hpp"
#include "hostnet/element_script.hpp"
#include "hostnet/nftables.hpp"
#include "hostnet/port_owner.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

using base::ErrorKind;

namespace {

base::Status gone(base::Status status) {
  if (!status && status.error().kind == ErrorKind::NotFound) return {};
  return status;
}

}  // namespace

base::Result<std::unique_ptr<HostNet>> HostNet::open(const Options& options) {
  constexpr std::size_t kMaxInstance = 16;
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (options.instance.empty() || options.instance.size() > kMaxInstance ||
      !std::ranges::all_of(options.instance, is_plain))
    return base::make_error(ErrorKind::Invalid, "'" + options.instance + "' is not an instance id",
                            "use 1 to 16 lower-case letters and digits");
  WARREN_TRY_ASSIGN(os::Fd host, os::current_netns());
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open_in(host));
  WARREN_TRY_ASSIGN(Records records, Records::load(options.state_file));
  return std::unique_ptr<HostNet>(
      new HostNet(options, std::move(host), std::move(rtnl), std::move(records)));
}

base::Status HostNet::inside(const std::string& netns, const std::function<base::Status()>& fn) {
  if (here_ == netns) return fn();
  const auto there = [&]() -> base::Status {
    const std::optional<std::string> before = std::exchange(here_, netns);
    base::Status done = fn();
    here_ = before;
    return done;
  };
  if (netns.empty()) return os::in_netns(host_, there);
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(netns));
  return os::in_netns(space, there);
}

base::Status HostNet::apply(const plan::Step& step) {
  if (!step.before && !step.after)
    return base::make_error(ErrorKind::Internal, "a step without a fact");
  const plan::Fact& shown = step.after ? *step.after : *step.before;
  return std::visit(
      [&]<typename T>(const T&) {
        if constexpr (std::is_same_v<T, plan::Gate> || std::is_same_v<T, plan::Guard> ||
                      std::is_same_v<T, plan::PortForward>) {
          return change_in_table(step.before ? &*step.before : nullptr,
                                 step.after ? &*step.after : nullptr);
        } else {
          const T* before = step.before ? std::get_if<T>(&*step.before) : nullptr;
          const T* after = step.after ? std::get_if<T>(&*step.after) : nullptr;
          return change(before, after);
        }
      },
      shown);
}

base::Result<std::size_t> HostNet::flush_connections(
    const plan::HostNetwork& network, const std::vector<base::IpAddress>& addresses) {
  std::size_t count = 0;
  close_spent();
  WARREN_TRY(inside(network.netns_name(), [&]() -> base::Status {
    WARREN_TRY_ASSIGN(count, hostnet::flush_connections(addresses, spent_));
    return {};
  }));
  return count;
}

base::Result<std::vector<std::string>> HostNet::overlapping_routes(const base::Prefix& subnet) {
  WARREN_TRY_ASSIGN(const std::vector<os::Link> links, rtnl_.links());
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  std::vector<std::string> out;
  for (const os::Route& route : routes) {
    if (route.destination.length == 0 || !route.destination.overlaps(subnet)) continue;
    const auto link = std::ranges::find(links, route.link, &os::Link::index);
    if (link != links.end() && link->alias == alias()) continue;
    out.push_back(route.destination.to_string() +
                  (link != links.end() ? " dev " + link->name : std::string()));
  }
  return out;
}

base::Result<std::vector<base::IpAddress>> HostNet::public_addresses() {
  constexpr std::uint32_t kMainTable = 254;
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl_.addresses());
  std::set<std::uint32_t> ways_out;
  for (const os::Route& route : routes)
    if (route.destination.length == 0 && route.table == kMainTable) ways_out.insert(route.link);
  std::vector<base::IpAddress> out;
  for (const os::LinkAddress& one : addresses)
    if (ways_out.contains(one.link) && !one.prefix.address.is_link_local())
      out.push_back(one.prefix.address);
  return out;
}

base::Status HostNet::check_transit(const plan::TransitPool& pool) {
  for (const base::Prefix& prefix : {pool.v4, pool.v6}) {
    WARREN_TRY_ASSIGN(const std::vector<std::string> routes, overlapping_routes(prefix));
    if (routes.empty()) continue;
    return base::make_error(
        ErrorKind::Conflict,
        "the transit pool " + prefix.to_string() + " overlaps the host's route " + routes.front(),
        "configure another transit pool");
  }
  return {};
}

base::Result<std::size_t> HostNet::close_forwards(const plan::HostNetwork& network,
                                                  const std::vector<plan::HostForward>& forwards) {
  const std::string host_table = plan::Environment{.instance = options_.instance}.host_table();
  std::map<std::string, std::vector<plan::PortForward>> places;  // the host, "", is the first
  for (const plan::HostForward& forward : forwards)
    for (plan::PortForward& fact : plan::forward_facts(network, forward, host_table))
      places[fact.netns].push_back(std::move(fact));
  std::size_t count = 0;
  for (const auto& [netns, facts] : places) {
    const base::Status closed = inside(netns, [&]() -> base::Status {
      std::vector<ForwardTarget> targets;
      ElementScript script;
      for (const plan::PortForward& fact : facts) {
        targets.push_back({fact.from.protocol, fact.to, fact.to_port});
        script.remove(fact);
      }
      WARREN_TRY(gone(run_nft(script.text())));
      WARREN_TRY_ASSIGN(const std::size_t flushed, flush_forwarded(targets));
      count += flushed;
      return {};
    });
    if (!closed) return closed.error();
  }
  return count;
}

base::Status HostNet::check_public_port(const model::PublicPort& port) {
  return inside("", [&] { return check_listening(port); });
}

}  // namespace warren::hostnet
