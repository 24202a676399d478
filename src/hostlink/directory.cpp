// Theory of operation. The lock is a flock on the directory itself, so it leaves no file. Whoever
// got it makes sure that the directory was not removed, and made again, while it waited.
#include "hostlink/directory.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "hostlink/limits.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"

namespace warren::hostlink {

namespace {

constexpr int kPauseMs = 10;

base::Status ensure(const std::string& directory) {
  WARREN_TRY(os::make_directories(directory.substr(0, directory.rfind('/')), 0755));
  if (mkdir(directory.c_str(), 0700) < 0 && errno != EEXIST) {
    return base::os_error("create " + directory);
  }
  struct stat there{};
  if (lstat(directory.c_str(), &there) < 0) return base::os_error("look at " + directory);
  if (S_ISDIR(there.st_mode) && there.st_uid == geteuid() && (there.st_mode & 077) == 0) return {};
  return base::make_error(base::ErrorKind::NotPermitted,
                          directory + " is not a directory that only root can enter",
                          "remove it, or name another with --run-dir");
}

bool still_named(const os::Fd& held, const std::string& path) {
  struct stat mine{};
  struct stat named{};
  return fstat(held.get(), &mine) == 0 && stat(path.c_str(), &named) == 0 &&
         mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

}  // namespace

std::string directory_in(const std::string& run_dir) { return run_dir + "/up"; }

LinkFiles::LinkFiles(const std::string& directory, const std::string& name)
    : state(directory + "/" + name + ".state"),
      journal(directory + "/" + name + ".undo"),
      log(directory + "/" + name + ".log") {}

base::Result<Turn> Turn::take(const std::string& directory) {
  const base::Instant deadline = os::now() + kTurn;
  while (true) {
    WARREN_TRY(ensure(directory));
    os::Fd lock(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock && errno != ENOENT) return base::os_error("open " + directory);
    if (lock && flock(lock.get(), LOCK_EX | LOCK_NB) == 0 && still_named(lock, directory)) {
      return Turn(directory, std::move(lock));
    }
    if (os::now() >= deadline) {
      return base::make_error(base::ErrorKind::Conflict,
                              "another `warren up` or `warren down` is at work and does not end",
                              "`fuser " + directory + "` names it");
    }
    poll(nullptr, 0, kPauseMs);
  }
}

Turn::~Turn() {
  if (!lock_) return;
  if (rmdir(directory_.c_str()) < 0) return;
  rmdir(directory_.substr(0, directory_.rfind('/')).c_str());
}

}  // namespace warren::hostlink
