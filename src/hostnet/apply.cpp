// Theory of operation
//
// Each change leaves the host as before when it fails. Removing what is gone already succeeds, so
// that a teardown never stops at what someone else has removed.
//
// Nothing of ours is ever in the host without our mark: the host's end of a pair is born into a
// group of our own, and then gets its alias (moving it out of the namespace when it has one would
// wait for the kernel, 20 to 40 ms); a namespace is recorded as begun before it is made, and its
// mark is the alias of its loopback. A setting of the host's is recorded before it changes and
// restored only while it has the value that we wrote.
#include <algorithm>
#include <array>
#include <cerrno>

#include "hostnet/element_script.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/nftables.hpp"
#include "hostnet/station.hpp"
#include "hostnet/sysctl.hpp"
#include "os/netns.hpp"
#include "os/tun.hpp"

namespace warren::hostnet {

namespace {

using base::ErrorKind;
using base::Status;

constexpr const char* kAllForwarding6 = "net/ipv6/conf/all/forwarding";
constexpr const char* kAllForwarding4 = "net/ipv4/conf/all/forwarding";

// "Not there" counts as done.
Status gone(Status status) {
  constexpr std::array kAbsent = {ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL};
  if (status) return status;
  const base::Error& error = status.error();
  if (error.kind == ErrorKind::NotFound ||
      std::ranges::find(kAbsent, error.os_errno) != kAbsent.end())
    return {};
  return status;
}

constexpr std::uint32_t kTunQueueLength = 1000;

// As the engine's opener opens its queues.
Status make_tun(const plan::Link& link) {
  WARREN_TRY_ASSIGN(
      const os::Tun tun,
      os::open_tun({.name = link.name, .multi_queue = true, .offloads = true, .persistent = true}));
  // A matter of speed and memory alone.
  if (auto rtnl = os::Rtnl::open()) {
    (void)rtnl->set_queueing(tun.name, {.queue_length = kTunQueueLength});
    (void)rtnl->set_noqueue(tun.name);
  }
  // No link-local address: the kernel would send its own packets into the tunnel.
  const std::string key = "net/ipv6/conf/" + link.name + "/addr_gen_mode";
  if (read_sysctl(key)) WARREN_TRY(write_sysctl(key, "1"));
  return {};
}

// Runs inside the namespace.
Status make_pair(os::Rtnl& inside, os::Rtnl& host, const plan::Link& link, const os::Fd& host_space,
                 const LinkMarks& marks) {
  WARREN_TRY(inside.add_veth(link.name, link.host_name, host_space.get(), marks.born));
  WARREN_TRY(host.set_alias(link.host_name, marks.alias));
  // A bridge takes the lowest address of its ports for its own: not this one.
  if (link.station == 0) return {};
  return host.set_mac(link.host_name, station_mac(kPortMacStart, link.station));
}

// Before it is up: with an address that is still being tried the kernel asks nobody on the segment
// who has which, and what a router there advertises is for its hosts.
Status settle_segment(const std::string& link) {
  for (const char* setting : {"accept_dad", "accept_ra"}) {
    const std::string key = "net/ipv6/conf/" + link + "/" + setting;
    if (read_sysctl(key)) WARREN_TRY(write_sysctl(key, "0"));
  }
  return {};
}

// What switching IPv6 forwarding on or off everywhere overwrites: the interfaces that had it on.
std::map<std::string, std::string> forwarding_links() {
  std::map<std::string, std::string> out;
  for (const std::string& link : list_folder("/proc/sys/net/ipv6/conf")) {
    const std::string key = "net/ipv6/conf/" + link + "/forwarding";
    if (link != "all" && read_sysctl(key) == "1") out[key] = "1";
  }
  return out;
}

Status restore(const std::string& key, const RecordedSysctl& record) {
  if (read_sysctl(key) != record.ours) return {};
  // Someone has since switched IPv4 forwarding on for the whole host: this one is theirs now.
  const bool is_forwarding4 = key.starts_with("net/ipv4/conf/") && key.ends_with("/forwarding");
  if (is_forwarding4 && read_sysctl(kAllForwarding4) == "1") return {};
  WARREN_TRY(write_sysctl(key, record.before));
  for (const auto& [other, value] : record.along)
    if (read_sysctl(other)) WARREN_TRY(write_sysctl(other, value));
  return {};
}

}  // namespace

Status HostNet::change(const plan::Namespace* before, const plan::Namespace* after) {
  if (after == nullptr) {
    WARREN_TRY(gone(os::delete_named_netns(before->name)));
    return records_.finish({before->name});
  }
  return make_spaces({after->name}).status;
}

Status HostNet::change(const plan::Sysctl* before, const plan::Sysctl* after) {
  const plan::Sysctl& shown = after != nullptr ? *after : *before;
  const bool recorded = !shown.otherwise.has_value();
  return inside(shown.netns, [&]() -> Status {
    const auto current = read_sysctl(shown.key);
    const auto record = records_.sysctls().find(shown.key);
    if (after == nullptr) {
      if (!recorded) return current ? write_sysctl(shown.key, *shown.otherwise) : Status{};
      if (record == records_.sysctls().end()) return {};
      if (current) WARREN_TRY(restore(shown.key, record->second));
      return records_.drop(shown.key);
    }
    if (!current && shown.optional) return {};
    if (!recorded) return write_sysctl(shown.key, shown.value);
    if (!current)
      return base::make_error(ErrorKind::NotFound,
                              "set " + shown.key + ": the kernel has no such setting");
    const bool is_new = record == records_.sysctls().end();
    if (is_new) {
      RecordedSysctl fresh{.ours = shown.value, .before = *current};
      if (shown.key == kAllForwarding6) fresh.along = forwarding_links();
      WARREN_TRY(records_.put(shown.key, std::move(fresh)));
    }
    auto written = write_sysctl(shown.key, shown.value);
    if (!written && is_new) (void)records_.drop(shown.key);  // the write's error matters more
    return written;
  });
}

Status HostNet::add_link(const plan::Link& link) {
  WARREN_TRY(inside(link.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    Status made;
    if (link.kind == plan::LinkKind::Tun) made = make_tun(link);
    if (link.kind == plan::LinkKind::Bridge) made = rtnl.add_bridge(link.name);
    if (link.kind == plan::LinkKind::Veth) made = make_pair(rtnl, rtnl_, link, host_, marks_);
    if (link.kind == plan::LinkKind::Macvlan) {
      WARREN_TRY_ASSIGN(const os::Fd space, os::current_netns());
      made = rtnl_.add_macvlan(link.name, link.master, space);
    }
    if (made && link.name == plan::kSegment) made = settle_segment(link.name);
    const bool is_ours =
        made || made.error().kind != ErrorKind::Conflict || link.kind == plan::LinkKind::Veth;
    if (!made && is_ours) (void)rtnl.delete_link(link.name);
    return made;
  }));
  auto set = set_link(nullptr, link);
  if (!set && link.kind != plan::LinkKind::Loopback)
    (void)inside(link.netns, [&]() -> Status {
      WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
      return rtnl.delete_link(link.name);
    });
  return set;
}

Status HostNet::set_link(const plan::Link* before, const plan::Link& after) {
  const bool sets_up = before == nullptr || before->up != after.up;
  const bool is_port = after.kind == plan::LinkKind::Veth;
  if (is_port && (before == nullptr ? !after.master.empty() : before->master != after.master))
    WARREN_TRY(enslave(after));
  Status set = inside(after.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    if (after.station != 0 && (before == nullptr || before->station != after.station))
      WARREN_TRY(rtnl.set_mac(after.name, station_mac(kStationMacStart, after.station)));
    if (after.mtu != 0 && (before == nullptr || before->mtu != after.mtu))
      WARREN_TRY(rtnl.set_mtu(after.name, after.mtu));
    return sets_up ? rtnl.set_up(after.name, after.up) : Status{};
  });
  if (!set || after.host_name.empty() || !sets_up) return set;
  return rtnl_.set_up(after.host_name, after.up);
}

Status HostNet::change(const plan::Link* before, const plan::Link* after) {
  if (after != nullptr) return before == nullptr ? add_link(*after) : set_link(before, *after);
  return inside(before->netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    if (before->kind == plan::LinkKind::Loopback) return rtnl.set_up(before->name, false);
    return gone(rtnl.delete_link(before->name));
  });
}

Status HostNet::change(const plan::Address* before, const plan::Address* after) {
  const plan::Address& shown = after != nullptr ? *after : *before;
  return inside(shown.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    if (after != nullptr) return rtnl.add_address(shown.link, shown.prefix);
    return gone(rtnl.delete_address(shown.link, shown.prefix));
  });
}

Status HostNet::change(const plan::Route* before, const plan::Route* after) {
  const plan::Route& shown = after != nullptr ? *after : *before;
  return inside(shown.netns, [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
    auto link = rtnl.link(shown.link);
    if (!link && after == nullptr) return gone(std::move(link).error());
    if (!link) return std::move(link).error().within("add route " + shown.destination.to_string());
    const os::Route route{.destination = shown.destination,
                          .gateway = shown.gateway,
                          .link = link->index,
                          .protocol = plan::kRouteProtocol};
    return after != nullptr ? rtnl.add_route(route) : gone(rtnl.delete_route(route));
  });
}

Status HostNet::change(const plan::Table* before, const plan::Table* after) {
  const plan::Table& shown = after != nullptr ? *after : *before;
  return inside(shown.netns, [&]() -> Status {
    if (after == nullptr) return run_nft(removal_of_nft_table(shown.name));
    return replace_nft_table(shown.name, after->text);
  });
}

Status HostNet::change_in_table(const plan::Fact* before, const plan::Fact* after) {
  ElementScript script;
  if (before != nullptr) script.remove(*before);
  if (after != nullptr) script.add(*after);
  return inside(script.netns(), [&]() -> Status {
    auto done = run_nft(script.text());
    return after == nullptr ? gone(std::move(done)) : done;
  });
}

}  // namespace warren::hostnet
