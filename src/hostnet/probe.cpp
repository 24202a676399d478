#include "hostnet/probe.hpp"

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>

#include "os/clock.hpp"

namespace warren::hostnet {

using base::IpAddress;
using base::Status;

namespace {

constexpr auto kWait = std::chrono::milliseconds(400);
constexpr auto kAgain = std::chrono::milliseconds(100);
constexpr int kLook_ms = 3;
constexpr std::uint32_t kMainTable = 254;

}  // namespace

IpAddress known(const char* text) { return *IpAddress::parse(text); }

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

std::string counter_line(const std::string& name) { return "\tcounter " + name + " {\n\t}\n"; }

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

}  // namespace warren::hostnet
