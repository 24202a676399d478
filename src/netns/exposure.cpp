#include "netns/exposure.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>

#include "netns/limits.hpp"
#include "netns/socket_address.hpp"

namespace warren::netns {

using base::ErrorKind;
using base::make_error;

base::Result<Exposure> Exposure::parse(const std::string& text) {
  const auto wrong = [&](const std::string& why) {
    return make_error(ErrorKind::Invalid, "--expose " + text + ": " + why,
                      "write it as [ADDRESS:]PORT:PORT[/tcp|udp]: the port on this machine, then "
                      "the program's, for example 8080:80/tcp");
  };
  Exposure out;
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const std::string protocol = text.substr(slash + 1);
    if (protocol != "tcp" && protocol != "udp")
      return wrong("`" + protocol + "` is not tcp or udp");
    out.tcp = protocol == "tcp";
  }
  const std::string ports = text.substr(0, slash);
  const std::size_t last = ports.rfind(':');
  if (last == std::string::npos) return wrong("it names one port");
  const auto inside = base::parse_number(ports.substr(last + 1), 1, 65535);
  if (!inside) return wrong("`" + ports.substr(last + 1) + "` is not a port");
  out.port = static_cast<std::uint16_t>(*inside);
  const std::string host = ports.substr(0, last);
  const bool only_port = host.find_first_not_of("0123456789") == std::string::npos;
  const auto listen = base::Endpoint::parse(only_port ? "127.0.0.1:" + host : host);
  if (!listen || listen->port == 0) return wrong("`" + host + "` is not [ADDRESS:]PORT");
  out.listen = *listen;
  return out;
}

std::string Exposure::to_string() const {
  return listen.to_string() + ":" + std::to_string(port) + (tcp ? "/tcp" : "/udp");
}

bool Exposure::admits(const base::IpAddress& client) const {
  return allowed.empty() || std::ranges::any_of(allowed, [&](const base::Prefix& prefix) {
           return prefix.contains(client);
         });
}

base::Result<os::Fd> open_listener(const Exposure& exposure) {
  const std::string what = "expose " + exposure.to_string();
  const int family = exposure.listen.address.is_v4() ? AF_INET : AF_INET6;
  const int type = (exposure.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  os::Fd listener(socket(family, type, 0));
  if (!listener) return base::os_error(what);
  const int yes = 1;
  // A port in TIME_WAIT may be taken again; with UDP this would share the port, so not there.
  if (exposure.tcp) setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (family == AF_INET6) setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  const SocketAddress address = to_socket_address(exposure.listen);
  if (bind(listener.get(), address.get(), address.size) < 0) {
    const int why = errno;
    base::Error error = base::os_error(what, why);
    if (why == EADDRINUSE) return std::move(error).with_hint("another program has this port");
    if (why == EADDRNOTAVAIL) return std::move(error).with_hint("no interface has this address");
    if (why == EACCES) {
      return std::move(error).with_hint(
          "ports below 1024 are for root: choose another, or lower sysctl "
          "net.ipv4.ip_unprivileged_port_start");
    }
    return error;
  }
  if (exposure.tcp && listen(listener.get(), kExposeBacklog) < 0) return base::os_error(what);
  return listener;
}

}  // namespace warren::netns
