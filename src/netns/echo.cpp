#include "netns/echo.hpp"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "netns/limits.hpp"
#include "os/clock.hpp"

// Theory of operation. The kernel owns the identifier and the checksum of an ICMP socket and gives
// it only answers to its own requests; what is left to us is the sequence number. Each request has
// the next one, and remembers when it left, so that a late answer still counts with its true time.

namespace warren::netns {

namespace {

constexpr std::uint8_t kEcho6Request = 128;  // RFC 4443
constexpr std::uint8_t kEcho6Reply = 129;
constexpr std::size_t kHeader = 8;
constexpr std::size_t kRemembered = 64;

struct Target {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Target socket_address(const base::IpAddress& address) {
  Target out;
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, address.bytes().data(), sizeof v4.sin_addr);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, address.bytes().data(), sizeof v6.sin6_addr);
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
  }
  return out;
}

/// Errors that may pass: the handshake is not done, the route not there yet, the queue full.
bool may_pass(int error_number) {
  return error_number == EAGAIN || error_number == EINTR || error_number == ENOBUFS ||
         error_number == ENETUNREACH || error_number == EHOSTUNREACH || error_number == EHOSTDOWN ||
         error_number == ECONNREFUSED || error_number == ENOKEY || error_number == EDESTADDRREQ;
}

/// The sequence number of a waiting answer.
std::optional<std::uint16_t> receive_answer(const os::Fd& socket, bool v4) {
  std::array<std::uint8_t, 512> packet;
  const ssize_t got = recv(socket.get(), packet.data(), packet.size(), MSG_DONTWAIT);
  if (got < static_cast<ssize_t>(kHeader)) return std::nullopt;
  const std::uint8_t wanted = v4 ? static_cast<std::uint8_t>(ICMP_ECHOREPLY) : kEcho6Reply;
  if (packet[0] != wanted) return std::nullopt;
  return static_cast<std::uint16_t>(packet[6] << 8 | packet[7]);
}

}  // namespace

base::Result<os::Fd> open_echo_socket(base::Family family) {
  const bool v4 = family == base::Family::V4;
  os::Fd opened(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC,
                       v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6}));
  if (!opened) return base::os_error("open an ICMP socket");
  return opened;
}

base::Status send_echo(const os::Fd& socket, const base::IpAddress& target,
                       std::uint16_t sequence) {
  std::array<std::uint8_t, kHeader + 8> packet{};
  packet[0] = target.is_v4() ? static_cast<std::uint8_t>(ICMP_ECHO) : kEcho6Request;
  packet[6] = static_cast<std::uint8_t>(sequence >> 8);
  packet[7] = static_cast<std::uint8_t>(sequence);
  const Target to = socket_address(target);
  const auto* address = reinterpret_cast<const sockaddr*>(&to.storage);
  const ssize_t sent =
      sendto(socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL, address, to.size);
  if (sent < 0 && !may_pass(errno)) {
    return base::os_error("send an echo request to " + target.to_string());
  }
  return {};
}

base::Result<std::optional<base::Duration>> wait_for_echo(const os::Fd& socket,
                                                          const base::IpAddress& target,
                                                          base::Instant deadline,
                                                          const os::Fd* abort) {
  std::array<base::Instant, kRemembered> sent_at{};
  std::uint16_t next = 0;
  base::Instant send_next = os::now();
  for (base::Instant at = send_next; at < deadline || next == 0; at = os::now()) {
    if (at >= send_next) {
      sent_at[next % kRemembered] = at;
      WARREN_TRY(send_echo(socket, target, next++));
      send_next = at + kEchoInterval;
    }
    const base::Duration room = std::max(base::Duration(0), std::min(send_next, deadline) - at);
    const timespec wait{.tv_sec = room.count() / 1'000'000'000,
                        .tv_nsec = room.count() % 1'000'000'000};
    std::array<pollfd, 2> waiting{{{.fd = socket.get(), .events = POLLIN},
                                   {.fd = abort ? abort->get() : -1, .events = POLLIN}}};
    if (ppoll(waiting.data(), waiting.size(), &wait, nullptr) <= 0) continue;
    if (waiting[1].revents != 0) return std::optional<base::Duration>();
    if (const auto sequence = receive_answer(socket, target.is_v4())) {
      return std::optional(os::now() - sent_at[*sequence % kRemembered]);
    }
  }
  return std::optional<base::Duration>();
}

}  // namespace warren::netns
