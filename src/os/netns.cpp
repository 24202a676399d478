// Theory of operation
//
// A network namespace belongs to a thread. Everything that enters or makes one runs on a thread of
// its own, which ends afterwards, so that no thread of the program is ever left in a foreign place.
//
// A name is a bind mount of the thread's namespace file over an empty file in /run/netns, the
// convention of iproute2. That directory is made a shared mount first, so that a name deleted in
// one mount namespace goes in all of them. The lock on the directory is the one iproute2 takes for
// the same step.
#include "os/netns.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <thread>

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

constexpr const char* kDirectory = "/run/netns";
constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";

base::Result<std::string> path_of(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.size() > 255)
    return make_error(ErrorKind::Invalid, "'" + name + "' cannot name a network namespace");
  return std::string(kDirectory) + "/" + name;
}

/// Runs `fn` on a thread of its own.
base::Status on_own_thread(const std::function<base::Status()>& fn) {
  base::Status result;
  try {
    std::thread thread([&] { result = fn(); });
    thread.join();
  } catch (const std::system_error& failure) {
    return os_error("start a thread", failure.code().value());
  }
  return result;
}

base::Status ensure_directory() {
  if (mkdir(kDirectory, 0755) < 0 && errno != EEXIST)
    return os_error(std::string("create ") + kDirectory);
  if (mount("", kDirectory, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (errno != EINVAL) return os_error(std::string("share the mount ") + kDirectory);

  // Not a mount point yet. Two that come here at once would stack two mounts: one at a time.
  const Fd lock(open(kDirectory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock) flock(lock.get(), LOCK_EX);
  if (mount("", kDirectory, "none", MS_SHARED | MS_REC, nullptr) == 0) return {};
  if (mount(kDirectory, kDirectory, "none", MS_BIND | MS_REC, nullptr) < 0 ||
      mount("", kDirectory, "none", MS_SHARED | MS_REC, nullptr) < 0)
    return os_error(std::string("make a mount of ") + kDirectory);
  return {};
}

bool is_current(const Fd& netns) {
  struct stat wanted{};
  struct stat own{};
  return fstat(netns.get(), &wanted) == 0 && stat(kOwnNetns, &own) == 0 &&
         wanted.st_dev == own.st_dev && wanted.st_ino == own.st_ino;
}

base::Status unshare_and_mount(const std::string& path, Fd& out) {
  if (unshare(CLONE_NEWNET) < 0)
    return os_error("create a network namespace").with_hint("this needs CAP_SYS_ADMIN");
  out = Fd(open(kOwnNetns, O_RDONLY | O_CLOEXEC));
  if (!out) return os_error("open a new network namespace");
  if (mount(kOwnNetns, path.c_str(), "none", MS_BIND, nullptr) < 0)
    return os_error("mount " + path);
  return {};
}

}  // namespace

base::Result<Fd> create_named_netns(const std::string& name) {
  WARREN_TRY_ASSIGN(const std::string path, path_of(name));
  if (base::Status ready = ensure_directory(); !ready)
    return std::move(ready)
        .error()
        .within("create network namespace " + name)
        .with_hint("this needs CAP_SYS_ADMIN");
  if (const Fd file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0)); !file) {
    base::Error error = os_error("create network namespace " + name);
    if (error.os_errno == EEXIST)
      return std::move(error).with_hint("`ip netns delete " + name + "` removes it");
    return error;
  }
  Fd netns;
  base::Status mounted = on_own_thread([&] { return unshare_and_mount(path, netns); });
  if (!mounted) {
    unlink(path.c_str());
    return std::move(mounted).error().within("create network namespace " + name);
  }
  return netns;
}

base::Result<Fd> open_named_netns(const std::string& name) {
  WARREN_TRY_ASSIGN(const std::string path, path_of(name));
  Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return os_error("open network namespace " + name);
  struct statfs kind{};
  if (fstatfs(netns.get(), &kind) < 0) return os_error("look at " + path);
  if (kind.f_type != NSFS_MAGIC)
    return make_error(
        ErrorKind::NotFound,
        "open network namespace " + name + ": the name is there, the namespace is not",
        "remove the name: ip netns delete " + name);
  return netns;
}

base::Result<Fd> current_netns() {
  Fd netns(open(kOwnNetns, O_RDONLY | O_CLOEXEC));
  if (!netns) return os_error(std::string("open ") + kOwnNetns);
  return netns;
}

base::Status delete_named_netns(const std::string& name) {
  WARREN_TRY_ASSIGN(const std::string path, path_of(name));
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
    return os_error("delete network namespace " + name);
  if (unlink(path.c_str()) < 0) return os_error("delete network namespace " + name);
  return {};
}

bool is_ours(const Fd& netns) {
  // EPERM: the owner lies outside.
  const Fd owner(ioctl(netns.get(), NS_GET_USERNS));
  return owner || errno != EPERM;
}

base::Status in_netns(const Fd& netns, const std::function<base::Status()>& fn) {
  return on_own_thread([&]() -> base::Status {
    // Entering where one is already needs privileges over that namespace, which a daemon in a user
    // namespace of its own does not have.
    if (is_current(netns)) return fn();
    if (setns(netns.get(), CLONE_NEWNET) < 0) return os_error("enter a network namespace");
    return fn();
  });
}

base::Status in_new_netns(const std::function<base::Status()>& fn) {
  return on_own_thread([&]() -> base::Status {
    if (unshare(CLONE_NEWNET) < 0)
      return os_error("create a network namespace").with_hint("this needs CAP_SYS_ADMIN");
    return fn();
  });
}

}  // namespace warren::os
