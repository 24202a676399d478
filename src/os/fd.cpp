#include "os/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace warren::os {

using base::os_error;

void Fd::reset() {
  if (number_ < 0) return;
  const int saved_errno = errno;  // an error path closes descriptors before it reports errno
  close(std::exchange(number_, -1));
  errno = saved_errno;
}

base::Result<Fd> Fd::duplicate() const {
  Fd copy(fcntl(number_, F_DUPFD_CLOEXEC, 3));
  if (!copy) return os_error("duplicate a descriptor");
  return copy;
}

base::Status Fd::make_inheritable() const {
  const int flags = fcntl(number_, F_GETFD);
  if (flags < 0 || fcntl(number_, F_SETFD, flags & ~FD_CLOEXEC) < 0)
    return os_error("make a descriptor inheritable");
  return {};
}

base::Status Fd::set_nonblocking() const {
  const int flags = fcntl(number_, F_GETFL);
  if (flags < 0 || fcntl(number_, F_SETFL, flags | O_NONBLOCK) < 0)
    return os_error("make a descriptor non-blocking");
  return {};
}

}  // namespace warren::os
