// Packets of our own to public ports, from outside: a namespace without a name that is linked to
// the host by a pair. See probe.hpp for how they are seen.
//
// Filters tell packets by the interface that they come in on. So what leaves the pair on the host's
// side is redirected: it comes in on the link that the dialled address is on, as the world's
// packets do, and meets there what these meet, also rules by interface, zones, and the check of the
// reverse path. It comes from an address that is reached by that link: where the default route
// leads there, one of nobody's in the world; otherwise a neighbour's.
//
// Where the kernel cannot redirect (no act_mirred), the packet comes in on the pair itself: a
// filter that treats the host's interfaces differently is then seen as it treats one that it has
// not heard of, and the finding says so. Table, pair and namespace go with the thread that made
// them, also when the daemon is killed.
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>
#include <span>

#include "hostnet/foreign_filter.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/port_owner.hpp"
#include "hostnet/probe.hpp"
#include "hostnet/sysctl.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

using base::ErrorKind;
using base::IpAddress;
using base::Status;
using plan::Obstacle;

constexpr std::uint16_t kFirstSource = 40'000;
constexpr std::size_t kIfNameRoom = 13;     // of an interface's name, behind "wp"
constexpr std::size_t kProbesAtOnce = 256;  // a socket and two rules each
constexpr std::uint8_t kPair4 = 31;
constexpr std::uint8_t kPair6 = 127;

/// What the host has, to choose by.
struct HostView {
  std::vector<os::Link> links;
  std::vector<os::LinkAddress> addresses;
  std::vector<os::Route> routes;

  [[nodiscard]] bool is_own(const IpAddress& address) const {
    return std::ranges::any_of(
        addresses, [&](const os::LinkAddress& one) { return one.prefix.address == address; });
  }
  [[nodiscard]] const os::Link* link(std::uint32_t index) const {
    const auto found = std::ranges::find(links, index, &os::Link::index);
    return found == links.end() ? nullptr : &*found;
  }
};

/// How the world gets to the host.
struct WayIn {
  os::Link link;
  IpAddress to;    ///< of the host's, on that link
  IpAddress from;  ///< of somebody who is reached by it
};

/// The pair that outside is linked to the host by.
struct Outside {
  std::string link;  ///< the host's end
  IpAddress host4 = known("198.18.255.252");
  IpAddress there4 = known("198.18.255.253");
  IpAddress host6 = known("fd5a:7772:6e70::");
  IpAddress there6 = known("fd5a:7772:6e70::1");

  [[nodiscard]] const IpAddress& there(base::Family family) const {
    return family == base::Family::V4 ? there4 : there6;
  }
};

/// The first address beside the host's own on the link's subnet.
IpAddress neighbour_of(const base::Prefix& own, const HostView& host) {
  constexpr int kTried = 16;
  IpAddress candidate = own.network().address;
  for (int i = 0; i < kTried && candidate != own.last(); ++i) {
    candidate = candidate.plus(1);
    if (!host.is_own(candidate)) return candidate;
  }
  return own.network().address;
}

WayIn way_by(const os::LinkAddress& own, const os::Link& link, const HostView& host,
             const Outside& outside) {
  const base::Family family = own.prefix.address.family();
  const auto out = way_out(host.routes, family);
  const bool is_for_all = out && out->link == link.index;
  return {.link = link,
          .to = own.prefix.address,
          .from = is_for_all ? outside.there(family) : neighbour_of(own.prefix, host)};
}

/// To `at` where that is the host's, on an interface that leads out; otherwise to what the host has
/// on a way out, of the same family where there is one.
std::optional<WayIn> way_in(const std::optional<IpAddress>& at, const HostView& host,
                            const Outside& outside) {
  for (const os::LinkAddress& one : host.addresses) {
    const os::Link* link = host.link(one.link);
    if (at && one.prefix.address == *at && link && link->name != "lo")
      return way_by(one, *link, host, outside);
  }
  std::vector<base::Family> families = {base::Family::V4, base::Family::V6};
  if (at && at->is_v6()) std::ranges::reverse(families);
  for (const base::Family family : families) {
    const auto out = way_out(host.routes, family);
    const os::Link* link = out ? host.link(out->link) : nullptr;
    for (const os::LinkAddress& one : host.addresses) {
      const IpAddress& address = one.prefix.address;
      const bool fits =
          link && one.link == link->index && address.family() == family && !address.is_link_local();
      if (!fits) continue;
      WayIn way = way_by(one, *link, host, outside);
      const bool is_on_loopback = at && at->family() == family && host.is_own(*at);
      if (is_on_loopback) way.to = *at;  // routed to the host by that link
      return way;
    }
  }
  return std::nullopt;
}

/// One probe: from which port, by which way.
struct PortProbe {
  std::size_t question = 0;
  WayIn way;
  model::PublicPort port;
  std::uint16_t source = 0;

  [[nodiscard]] std::string came() const { return "came" + std::to_string(question); }
  [[nodiscard]] std::string passed() const { return "passed" + std::to_string(question); }
};
using Probes = std::span<PortProbe>;

/// The host forwards for those of its interfaces alone that lead to the world: this one does.
Status let_forward(const std::string& link) {
  for (const std::string& key :
       {"net/ipv4/conf/" + link + "/forwarding", "net/ipv6/conf/" + link + "/force_forwarding"})
    if (read_sysctl(key)) WARREN_TRY(write_sysctl(key, "1"));
  return {};
}

/// Runs in the namespace that plays outside: everything goes to the pair, whose other end takes it.
Status leave_by_pair(os::Rtnl& here, Probes probes, const os::MacAddress& host_end) {
  WARREN_TRY_ASSIGN(const os::Link pair, here.link("p0"));
  std::set<IpAddress> from;
  std::set<IpAddress> to;
  for (const PortProbe& probe : probes) {
    from.insert(probe.way.from);
    to.insert(probe.way.to);
  }
  std::set<base::Family> families;
  for (const IpAddress& address : from) {
    const std::uint8_t all = address.is_v4() ? 32 : 128;
    WARREN_TRY(here.add_address("p0", {address, all}));
    families.insert(address.family());
  }
  WARREN_TRY(here.set_up("p0", true));
  for (const base::Family family : families) {
    const IpAddress any = family == base::Family::V4 ? IpAddress() : IpAddress::v6({});
    WARREN_TRY(here.add_route({.destination = {any, 0}, .gateway = {}, .link = pair.index}));
  }
  for (const IpAddress& address : to) WARREN_TRY(here.add_neighbour("p0", address, host_end));
  return {};
}

/// The way where nothing is redirected: the pair is a way in of its own.
Status be_routed(const Outside& outside, os::Rtnl& here, os::Rtnl& host, const os::Fd& host_space) {
  WARREN_TRY(host.add_address(outside.link, {outside.host4, kPair4}));
  WARREN_TRY(os::in_netns(host_space, [&] { return let_forward(outside.link); }));
  WARREN_TRY(here.add_address("p0", {outside.there4, kPair4}));
  WARREN_TRY(here.set_up("p0", true));
  WARREN_TRY(here.add_route({.destination = {IpAddress(), 0}, .gateway = outside.host4}));
  // A host without IPv6 is not asked by it.
  if (!host.add_address(outside.link, {outside.host6, kPair6})) return {};
  WARREN_TRY(here.add_address("p0", {outside.there6, kPair6}));
  return here.add_route({.destination = {IpAddress::v6({}), 0}, .gateway = outside.host6});
}

/// Runs in the namespace that plays outside. The link that the probes come in on, as filters of the
/// host's call it.
base::Result<std::string> link_up(const Outside& outside, os::Rtnl& host, const os::Fd& host_space,
                                  const std::string& alias, Probes probes) {
  WARREN_TRY_ASSIGN(os::Rtnl here, os::Rtnl::open());
  WARREN_TRY(here.add_veth("p0", outside.link));
  WARREN_TRY(here.set_alias(outside.link, alias));
  WARREN_TRY(here.move_to_netns(outside.link, host_space));
  WARREN_TRY(host.set_up(outside.link, true));
  const os::Link& in = probes.front().way.link;
  if (host.redirect_incoming(outside.link, in.index)) {
    WARREN_TRY_ASSIGN(const os::Link host_end, host.link(outside.link));
    WARREN_TRY(leave_by_pair(here, probes, host_end.mac));
    return in.name;
  }
  WARREN_TRY(be_routed(outside, here, host, host_space));
  for (PortProbe& probe : probes) probe.way.from = outside.there(probe.way.to.family());
  return outside.link;
}

std::string ports_table(Probes probes, const std::string& link) {
  std::string counters;
  std::string first;
  std::string last;
  for (const PortProbe& probe : probes) {
    const IpAddress& from = probe.way.from;
    const std::string rule = fmt::format("\t\tiifname \"{}\" {} saddr {} {} sport {} counter name ",
                                         link, from.is_v4() ? "ip" : "ip6", from.to_string(),
                                         model::to_string(probe.port.protocol), probe.source);
    counters += counter_line(probe.came()) + counter_line(probe.passed());
    first += rule + probe.came() + "\n";
    last += rule + probe.passed() + " drop\n";
  }
  return counters + "\tchain first {\n\t\ttype filter hook prerouting " + kFirst + first + "\t}\n" +
         "\tchain input {\n\t\ttype filter hook input " + kLast + last + "\t}\n" +
         "\tchain forward {\n\t\ttype filter hook forward " + kLast + last + "\t}\n";
}

/// "warren-engine (process 812)"; empty: nobody.
std::string listener_of(const model::PublicPort& port) {
  const Status free = check_listening(port);
  if (free || free.error().kind != ErrorKind::Conflict) return "";
  constexpr std::string_view kBefore = " belongs to ";
  const std::size_t at = free.error().message.find(kBefore);
  return at == std::string::npos ? "a program" : free.error().message.substr(at + kBefore.size());
}

/// Runs in the namespace that plays outside; the sockets of the round before are closed.
Status send_all(Probes probes, std::vector<os::Fd>& sockets) {
  sockets.clear();
  for (const PortProbe& probe : probes) {
    WARREN_TRY_ASSIGN(os::Fd socket,
                      connect_from(probe.way.from, probe.source, probe.way.to, probe.port));
    if (probe.port.protocol == model::Protocol::Udp)
      std::ignore = ::send(socket.get(), "?", 1, MSG_NOSIGNAL);
    sockets.push_back(std::move(socket));
  }
  return {};
}

/// Runs in the host.
Status judge(const PortProbe& probe, const std::string& link, bool is_forward, Counters& seen,
             plan::PortFinding& finding) {
  if (seen[probe.passed()] != 0) return {};
  if (seen[probe.came()] == 0) {
    finding.asked = false;
    finding.why_not = "the probe did not arrive at " + probe.way.to.to_string();
    return {};
  }
  WARREN_TRY_ASSIGN(finding.obstacle, find_foreign_filter({.hook = is_forward ? "forward" : "input",
                                                           .family = probe.way.to.family(),
                                                           .port = probe.port,
                                                           .link = link}));
  if (!finding.obstacle)
    finding.obstacle = Obstacle{"something other than a packet filter (routes, rp_filter)", ""};
  return {};
}

/// Runs in the host: what became of each probe.
base::Result<Counters> send_and_count(Probes probes, const std::string& link, const os::Fd& there,
                                      const std::string& table_name) {
  WARREN_TRY_ASSIGN(const OwnedTable table,
                    OwnedTable::create(table_name, ports_table(probes, link)));
  std::vector<os::Fd> sockets;
  const auto send = [&] { return os::in_netns(there, [&] { return send_all(probes, sockets); }); };
  const auto all_passed = [&](const Counters& now) {
    return std::ranges::all_of(probes, [&](const PortProbe& probe) {
      const auto passed = now.find(probe.passed());
      return passed != now.end() && passed->second != 0;
    });
  };
  return watch(table, send, all_passed);
}

/// Those of one link beside each other, and so many at once; each with a source port of its own.
std::vector<Probes> rounds_of(std::vector<PortProbe>& probes) {
  std::ranges::stable_sort(probes, {}, [](const PortProbe& probe) { return probe.way.link.index; });
  std::vector<Probes> rounds;
  for (std::size_t at = 0; at < probes.size();) {
    std::size_t end = at;
    const std::uint32_t link = probes[at].way.link.index;
    while (end < probes.size() && end - at < kProbesAtOnce && probes[end].way.link.index == link) {
      probes[end].source = static_cast<std::uint16_t>(kFirstSource + (end - at));
      ++end;
    }
    rounds.emplace_back(probes.begin() + static_cast<std::ptrdiff_t>(at), end - at);
    at = end;
  }
  return rounds;
}

}  // namespace

base::Result<std::vector<plan::PortFinding>> HostNet::probe_ports(
    const std::vector<plan::PortQuestion>& questions) {
  HostView host;
  WARREN_TRY_ASSIGN(host.links, rtnl_.links());
  WARREN_TRY_ASSIGN(host.routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(host.addresses, rtnl_.addresses());
  const Outside outside{.link = "wp" + options_.instance.substr(0, kIfNameRoom)};
  std::vector<plan::PortFinding> findings;
  std::vector<PortProbe> probes;
  for (const plan::PortQuestion& question : questions) {
    plan::PortFinding& finding = findings.emplace_back();
    finding.port = question.port;
    const auto way = way_in(question.at, host, outside);
    finding.asked = way.has_value();
    if (way) probes.push_back({findings.size() - 1, *way, question.port});
    if (!way) finding.why_not = "this host has no address on a way out that could be dialled";
  }
  WARREN_TRY(inside("", [&]() -> Status {
    for (std::size_t at = 0; at < questions.size(); ++at)
      if (!questions[at].is_forward) findings[at].listener = listener_of(questions[at].port);
    return {};
  }));
  if (!may_change_host()) {
    for (const PortProbe& probe : probes) {
      findings[probe.question].asked = false;
      findings[probe.question].why_not =
          "a gateway without root sends nothing as from outside; try it from another machine";
    }
    return findings;
  }
  for (const Probes round : rounds_of(probes)) {
    const auto ask = [&](const std::string& link, const os::Fd& there) -> Status {
      WARREN_TRY_ASSIGN(Counters seen,
                        send_and_count(round, link, there, "warren_probe_" + options_.instance));
      for (const PortProbe& probe : round) {
        plan::PortFinding& finding = findings[probe.question];
        if (link != outside.link) finding.link = link;
        WARREN_TRY(judge(probe, link, questions[probe.question].is_forward, seen, finding));
      }
      return {};
    };
    const Status done = os::in_new_netns([&]() -> Status {
      WARREN_TRY_ASSIGN(
          const std::string link,
          link_up(outside, rtnl_, host_, alias(), round).within("link a probe to the host"));
      WARREN_TRY_ASSIGN(const os::Fd there, os::current_netns());
      return inside("", [&] { return ask(link, there); });
    });
    // The namespace goes with its last socket; the pair is not waited for.
    std::ignore = rtnl_.delete_link(outside.link);
    if (!done) return done.error();
  }
  return findings;
}

}  // namespace warren::hostnet
