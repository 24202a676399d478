#include "apps/warren-openconnect/rehearsal.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

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
  thread_ = std::thread([this] {
    while (true) {
      const os::Fd caller(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!caller) return;
      visited_ = true;
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
