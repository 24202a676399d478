#include "os/stream.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

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
  // An empty root file system has none: a file that nobody else will read does.
  if (!fd && errno == ENOENT) fd = Fd(memfd_create("null", MFD_CLOEXEC));
  if (!fd) return base::os_error("open /dev/null");
  return fd;
}

base::Status make_write_only(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  struct stat there{};
  if (flags < 0 || (flags & O_ACCMODE) != O_RDWR || fstat(descriptor, &there) < 0) return {};
  if (S_ISSOCK(there.st_mode)) return {};  // cannot be opened again
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  Fd output(open(path.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC));
  if (!output) output = Fd(open("/dev/null", O_WRONLY | O_CLOEXEC));  // another user's terminal
  if (!output) return base::os_error("open /dev/null");
  if (dup2(output.get(), descriptor) < 0) return base::os_error("replace a descriptor");
  return {};
}

}  // namespace warren::os
