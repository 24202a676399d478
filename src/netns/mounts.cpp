#include "netns/mounts.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <memory>
#include <tuple>

#include "netns/etc_mount.hpp"
#include "netns/limits.hpp"
#include "netns/mount_call.hpp"
#include "os/file.hpp"

// Theory of operation. No file of the host is written, and no mount of ours is seen outside.
//
// A network namespace keeps packets and abstract sockets in, but a socket with a path leads
// wherever its server is. Those of services live in /run (D-Bus, systemd, container engines, nscd,
// systemd-resolved, avahi), so the run gets an empty tmpfs there and sees again only what is on a
// list: files that programs need and no socket but the display's. The few services whose sockets
// are elsewhere are covered one by one. Paths that stay visible are held by descriptor before the
// tmpfs covers them and bound back from there.
//
// A copied tree of mounts shows the host's network in /sys, for a sysfs belongs to the network
// namespace it was mounted in: a new one is mounted, with the old cgroup tree below it. Where the
// kernel refuses that (a container that masks parts of /sys), the list of interfaces is covered.
//
// The working directory is entered again by its name at the end: it could lie in what was covered,
// and be the way out.

namespace warren::netns {

namespace {

constexpr const char* kRun = "/run";
constexpr const char* kScratch = "/run/.warren-scratch";

/// What programs need of the host's /run, and what leads nowhere.
constexpr std::array kKeptOfRun = {
    "/run/media",         "/run/current-system",   "/run/booted-system", "/run/wrappers",
    "/run/opengl-driver", "/run/opengl-driver-32", "/run/secrets",       "/run/credentials",
    "/run/.containerenv", "/run/udev/data",        "/run/utmp"};

constexpr std::array kHiddenDirectories = {"/var/lib/sss/pipes", "/dev/infiniband", "/var/lib/nscd",
                                           "/var/db/nscd"};
constexpr std::array kHiddenSockets = {"/var/lib/incus/unix.socket",
                                       "/var/lib/incus/unix.socket.user",
                                       "/var/lib/lxd/unix.socket",
                                       "/var/lib/lxd/unix.socket.user",
                                       "/var/snap/lxd/common/lxd/unix.socket",
                                       "/var/snap/lxd/common/lxd/unix.socket.user"};

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(realpath(path.c_str(), nullptr), std::free);
  return resolved ? resolved.get() : "";
}

bool is_within(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

struct Kept {
  std::string path;
  os::Fd held;
};

/// What stays visible, held before anything is covered.
base::Result<std::vector<Kept>> hold_kept(const MountPlan& plan) {
  std::vector<Kept> kept;
  for (const char* path : kKeptOfRun) {
    if (os::Fd held = hold_path(path)) kept.push_back({path, std::move(held)});
  }
  for (const std::string& path : plan.kept) {
    std::string real = real_path(path);
    os::Fd held = hold_path(path);
    if (real.empty() || !held) {
      return base::os_error("keep " + path + " visible").with_hint("check the path after --keep");
    }
    kept.push_back({std::move(real), std::move(held)});
  }
  return kept;
}

/// Binds what is kept at or below a directory that was just covered.
base::Status show_kept(const std::vector<Kept>& kept, const std::string& covered) {
  for (const Kept& entry : kept) {
    if (!is_within(entry.path, covered) || entry.path == covered) continue;
    WARREN_TRY(make_mount_point(entry.held, entry.path));
    WARREN_TRY(bind_held(entry.held, entry.path));
  }
  return {};
}

base::Status cover(const std::string& path, const std::string& options, const std::string& what,
                   const std::vector<Kept>& kept) {
  WARREN_TRY(mount_tmpfs(path, options, what));
  return show_kept(kept, path);
}

base::Status cover_run(const std::vector<Kept>& kept) {
  if (!is_directory(kRun)) return {};
  const bool has_shm_link = real_path("/run/shm") == "/dev/shm";
  WARREN_TRY(cover(kRun, "mode=0755,size=16m", "give the run a /run of its own", kept));
  WARREN_TRY(os::make_directories("/run/lock", 0755));
  if (has_shm_link) std::ignore = symlink("/dev/shm", "/run/shm");
  struct stat old{};
  if (lstat("/var/run", &old) < 0 || !S_ISDIR(old.st_mode)) return {};
  return cover("/var/run", "mode=0755,size=1m", "give the run a /var/run of its own", kept);
}

/// A directory of the user's own sockets: empty, private and writable inside.
base::Status cover_private(const std::string& path, const std::vector<Kept>& kept) {
  if (path.empty()) return {};
  const std::string real = real_path(path);
  if (real.empty()) {
    // It was in the host's /run.
    WARREN_TRY(os::make_directories(path, 0700));
    return show_kept(kept, path);
  }
  return cover(real, "mode=0700,size=16m", "hide the sockets in " + path, kept);
}

base::Status hide_services(const MountPlan& plan) {
  for (const char* path : kHiddenDirectories) {
    if (!is_directory(path)) continue;
    WARREN_TRY(
        mount_tmpfs(path, "mode=0755,size=64k", std::string("hide the host's ") + path, true));
  }
  std::vector<std::string> sockets(kHiddenSockets.begin(), kHiddenSockets.end());
  sockets.insert(sockets.end(), plan.hidden_sockets.begin(), plan.hidden_sockets.end());
  const os::Fd nothing = hold_path("/dev/null");
  for (const std::string& path : sockets) {
    struct stat there{};
    if (stat(path.c_str(), &there) < 0 || !S_ISSOCK(there.st_mode)) continue;
    WARREN_TRY(bind_held(nothing, path));
  }
  return {};
}

base::Status cover_temporary(const MountPlan& plan, const std::vector<Kept>& kept) {
  if (!plan.private_tmp) return {};
  for (const char* path : {"/tmp", "/var/tmp"}) {
    if (!is_directory(path)) continue;
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0) {
      return mount_refused(std::string("give the run a ") + path + " of its own");
    }
    WARREN_TRY(show_kept(kept, path));
  }
  return {};
}

base::Status replace_etc(const MountPlan& plan) {
  if (!is_directory("/etc")) return {};
  if (!is_directory(kRun)) {
    return base::make_error(base::ErrorKind::Failed, "prepare the run's /etc: there is no /run",
                            "create an empty directory /run on this system");
  }
  WARREN_TRY(os::make_directories(kScratch, 0700));
  WARREN_TRY(mount_tmpfs(kScratch, "mode=0755,size=4m", "mount a tmpfs for the run's files"));
  WARREN_TRY(mount_etc(plan.etc, kScratch, plan.weak_dns));
  if (umount2(kScratch, MNT_DETACH) < 0) return base::os_error("unmount the scratch tmpfs");
  if (rmdir(kScratch) < 0) return base::os_error(std::string("remove ") + kScratch);
  return {};
}

base::Status replace_sys() {
  if (!is_directory("/sys/class/net")) return {};
  const os::Fd cgroups = hold_path("/sys/fs/cgroup");
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
  if (mount("sysfs", "/sys", "sysfs", flags, nullptr) == 0) {
    return cgroups ? bind_held(cgroups, "/sys/fs/cgroup") : base::Status{};
  }
  for (const char* path : {"/sys/class/net", "/sys/devices/virtual/net"}) {
    if (!is_directory(path)) continue;
    WARREN_TRY(
        mount_tmpfs(path, "mode=0755,size=64k", std::string("hide the host's ") + path, true));
  }
  return {};
}

base::Status mount_proc() {
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0) return {};
  base::Error error = base::os_error("mount /proc of the run");
  if (error.os_errno != EPERM) return error;
  return std::move(error).with_hint(
      "this container masks parts of /proc: start it with --security-opt unmask=ALL (podman) or "
      "--security-opt systempaths=unconfined (docker)");
}

/// File capabilities and set-user-id files mean nothing inside; without this, executing a file with
/// capabilities as root would fail for the capabilities that root does not have here.
void forbid_privileged_files() {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID;
  // Best effort: kernels before 5.12 lack it, and no privilege depends on it.
  syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes);
}

/// "" when it has no name (it was removed).
std::string working_directory() {
  std::array<char, PATH_MAX> path{};
  return getcwd(path.data(), path.size()) != nullptr ? path.data() : "";
}

base::Status enter_again(const std::string& directory) {
  const std::string path = directory.starts_with('/') ? directory : "/";
  if (chdir(path.c_str()) == 0) return {};
  return base::os_error("enter the working directory " + path + " inside the run")
      .with_hint("the run does not see it: start elsewhere, or show it with --keep " + path);
}

}  // namespace

base::Status set_up_mounts(const MountPlan& plan) {
  const std::string directory = working_directory();
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    return mount_refused("make the run's mounts private");
  }
  WARREN_TRY_ASSIGN(const std::vector<Kept> kept, hold_kept(plan));
  const std::string session = real_path(plan.session_directory);
  WARREN_TRY(cover_run(kept));
  WARREN_TRY(cover_temporary(plan, kept));
  WARREN_TRY(cover_private(session, kept));
  if (session.empty() || !is_within(plan.runtime_directory, session)) {
    WARREN_TRY(cover_private(plan.runtime_directory, kept));
  }
  WARREN_TRY(hide_services(plan));
  WARREN_TRY(replace_etc(plan));
  WARREN_TRY(replace_sys());
  WARREN_TRY(mount_proc());
  forbid_privileged_files();
  return enter_again(directory);
}

}  // namespace warren::netns
