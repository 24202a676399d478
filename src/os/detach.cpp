#include "os/detach.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "os/fd.hpp"

namespace warren::os {

base::Status detach_from_terminal(const std::string& log) {
  const Fd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd file(open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!nothing || !file) {
    return base::os_error("open the log " + log).with_hint("name another with --log FILE");
  }
  if (dup2(nothing.get(), 0) < 0 || dup2(file.get(), 1) < 0 || dup2(file.get(), 2) < 0) {
    return base::os_error("redirect output to " + log);
  }
  if (setsid() < 0) return base::os_error("start a session");
  return {};
}

}  // namespace warren::os
