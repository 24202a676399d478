#include "apps/warren-openconnect/rehearsal.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>

namespace warren::app {

base::Status Rehearsal::start() {
  listener_ = os::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof here;
  auto* const address = reinterpret_cast<sockaddr*>(&here);
  if (!listener_ || bind(listener_.get(), address, size) < 0 || listen(listener_.get(), 4) < 0 ||
      getsockname(listener_.get(), address, &size) < 0) {
    return base::os_error("listen on the loopback");
  }
  port_ = ntohs(here.sin_port);
  const os::Fd first(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!first || connect(first.get(), address, size) < 0) {
    return base::os_error("connect to the loopback")
        .with_hint("the interface lo of this machine must be up");
  }
  thread_ = std::thread([this] {
    while (true) {
      const os::Fd caller(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!caller) return;
      std::array<char, 16> room;
      if (recv(caller.get(), room.data(), room.size(), 0) > 0) spoken_to_ = true;
    }
  });
  return {};
}

Rehearsal::~Rehearsal() {
  if (!thread_.joinable()) return;
  shutdown(listener_.get(), SHUT_RDWR);  // accept returns
  thread_.join();
}

}  // namespace warren::app
