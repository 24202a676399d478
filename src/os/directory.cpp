#include "os/directory.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "os/fd.hpp"

namespace warren::os {

namespace {

using base::os_error;

base::Status sync_one(const std::string& path, int flags) {
  const Fd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | flags));
  if (!opened) return os_error("open " + path);
  if (fsync(opened.get()) < 0) return os_error("sync " + path);
  return {};
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

}  // namespace

base::Result<std::string> make_directory_beside(const std::string& path) {
  std::string name = path + ".XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return os_error("create a directory beside " + path);
  return name;
}

base::Status sync_tree(const std::string& path) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    const auto status = at->symlink_status();
    if (std::filesystem::is_directory(status)) WARREN_TRY(sync_tree(at->path().string()));
    if (std::filesystem::is_regular_file(status)) WARREN_TRY(sync_one(at->path().string(), 0));
  }
  if (error) return os_error("read " + path, error.value());
  return sync_one(path, O_DIRECTORY);
}

base::Status take_place_of(const std::string& from, const std::string& to) {
  const std::string what = "put " + from + " in the place of " + to;
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) < 0) {
    const int why = errno;
    // EINVAL: a file system that cannot exchange; it may still rename over an empty one.
    const bool plain = why == ENOENT || why == EINVAL || why == ENOSYS;
    if (!plain) return os_error(what, why);
    if (rename(from.c_str(), to.c_str()) < 0) return os_error(what);
  }
  return sync_one(parent_of(to), O_DIRECTORY);
}

}  // namespace warren::os
