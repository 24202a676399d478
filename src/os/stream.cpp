#include "os/stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>

namespace warren::os {

base::Result<std::optional<std::size_t>> read_some(const Fd& stream, base::MutableBytes room) {
  while (true) {
    const ssize_t got = recv(stream.get(), room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) return std::optional(static_cast<std::size_t>(got));
    if (got == 0) return std::optional<std::size_t>();
    if (errno == EAGAIN) return std::optional<std::size_t>(0);
    if (errno != EINTR) return base::os_error("read from a connection");
  }
}

base::Result<std::size_t> write_some(const Fd& stream, base::Bytes bytes) {
  while (true) {
    const ssize_t put = send(stream.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0) return static_cast<std::size_t>(put);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return base::os_error("write to a connection");
  }
}

base::Result<Fd> open_null() {
  Fd fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!fd) return base::os_error("open /dev/null");
  return fd;
}

}  // namespace warren::os
