#include "netns/mount_call.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "os/file.hpp"

namespace warren::netns {

base::Error mount_refused(const std::string& what) {
  base::Error error = base::os_error(what);
  if (error.os_errno != EPERM && error.os_errno != EACCES) return error;
  return std::move(error).with_hint(
      "a security module or a container's seccomp profile restricts user namespaces; `warren "
      "doctor run` tells which and what to set");
}

base::Status mount_tmpfs(const std::string& path, const std::string& options,
                         const std::string& what, bool read_only) {
  const unsigned long flags =
      MS_NOSUID | MS_NODEV | MS_NOEXEC | (read_only ? static_cast<unsigned long>(MS_RDONLY) : 0);
  if (mount("tmpfs", path.c_str(), "tmpfs", flags, options.c_str()) < 0) return mount_refused(what);
  return {};
}

os::Fd hold_path(const std::string& path) { return os::Fd(open(path.c_str(), O_PATH | O_CLOEXEC)); }

base::Status bind_held(const os::Fd& held, const std::string& target) {
  const std::string source = "/proc/self/fd/" + std::to_string(held.get());
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0) {
    return mount_refused("show " + target + " inside the run");
  }
  return {};
}

base::Status make_mount_point(const os::Fd& held, const std::string& target) {
  struct stat there{};
  if (fstat(held.get(), &there) < 0) return base::os_error("look at " + target);
  if (S_ISDIR(there.st_mode)) return os::make_directories(target, 0755);
  WARREN_TRY(os::make_directories(target.substr(0, target.rfind('/')), 0755));
  const os::Fd made(open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  return made ? base::Status{} : base::os_error("create " + target);
}

std::vector<std::string> mounts_below(const std::string& directory) {
  std::vector<std::string> found;
  std::istringstream table(os::read_file("/proc/self/mountinfo").value_or(""));
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;  // the fifth is the mount point
    const bool outermost = std::ranges::none_of(found, [&](const std::string& outer) {
      return field == outer || field.starts_with(outer + "/");
    });
    if (field.starts_with(directory + "/") && outermost) found.push_back(field);
  }
  return found;
}

bool exists(const std::string& path) {
  struct stat there{};
  return stat(path.c_str(), &there) == 0;
}

bool is_directory(const std::string& path) {
  struct stat there{};
  return stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode);
}

base::Status write_new_file(const std::string& path, const std::string& text) {
  const os::Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file || fchmod(file.get(), 0644) < 0 ||
      write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return base::os_error("create the run's " + path);
  }
  return {};
}

}  // namespace warren::netns
