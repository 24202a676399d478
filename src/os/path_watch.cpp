#include "os/path_watch.hpp"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::os {

base::Result<PathWatch> PathWatch::create(const std::string& path) {
  Fd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return base::os_error("create a file watch");
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  if (inotify_add_watch(fd.get(), directory.c_str(),
                        IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF) < 0)
    return base::os_error("watch " + directory);
  PathWatch watch(std::move(fd), path);
  struct stat now{};
  if (lstat(path.c_str(), &now) < 0) return base::os_error("look at " + path);
  watch.device_ = now.st_dev;
  watch.inode_ = now.st_ino;
  return watch;
}

bool PathWatch::is_there() const {
  struct stat now{};
  return lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_;
}

bool PathWatch::gone() {
  char events[4096];
  while (read(fd_.get(), events, sizeof events) > 0) {
  }
  return !is_there();
}

void PathWatch::remove() {
  if (is_there()) unlink(path_.c_str());
}

}  // namespace warren::os
