// Packets of our own, to see what others do to them: from a network towards the world, and from
// outside to public ports.
//
// A table that counts is put behind all others for the time (nftables asks the chains of a hook in
// the order of their priorities, and whoever drops ends it): what it sees has passed everybody
// else. It then drops the packet, so that nothing leaves the host and no program of the host's is
// asked. Outside is a namespace without a name, linked to the host by a pair. Table, pair and
// namespace go with the thread that made them, also when the daemon is killed.
//
// Limit: what comes from outside comes in on that pair. A filter that treats the host's interfaces
// differently is seen as it treats one that it has not heard of.
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>

#include "hostnet/foreign_filter.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/nftables.hpp"
#include "hostnet/port_owner.hpp"
#include "hostnet/sysctl.hpp"
#include "os/clock.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

using base::ErrorKind;
using base::IpAddress;
using base::Status;
using plan::Obstacle;
using Counters = std::map<std::string, std::uint64_t>;

constexpr auto kWait = std::chrono::milliseconds(400);
constexpr auto kAgain = std::chrono::milliseconds(100);
constexpr int kLook_ms = 3;
constexpr std::uint16_t kUplinkPort = 33'434;  // where traceroute knocks
constexpr std::uint16_t kFirstSource = 40'000;
constexpr std::size_t kIfNameRoom = 13;  // of an interface's name, behind "wp"
constexpr std::uint32_t kMainTable = 254;

/// The last of all: behind every priority that anybody gives a chain.
constexpr const char* kLast = "priority 2147483647; policy accept;\n";
constexpr const char* kFirst = "priority raw; policy accept;\n";

IpAddress known(const char* text) { return *IpAddress::parse(text); }

/// A socket address, and how long it is.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress socket_address(const IpAddress& address, std::uint16_t port) {
  SocketAddress out;
  if (address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::ranges::copy(address.bytes(), reinterpret_cast<std::uint8_t*>(&in.sin_addr));
    out.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(out.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    std::ranges::copy(address.bytes(), reinterpret_cast<std::uint8_t*>(&in.sin6_addr));
    out.size = sizeof in;
  }
  return out;
}

/// A socket of the calling thread's namespace with this source, which has begun to connect.
base::Result<os::Fd> connect_from(const IpAddress& from, std::uint16_t from_port,
                                  const IpAddress& to, const model::PublicPort& port) {
  const bool tcp = port.protocol == model::Protocol::Tcp;
  const int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  os::Fd socket(::socket(from.is_v4() ? AF_INET : AF_INET6, type, 0));
  if (!socket) return base::os_error("open a socket for a probe");
  const SocketAddress here = socket_address(from, from_port);
  if (bind(socket.get(), here.get(), here.size) != 0)
    return base::os_error("bind a probe to " + from.to_string());
  const SocketAddress there = socket_address(to, port.port);
  if (connect(socket.get(), there.get(), there.size) != 0 && errno != EINPROGRESS)
    return base::os_error("send a probe to " + to.to_string());
  return socket;
}

/// Sends now and then until `done` says so, or the time is over; the last counters.
base::Result<Counters> watch(const OwnedTable& table, const std::function<Status()>& send,
                             const std::function<bool(const Counters&)>& done) {
  const base::Instant end = os::now() + kWait;
  base::Instant next = os::now();
  Counters seen;
  for (;;) {
    const base::Instant now = os::now();
    if (now >= next) {
      WARREN_TRY(send());
      next = now + kAgain;
    }
    WARREN_TRY_ASSIGN(seen, table.counters());
    if (done(seen) || now >= end) return seen;
    poll(nullptr, 0, kLook_ms);
  }
}

std::string counter_line(const std::string& name) { return "\tcounter " + name + " {\n\t}\n"; }

/// The interface and the next hop of the default route; nullopt: there is none.
struct WayOut {
  std::uint32_t link = 0;
  IpAddress next;
};
std::optional<WayOut> way_out(const std::vector<os::Route>& routes, base::Family family) {
  for (const os::Route& route : routes) {
    const bool is_default = route.table == kMainTable && route.destination.length == 0 &&
                            route.destination.address.family() == family;
    if (!is_default) continue;
    const bool v4 = family == base::Family::V4;
    return WayOut{route.link, route.gateway.value_or(known(v4 ? "198.51.100.1" : "2001:db8::1"))};
  }
  return std::nullopt;
}

Status send_one(const IpAddress& from, const IpAddress& to) {
  WARREN_TRY_ASSIGN(const os::Fd socket,
                    connect_from(from, 0, to, {model::Protocol::Udp, kUplinkPort}));
  std::ignore = ::send(socket.get(), "?", 1, MSG_NOSIGNAL);
  return {};
}

/// What a packet from `from` meets that comes in on a link of the host's.
std::string uplink_table(const std::string& link, const IpAddress& from) {
  const std::string rule =
      fmt::format("\t\tiifname \"{}\" {} saddr {} udp dport {} counter name ", link,
                  from.is_v4() ? "ip" : "ip6", from.to_string(), kUplinkPort);
  return counter_line("came") + counter_line("passed") +
         "\tchain first {\n\t\ttype filter hook prerouting " + kFirst + rule + "came\n\t}\n" +
         "\tchain last {\n\t\ttype filter hook forward " + kLast + rule + "passed drop\n\t}\n";
}

bool has_passed(const Counters& now) { return now.contains("passed") && now.at("passed") != 0; }

/// To everybody on the segment, from the network's place there.
Status send_to_segment(const IpAddress& from) {
  os::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  constexpr std::string_view kLink = plan::kSegment;
  const SocketAddress here = socket_address(from, 0);
  const bool ready =
      socket && setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0 &&
      setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, kLink.data(), kLink.size()) == 0 &&
      bind(socket.get(), here.get(), here.size) == 0;
  if (!ready) return base::os_error("send a probe to the segment");
  const SocketAddress everybody = socket_address(known("255.255.255.255"), kUplinkPort);
  std::ignore = ::sendto(socket.get(), "?", 1, MSG_NOSIGNAL, everybody.get(), everybody.size);
  return {};
}

}  // namespace

base::Result<std::optional<Obstacle>> HostNet::probe_segment(const plan::HostNetwork& network) {
  std::optional<Obstacle> found;
  // A wire is not bridged, and what is bridged is of one kind: IPv4 stands for both.
  const auto link = rtnl_.link(network.attach);
  const bool asks = link && link->kind == "bridge" && network.gateway4;
  if (!asks) return found;
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(network.netns_name()));
  WARREN_TRY(inside("", [&]() -> Status {
    if (read_sysctl("net/bridge/bridge-nf-call-iptables").value_or("0") != "1") return {};
    const std::string name = "warren_probe_" + options_.instance;
    WARREN_TRY_ASSIGN(const OwnedTable table,
                      OwnedTable::create(name, uplink_table(network.attach, *network.gateway4)));
    const auto send = [&] {
      return os::in_netns(space, [&] { return send_to_segment(*network.gateway4); });
    };
    WARREN_TRY_ASSIGN(Counters seen, watch(table, send, has_passed));
    if (seen["came"] == 0 || seen["passed"] != 0) return {};
    WARREN_TRY_ASSIGN(
        found,
        find_foreign_filter(
            {.hook = "forward", .family = base::Family::V4, .port = {}, .bridge = network.attach}));
    return {};
  }));
  return found;
}

base::Result<std::optional<Obstacle>> HostNet::probe_uplink(const plan::HostNetwork& network) {
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(network.netns_name()));
  std::optional<Obstacle> found;
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    const bool v4 = family == base::Family::V4;
    const auto out = way_out(routes, family);
    const bool asks = (v4 ? network.subnet4 : network.subnet6).has_value() && out.has_value();
    if (!asks || found) continue;
    const IpAddress from = v4 ? network.transit4_inside : network.transit6_inside;
    WARREN_TRY(inside("", [&]() -> Status {
      const std::string name = "warren_probe_" + options_.instance;
      WARREN_TRY_ASSIGN(const OwnedTable table,
                        OwnedTable::create(name, uplink_table(network.id.uplink_name(), from)));
      const auto send = [&] {
        return os::in_netns(space, [&] { return send_one(from, out->next); });
      };
      WARREN_TRY_ASSIGN(Counters seen, watch(table, send, has_passed));
      // What never arrived was not dropped by a filter of the host's.
      if (seen["came"] == 0 || seen["passed"] != 0) return {};
      WARREN_TRY_ASSIGN(found,
                        find_foreign_filter({.hook = "forward", .family = family, .port = {}}));
      if (!found) found = Obstacle{"something other than a packet filter (routes, rp_filter)", ""};
      return {};
    }));
  }
  return found;
}

namespace {

/// The pair that outside is linked to the host by.
struct Outside {
  std::string link;  ///< the host's end
  IpAddress host4 = known("198.18.255.252");
  IpAddress there4 = known("198.18.255.253");
  IpAddress host6 = known("fd5a:7772:6e70::");
  IpAddress there6 = known("fd5a:7772:6e70::1");
};

/// The host forwards for those of its interfaces alone that lead to the world: this one does.
Status let_forward(const std::string& link) {
  for (const std::string& key :
       {"net/ipv4/conf/" + link + "/forwarding", "net/ipv6/conf/" + link + "/force_forwarding"})
    if (read_sysctl(key)) WARREN_TRY(write_sysctl(key, "1"));
  return {};
}

/// Runs in the namespace that plays outside.
Status link_up(const Outside& outside, os::Rtnl& host, const os::Fd& host_space,
               const std::string& alias) {
  constexpr std::uint8_t kPair4 = 31;
  constexpr std::uint8_t kPair6 = 127;
  WARREN_TRY_ASSIGN(os::Rtnl here, os::Rtnl::open());
  WARREN_TRY(here.add_veth("p0", outside.link));
  WARREN_TRY(here.set_alias(outside.link, alias));
  WARREN_TRY(here.move_to_netns(outside.link, host_space));
  WARREN_TRY(host.add_address(outside.link, {outside.host4, kPair4}));
  WARREN_TRY(host.set_up(outside.link, true));
  WARREN_TRY(os::in_netns(host_space, [&] { return let_forward(outside.link); }));
  WARREN_TRY(here.add_address("p0", {outside.there4, kPair4}));
  WARREN_TRY(here.set_up("p0", true));
  WARREN_TRY(here.add_route({.destination = {IpAddress(), 0}, .gateway = outside.host4}));
  // A host without IPv6 is not asked by it.
  if (!host.add_address(outside.link, {outside.host6, kPair6})) return {};
  WARREN_TRY(here.add_address("p0", {outside.there6, kPair6}));
  return here.add_route({.destination = {IpAddress::v6({}), 0}, .gateway = outside.host6});
}

/// One probe: from which port, to which address.
struct PortProbe {
  std::size_t question = 0;
  IpAddress to;
  model::PublicPort port;

  [[nodiscard]] std::uint16_t source() const {
    return static_cast<std::uint16_t>(kFirstSource + question);
  }
  [[nodiscard]] std::string came() const { return "came" + std::to_string(question); }
  [[nodiscard]] std::string passed() const { return "passed" + std::to_string(question); }
};

std::string ports_table(const std::vector<PortProbe>& probes, const std::string& link) {
  std::string counters;
  std::string first;
  std::string last;
  for (const PortProbe& probe : probes) {
    const std::string rule =
        fmt::format("\t\tiifname \"{}\" {} sport {} counter name ", link,
                    std::string(model::to_string(probe.port.protocol)), probe.source());
    counters += counter_line(probe.came()) + counter_line(probe.passed());
    first += rule + probe.came() + "\n";
    last += rule + probe.passed() + " drop\n";
  }
  return counters + "\tchain first {\n\t\ttype filter hook prerouting " + kFirst + first + "\t}\n" +
         "\tchain input {\n\t\ttype filter hook input " + kLast + last + "\t}\n" +
         "\tchain forward {\n\t\ttype filter hook forward " + kLast + last + "\t}\n";
}

/// What others dial: `at` where that is the host's, otherwise what it has on a way out.
std::optional<IpAddress> address_of_host(const std::optional<IpAddress>& at,
                                         const std::vector<os::LinkAddress>& addresses,
                                         const std::vector<os::Route>& routes) {
  const auto is_own = [&](const IpAddress& address) {
    return std::ranges::any_of(
        addresses, [&](const os::LinkAddress& one) { return one.prefix.address == address; });
  };
  if (at && is_own(*at)) return at;
  for (const base::Family family : {base::Family::V4, base::Family::V6}) {
    const auto out = way_out(routes, family);
    if (!out) continue;
    for (const os::LinkAddress& one : addresses) {
      const IpAddress& address = one.prefix.address;
      const bool fits =
          one.link == out->link && address.family() == family && !address.is_link_local();
      if (fits) return address;
    }
  }
  return std::nullopt;
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
Status send_all(const std::vector<PortProbe>& probes, const Outside& outside,
                std::vector<os::Fd>& sockets) {
  sockets.clear();
  for (const PortProbe& probe : probes) {
    const IpAddress& from = probe.to.is_v4() ? outside.there4 : outside.there6;
    WARREN_TRY_ASSIGN(os::Fd socket, connect_from(from, probe.source(), probe.to, probe.port));
    if (probe.port.protocol == model::Protocol::Udp)
      std::ignore = ::send(socket.get(), "?", 1, MSG_NOSIGNAL);
    sockets.push_back(std::move(socket));
  }
  return {};
}

/// Runs in the host.
Status judge(const PortProbe& probe, bool is_forward, Counters& seen, plan::PortFinding& finding) {
  if (seen[probe.passed()] != 0) return {};
  if (seen[probe.came()] == 0) {
    finding.asked = false;
    finding.why_not = "the probe did not arrive at " + probe.to.to_string();
    return {};
  }
  WARREN_TRY_ASSIGN(finding.obstacle, find_foreign_filter({.hook = is_forward ? "forward" : "input",
                                                           .family = probe.to.family(),
                                                           .port = probe.port}));
  if (!finding.obstacle)
    finding.obstacle = Obstacle{"something other than a packet filter (routes, rp_filter)", ""};
  return {};
}

/// Runs in the host: what became of each probe.
base::Result<Counters> send_and_count(const std::vector<PortProbe>& probes, const Outside& outside,
                                      const os::Fd& there, const std::string& table_name) {
  WARREN_TRY_ASSIGN(const OwnedTable table,
                    OwnedTable::create(table_name, ports_table(probes, outside.link)));
  std::vector<os::Fd> sockets;
  const auto send = [&] {
    return os::in_netns(there, [&] { return send_all(probes, outside, sockets); });
  };
  const auto all_passed = [&](const Counters& now) {
    return std::ranges::all_of(probes, [&](const PortProbe& probe) {
      const auto passed = now.find(probe.passed());
      return passed != now.end() && passed->second != 0;
    });
  };
  return watch(table, send, all_passed);
}

}  // namespace

base::Result<std::vector<plan::PortFinding>> HostNet::probe_ports(
    const std::vector<plan::PortQuestion>& questions) {
  WARREN_TRY_ASSIGN(const std::vector<os::Route> routes, rtnl_.routes());
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl_.addresses());
  std::vector<plan::PortFinding> findings;
  std::vector<PortProbe> probes;
  for (const plan::PortQuestion& question : questions) {
    plan::PortFinding& finding = findings.emplace_back();
    finding.port = question.port;
    const auto to = address_of_host(question.at, addresses, routes);
    finding.asked = to.has_value();
    if (to) probes.push_back({findings.size() - 1, *to, question.port});
    if (!to) finding.why_not = "this host has no address on a way out that could be dialled";
  }
  WARREN_TRY(inside("", [&]() -> Status {
    for (std::size_t at = 0; at < questions.size(); ++at)
      if (!questions[at].is_forward) findings[at].listener = listener_of(questions[at].port);
    return {};
  }));
  if (probes.empty()) return findings;

  const Outside outside{.link = "wp" + options_.instance.substr(0, kIfNameRoom)};
  const auto ask = [&](const os::Fd& there) -> Status {
    WARREN_TRY_ASSIGN(Counters seen,
                      send_and_count(probes, outside, there, "warren_probe_" + options_.instance));
    for (const PortProbe& probe : probes)
      WARREN_TRY(
          judge(probe, questions[probe.question].is_forward, seen, findings[probe.question]));
    return {};
  };
  const Status done = os::in_new_netns([&]() -> Status {
    WARREN_TRY(link_up(outside, rtnl_, host_, alias()).within("link a probe to the host"));
    WARREN_TRY_ASSIGN(const os::Fd there, os::current_netns());
    return inside("", [&] { return ask(there); });
  });
  // The namespace goes with its last socket; the pair is not waited for.
  std::ignore = rtnl_.delete_link(outside.link);
  if (!done) return done.error();
  return findings;
}

}  // namespace warren::hostnet
