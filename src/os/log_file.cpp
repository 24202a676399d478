#include "os/log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>

namespace warren::os {

base::Result<Fd> open_log_file(const std::string& path, std::size_t max) {
  const auto open_it = [&path] {
    return Fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  };
  Fd file = open_it();
  if (!file) return base::os_error("open " + path);
  struct stat status{};
  if (fstat(file.get(), &status) < 0) return base::os_error("examine " + path);
  if (static_cast<std::size_t>(status.st_size) <= max) return file;
  if (rename(path.c_str(), (path + ".1").c_str()) < 0)
    return base::os_error("set " + path + " aside");
  file = open_it();
  if (!file) return base::os_error("open " + path);
  return file;
}

}  // namespace warren::os
