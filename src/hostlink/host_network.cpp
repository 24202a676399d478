// Theory of operation. Everything is looked at before anything is changed. Addresses and routes
// need no record of their own: they are the link's and go with it, also those in a table of our
// own. Rules are recorded one by one. They come last: until then nothing but the link itself uses
// our table.
#include "hostlink/host_network.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "hostlink/limits.hpp"
#include "os/file.hpp"
#include "os/tun.hpp"

namespace warren::hostlink {

namespace {

using base::ErrorKind;
using base::make_error;
namespace fs = std::filesystem;

constexpr const char* kV6 = "/proc/sys/net/ipv6/conf/";
constexpr std::size_t kMaxProcessText = 4096;

bool kernel_has_v6() { return access(kV6, F_OK) == 0; }

template <typename T>
bool holds(const std::vector<T>& all, const T& one) {
  return std::ranges::find(all, one) != all.end();
}

std::string command_of(const std::string& pid) {
  auto name = os::read_file("/proc/" + pid + "/comm", kMaxProcessText);
  if (!name) return "process " + pid;
  return name->substr(0, name->find('\n')) + " (process " + pid + ")";
}

/// The process of this network namespace that holds the tun of this name; empty: none.
std::string holder_of_tun(const std::string& name) {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/ns/net", error);
  const std::string line = "iff:\t" + name + "\n";
  for (fs::directory_iterator process("/proc", error), end; !error && process != end;
       process.increment(error)) {
    const std::string pid = process->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code gone;
    if (fs::read_symlink(process->path() / "ns/net", gone) != here) continue;
    for (fs::directory_iterator file(process->path() / "fdinfo", gone); !gone && file != end;
         file.increment(gone)) {
      const auto text = os::read_file(file->path(), kMaxProcessText);
      if (text && text->find(line) != std::string::npos) return command_of(pid);
    }
  }
  return {};
}

base::Error link_taken(const os::Link& link) {
  std::string owner = link.kind.empty() ? "a device" : "a " + link.kind + " link";
  if (link.kind == "tun") {
    const std::string holder = holder_of_tun(link.name);
    owner += holder.empty() ? " that no process here holds" : " of " + holder;
  }
  if (!link.alias.empty()) owner += ", \"" + link.alias + "\"";
  return make_error(ErrorKind::Conflict, "the interface " + link.name + " exists already: " + owner,
                    "end or remove that one, or copy the profile under another name");
}

std::string name_of(const std::vector<os::Link>& links, std::uint32_t index) {
  const auto found = std::ranges::find(links, index, &os::Link::index);
  return found == links.end() ? "another link" : found->name;
}

bool any_v6(const LinkPlan& plan) {
  const auto is_v6 = [](const base::Prefix& prefix) { return prefix.address.is_v6(); };
  return std::ranges::any_of(plan.addresses, is_v6) ||
         std::ranges::any_of(plan.routes, is_v6, &PlannedRoute::destination);
}

}  // namespace

/// The first error of many steps; the rest is done all the same when they are a best effort.
class HostNetwork::Steps {
 public:
  explicit Steps(bool best_effort) : best_effort_(best_effort) {}
  void take(base::Status step) {
    if (!step && first_) first_ = std::move(step);
  }
  /// Nothing more is to be added.
  [[nodiscard]] bool over() const { return !first_ && !best_effort_; }
  [[nodiscard]] base::Status first() && { return std::move(first_); }

 private:
  bool best_effort_;
  base::Status first_;
};

base::Result<HostNetwork> HostNetwork::open(const std::string& name,
                                            const std::vector<std::uint32_t>& taken,
                                            Journal& journal) {
  if (name == "all" || name == "default") {
    return make_error(ErrorKind::Invalid, "the kernel keeps the name " + name + " for itself",
                      "copy the profile under another name");
  }
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  if (const auto link = rtnl.link(name)) return link_taken(*link);
  WARREN_TRY_ASSIGN(const auto routes, rtnl.routes());
  WARREN_TRY_ASSIGN(const auto rules, rtnl.rules());
  const auto table = hostlink::free_table(routes, rules, taken);
  if (!table) {
    return make_error(ErrorKind::Conflict, "no routing table from " + std::to_string(kFirstTable) +
                                               " on is free on this host");
  }
  HostNetwork network(name, journal, std::move(rtnl));
  network.table_ = *table;
  return network;
}

// --- what is in the way ---

base::Status HostNetwork::check(const LinkPlan& plan) {
  WARREN_TRY_ASSIGN(const auto links, rtnl_.links());
  WARREN_TRY(check_addresses(plan, links));
  return check_routes(plan, links);
}

base::Status HostNetwork::check_addresses(const LinkPlan& plan,
                                          const std::vector<os::Link>& links) {
  WARREN_TRY_ASSIGN(const auto addresses, rtnl_.addresses());
  for (const os::LinkAddress& there : addresses) {
    for (const base::Prefix& wanted : plan.addresses) {
      if (there.link == index_ || there.prefix.address != wanted.address) continue;
      return make_error(ErrorKind::Conflict,
                        "this host has the address " + wanted.address.to_string() +
                            " already, on " + name_of(links, there.link),
                        "one of the two must change");
    }
  }
  return {};
}

base::Status HostNetwork::check_routes(const LinkPlan& plan, const std::vector<os::Link>& links) {
  WARREN_TRY_ASSIGN(const auto routes, rtnl_.routes());
  std::vector<PlannedRoute> wanted = plan.routes;
  for (const base::Prefix& address : plan.addresses) {
    if (address.length < address.address.bit_count()) {
      wanted.push_back({.destination = address.network(), .table = kMainTable});
    }
  }
  for (const os::Route& there : routes) {
    const PlannedRoute same{.destination = there.destination, .table = there.table};
    if (there.link == index_ || !holds(wanted, same)) continue;
    const std::string by =
        name_of(links, there.link) +
        (there.gateway ? " (by " + there.gateway->to_string() + ")" : std::string());
    return make_error(
        ErrorKind::Conflict,
        "this host has a route to " + there.destination.to_string() + " already, on " + by,
        "`warren run " + name_ + "` has its own routes; for the host one of the two must change");
  }
  return {};
}

// --- the link ---

base::Result<os::Fd> HostNetwork::make_link(std::uint32_t mtu) {
  WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun({.name = name_, .offloads = true}));
  WARREN_TRY_ASSIGN(const os::Link link, rtnl_.link(name_));
  index_ = link.index;
  WARREN_TRY(journal_->add({.kind = Deed::Kind::Link, .name = name_, .index = index_}));
  WARREN_TRY(os::make_tun_persistent(tun.descriptor));
  WARREN_TRY(rtnl_.set_alias(name_, "warren up"));
  WARREN_TRY(rtnl_.set_mtu(name_, mtu));
  // A matter of speed alone.
  std::ignore = rtnl_.set_queueing(name_, {.queue_length = kTunQueueLength});
  applied_.mtu = mtu;
  return std::move(tun.descriptor);
}

base::Result<os::Fd> HostNetwork::hold_link() const {
  WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun({.name = name_, .offloads = true}));
  return std::move(tun.descriptor);
}

bool HostNetwork::has_link() {
  const auto link = rtnl_.link(name_);
  return link ? link->index == index_ : link.error().kind != ErrorKind::NotFound;
}

/// The link obeys no router and makes up no address. These settings are the link's and go with it.
base::Status HostNetwork::set_sysctls(const LinkPlan& plan) const {
  const bool v6 = any_v6(plan);
  if (!kernel_has_v6()) {
    const bool needed = std::ranges::any_of(
        plan.addresses, [](const base::Prefix& prefix) { return prefix.address.is_v6(); });
    if (!needed) return {};
    return make_error(ErrorKind::Failed,
                      "the profile has an IPv6 address, but this kernel has IPv6 off",
                      "boot without ipv6.disable=1, or remove the IPv6 Address lines");
  }
  const std::string of_link = kV6 + name_ + "/";
  WARREN_TRY(os::write_existing(of_link + "accept_ra", "0"));
  WARREN_TRY(os::write_existing(of_link + "accept_redirects", "0"));
  WARREN_TRY(os::write_existing(of_link + "addr_gen_mode", "1"));
  return os::write_existing(of_link + "disable_ipv6", v6 ? "0" : "1");
}

// --- from plan to plan ---

os::Route HostNetwork::route_of(const PlannedRoute& planned) const {
  os::Route route;
  route.destination = planned.destination;
  route.link = index_;
  route.table = planned.table;
  return route;
}

/// Chooses priorities: before what the host has, in the order of the plan.
base::Status HostNetwork::place_rules(std::vector<os::Rule>& rules) {
  WARREN_TRY_ASSIGN(const auto there, rtnl_.rules());
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    const auto count = std::ranges::count(rules, family, &os::Rule::family);
    if (count == 0) continue;
    const auto first = first_priority(there, family, static_cast<std::size_t>(count));
    if (!first) {
      return make_error(ErrorKind::Conflict,
                        "this host's routing rules leave no priority before them free",
                        "`ip rule` lists them: the lowest but 0 must be 4 or more");
    }
    std::uint32_t next = *first;
    for (os::Rule& rule : rules) {
      if (rule.family == family) rule.priority = next++;
    }
  }
  return {};
}

base::Status HostNetwork::add_rules(std::vector<os::Rule> wanted) {
  WARREN_TRY(place_rules(wanted));
  for (const os::Rule& rule : wanted) {
    WARREN_TRY(journal_->add({.kind = Deed::Kind::Rule, .name = {}, .rule = rule}));
    WARREN_TRY(rtnl_.add_rule(rule));
    rules_.push_back(rule);
  }
  return {};
}

void HostNetwork::apply_addresses(const LinkPlan& plan, Steps& steps) {
  // New ones first: with the last one of a family the kernel would take its routes away.
  for (const base::Prefix& address : plan.addresses) {
    if (holds(applied_.addresses, address) || steps.over()) continue;
    base::Status added = rtnl_.add_address(name_, address);
    const bool twice = !added && added.error().os_errno == EEXIST;
    if (!twice) steps.take(std::move(added));
  }
  for (const base::Prefix& address : applied_.addresses) {
    if (!holds(plan.addresses, address)) steps.take(rtnl_.delete_address(name_, address));
  }
}

void HostNetwork::apply_routes(const LinkPlan& plan, Steps& steps) {
  for (const PlannedRoute& route : applied_.routes) {
    // It may have gone with an address.
    if (!holds(plan.routes, route)) std::ignore = rtnl_.delete_route(route_of(route));
  }
  for (const PlannedRoute& route : plan.routes) {
    if (steps.over() || (route.destination.address.is_v6() && !kernel_has_v6())) continue;
    base::Status added = rtnl_.add_route(route_of(route));
    const bool there = !added && added.error().os_errno == EEXIST;
    if (!there || !holds(applied_.routes, route)) steps.take(std::move(added));
  }
}

void HostNetwork::apply_rules(const LinkPlan& plan, Steps& steps) {
  const auto without_priority = [](os::Rule rule) {
    rule.priority = 0;
    return rule;
  };
  for (const os::Rule& rule : std::vector(rules_)) {
    if (holds(plan.rules, without_priority(rule))) continue;
    steps.take(rtnl_.delete_rule(rule));
    std::erase(rules_, rule);
  }
  std::vector<os::Rule> missing;
  for (const os::Rule& rule : plan.rules) {
    const bool there = std::ranges::find(rules_, rule, without_priority) != rules_.end();
    if (!there && (rule.family == base::Family::V4 || kernel_has_v6())) missing.push_back(rule);
  }
  if (!missing.empty() && !steps.over()) steps.take(add_rules(std::move(missing)));
}

base::Status HostNetwork::apply(const LinkPlan& plan, bool best_effort) {
  Steps steps(best_effort);
  steps.take(set_sysctls(plan));
  if (plan.mtu != applied_.mtu && !steps.over()) steps.take(rtnl_.set_mtu(name_, plan.mtu));
  if (!steps.over()) steps.take(rtnl_.set_up(name_, true));
  apply_addresses(plan, steps);
  apply_routes(plan, steps);
  apply_rules(plan, steps);
  applied_ = plan;
  return std::move(steps).first();
}

}  // namespace warren::hostlink
