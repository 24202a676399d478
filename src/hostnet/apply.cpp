// Theory of operation
//
// Each change leaves the host as before when it fails. Removing what is gone already succeeds, so
// that a teardown never stops at what someone else has removed.
//
// Nothing of ours is ever in the host without our mark: the uplink pair is made inside the
// network's namespace, gets its alias there and is then moved out; a namespace is recorded as begun
// before it is made, and its mark is the alias of its loopback. A setting of the host's is recorded
// before it changes and restored only while it has the value that we wrote.
#include <algorithm>
#include <array>
#include <cerrno>

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

// The host's end is made and marked inside, then moved out.
Status make_pair(os::Rtnl& rtnl, const plan::Link& link, const os::Fd& host,
                 const std::string& alias) {
  WARREN_TRY(rtnl.add_veth(link.name, link.host_name));
  WARREN_TRY(rtnl.set_alias(link.host_name, alias));
  // A bridge takes the lowest address of its ports for its own: not this one.
  if (link.station != 0)
    WARREN_TRY(rtnl.set_mac(link.host_name, station_mac(kPortMacStart, link.station)));
  return rtnl.move_to_netns(link.host_name, host);
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
    return records_.finish(before->name);
  }
  // A crash may have come between making it and marking it: it is empty then.
  if (records_.has_begun(after->name)) WARREN_TRY(gone(os::delete_named_netns(after->name)));
  WARREN_TRY(records_.begin(after->name));
  auto made = os::create_named_netns(after->name);
  if (!made) {
    (void)records_.finish(after->name);  // the creation's error matters more
    return std::move(made).error();
  }
  const auto mark = [&]() -> Status {
    WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open_in(*made));
    return rtnl.set_alias("lo", alias());
  };
  if (auto status = mark(); !status) {
    (void)os::delete_named_netns(after->name);
    (void)records_.finish(after->name);
    return status;
  }
  return records_.finish(after->name);
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
    if (link.kind == plan::LinkKind::Veth) made = make_pair(rtnl, link, host_, alias());
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
    // "add" first: the deletion then never fails for want of a table.
    std::string script =
        "add table inet " + shown.name + "\ndelete table inet " + shown.name + "\n";
    if (after != nullptr) script += after->text;
    return run_nft(script);
  });
}

Status HostNet::change(const plan::Gate* before, const plan::Gate* after) {
  const auto elements = [](const char* verb, const plan::Gate& gate) {
    const std::string start = std::string(verb) + " element inet " + gate.table;
    std::string out = start + " networks { \"" + gate.link + "\" }\n";
    if (gate.transit4) out += start + " transit4 { " + gate.transit4->to_string() + " }\n";
    if (gate.transit6) out += start + " transit6 { " + gate.transit6->to_string() + " }\n";
    return out;
  };
  return inside("", [&]() -> Status {
    // Adding an element that is there is no error, deleting an absent one is: add it first.
    std::string script;
    if (before != nullptr) script += elements("add", *before) + elements("delete", *before);
    if (after != nullptr) script += elements("add", *after);
    auto done = run_nft(script);
    return after == nullptr ? gone(std::move(done)) : done;
  });
}

Status HostNet::change(const plan::Guard* before, const plan::Guard* after) {
  const plan::Guard& shown = after != nullptr ? *after : *before;
  const std::string element = " element inet " + shown.table +
                              (shown.family == base::Family::V4 ? " guarded4" : " guarded6") +
                              " { \"" + shown.link + "\" }\n";
  return inside("", [&]() -> Status {
    std::string script = "add" + element;
    if (after == nullptr) script += "delete" + element;
    auto done = run_nft(script);
    return after == nullptr ? gone(std::move(done)) : done;
  });
}

Status HostNet::change(const plan::PortForward* before, const plan::PortForward* after) {
  const plan::PortForward& shown = after != nullptr ? *after : *before;
  const auto element = [](const char* verb, const plan::PortForward& forward, bool with_target) {
    return std::string(verb) + " element inet " + forward.table + " " + forward.map() + " { " +
           forward.key_text() + (with_target ? " : " + forward.target_text() : "") + " }\n";
  };
  return inside(shown.netns, [&]() -> Status {
    // Adding the element that is there is no error, deleting an absent one is: add it first.
    std::string script;
    if (before != nullptr) script += element("add", *before, true);
    if (before != nullptr) script += element("delete", *before, false);
    if (after != nullptr) script += element("add", *after, true);
    auto done = run_nft(script);
    return after == nullptr ? gone(std::move(done)) : done;
  });
}

}  // namespace warren::hostnet
