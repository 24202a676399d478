#include "hostlink/wake.hpp"

#include <sys/socket.h>

#include <tuple>

#include "netns/echo.hpp"
#include "netns/socket_address.hpp"

namespace warren::hostlink {

namespace {

constexpr std::uint16_t kDiscard = 9;

bool leaves_by(const os::Fd& socket, const std::string& link) {
  return setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, link.data(),
                    static_cast<socklen_t>(link.size())) == 0;
}

}  // namespace

void wake(const std::string& link, const std::optional<base::IpAddress>& target) {
  if (!target) return;
  if (const auto echo = netns::open_echo_socket(target->family())) {
    if (leaves_by(*echo, link)) std::ignore = netns::send_echo(*echo, *target, 1);
    return;
  }
  const auto to = netns::to_socket_address({.address = *target, .port = kDiscard});
  const os::Fd socket(::socket(target->is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket || !leaves_by(socket, link)) return;
  std::ignore = sendto(socket.get(), "", 0, MSG_DONTWAIT, to.get(), to.size);
}

}  // namespace warren::hostlink
