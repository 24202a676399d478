#include "netns/udp_pair.hpp"

#include "netns/limits.hpp"
#include "os/udp.hpp"

namespace warren::netns {

namespace {

base::Result<os::Fd> open_family(base::Family family, std::uint16_t port, std::uint32_t mark) {
  auto socket = os::open_udp({.family = family, .port = port, .mark = mark});
  if (socket) return socket;
  const int why = socket.error().os_errno;
  if (why == EAFNOSUPPORT || why == EADDRNOTAVAIL || why == EPROTONOSUPPORT) return os::Fd();
  return socket;
}

base::Result<UdpPair> open_once(std::uint16_t port, std::uint32_t mark) {
  UdpPair pair{.port = port, .mark = mark};
  for (const auto family : {base::Family::V4, base::Family::V6}) {
    os::Fd& socket = family == base::Family::V4 ? pair.v4 : pair.v6;
    WARREN_TRY_ASSIGN(socket, open_family(family, pair.port, mark));
    if (socket) {
      WARREN_TRY_ASSIGN(pair.port, os::local_port(socket));
    }
  }
  if (!pair.v4 && !pair.v6) return base::os_error("open UDP sockets", EAFNOSUPPORT);
  return pair;
}

base::Error explain(base::Error error, std::uint16_t port, std::uint32_t mark) {
  switch (error.os_errno) {
    case EADDRINUSE:
      error.hint = "ListenPort " + std::to_string(port) +
                   " is taken (`ss -ulpn` names by whom): remove the line or end that program";
      return error;
    case EPERM:
      if (mark == 0) return error;
      error.hint = "FwMark needs CAP_NET_ADMIN on this machine: remove the line, or run as root";
      return error;
    case EACCES:
      return std::move(error).with_hint("ports below 1024 are for root: choose another ListenPort");
    default:
      return error;
  }
}

}  // namespace

base::Result<UdpPair> UdpPair::open(std::uint16_t port, std::uint32_t mark) {
  for (int attempt = 1;; ++attempt) {
    auto pair = open_once(port, mark);
    if (pair) return pair;
    const bool again = port == 0 && pair.error().os_errno == EADDRINUSE && attempt < kMaxPortTries;
    if (!again) return explain(std::move(pair).error(), port, mark);
  }
}

base::Status UdpPair::set_mark(std::uint32_t wanted) {
  if (wanted == mark) return {};
  for (const os::Fd* socket : {&v4, &v6}) {
    if (*socket) WARREN_TRY(os::set_mark(*socket, wanted));
  }
  mark = wanted;
  return {};
}

}  // namespace warren::netns
