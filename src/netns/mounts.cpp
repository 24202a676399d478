#include "netns/mounts.hpp"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "os/fd.hpp"

// Theory of operation. No file of the host is written. The new files live in a tmpfs that is
// mounted for a moment on /proc, the one directory that exists everywhere and that we replace
// anyway; a bind mount keeps them alive after the tmpfs has left its place.
//
// /etc/resolv.conf is often a symbolic link into /run. Its final target is found first; then the
// sockets of host services that would look names up through the host (nscd, systemd-resolved,
// avahi, nslcd, sssd) are covered by an empty tmpfs, which may have covered the target too. Where
// the target still exists, ours is bound over it. Where it does not, /etc gets an overlay whose
// upper layer, in the tmpfs, holds our resolv.conf: the host's /etc shows through, and stays as it
// is.

namespace warren::netns {

namespace {

constexpr const char* kScratch = "/proc";

base::Error refused(const std::string& what) {
  base::Error error = base::os_error(what);
  if (error.os_errno != EPERM && error.os_errno != EACCES) return error;
  return std::move(error).with_hint(
      "a security module restricts user namespaces: allow them for this program (AppArmor: sysctl "
      "kernel.apparmor_restrict_unprivileged_userns=0 or a profile with `userns,`), or run as "
      "root");
}

base::Status write_new_file(const std::string& path, const std::string& text) {
  const os::Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!file || fchmod(file.get(), 0644) < 0 ||
      write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return base::os_error("create the run's " + path);
  }
  return {};
}

bool exists(const std::string& path) {
  struct stat there{};
  return stat(path.c_str(), &there) == 0;
}

std::string final_target(const char* path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(realpath(path, nullptr), std::free);
  return resolved ? resolved.get() : "";
}

base::Status hide_host_name_services() {
  for (const char* path : {"/run/nscd", "/var/run/nscd", "/run/systemd/resolve",
                           "/run/avahi-daemon", "/run/nslcd", "/var/lib/sss/pipes"}) {
    struct stat there{};
    if (stat(path, &there) < 0 || !S_ISDIR(there.st_mode)) continue;
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
              "mode=0755,size=64k") < 0) {
      return refused(std::string("hide the host's ") + path);
    }
  }
  return {};
}

/// The command runs as the same user: without this it could open its own engine's API socket, read
/// the private key there and send its traffic elsewhere. Empty and writable, so that a run inside
/// the run works.
base::Status hide_runtime_directory(const std::string& path) {
  if (mount("tmpfs", path.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=1m") <
      0) {
    return refused("hide the sockets of runs in " + path);
  }
  return {};
}

base::Status overlay_etc(const std::string& text) {
  const std::string scratch = kScratch;
  if (mkdir((scratch + "/upper").c_str(), 0755) < 0 ||
      mkdir((scratch + "/work").c_str(), 0755) < 0) {
    return base::os_error("prepare an overlay of /etc");
  }
  WARREN_TRY(write_new_file(scratch + "/upper/resolv.conf", text));
  const std::string options =
      "lowerdir=/etc,upperdir=" + scratch + "/upper,workdir=" + scratch + "/work,userxattr";
  if (mount("overlay", "/etc", "overlay", 0, options.c_str()) < 0) {
    return base::os_error("give the run its /etc/resolv.conf by an overlay of /etc")
        .with_hint("create an empty /etc/resolv.conf on this machine");
  }
  return {};
}

base::Status place_resolv_conf(const std::string& target, const std::string& text,
                               bool has_servers) {
  if (target.empty() || !exists(target)) {
    // Without the file the C library asks 127.0.0.1, where a run has nobody: the same as empty.
    return has_servers ? overlay_etc(text) : base::Status{};
  }
  const std::string source = std::string(kScratch) + "/resolv.conf";
  WARREN_TRY(write_new_file(source, text));
  if (mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) < 0) {
    return refused("put the run's resolv.conf over " + target);
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

}  // namespace

std::string resolv_conf(const std::vector<base::IpAddress>& servers,
                        const std::vector<std::string>& search) {
  if (servers.empty()) return "# This network has no name server.\n";
  std::string text;
  for (const base::IpAddress& server : servers) text += "nameserver " + server.to_string() + "\n";
  if (search.empty()) return text;
  text += "search";
  for (const std::string& domain : search) text += " " + domain;
  return text + "\n";
}

base::Status set_up_mounts(const std::string& resolv_conf_text, bool has_servers,
                           const std::string& runtime_directory) {
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    return refused("make the run's mounts private");
  }
  const std::string target = final_target("/etc/resolv.conf");
  WARREN_TRY(hide_host_name_services());
  WARREN_TRY(hide_runtime_directory(runtime_directory));
  if (mount("tmpfs", kScratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0) {
    return refused("mount a tmpfs for the run's files");
  }
  WARREN_TRY(place_resolv_conf(target, resolv_conf_text, has_servers));
  if (umount2(kScratch, MNT_DETACH) < 0) return base::os_error("unmount the scratch tmpfs");
  WARREN_TRY(mount_proc());
  forbid_privileged_files();
  return {};
}

}  // namespace warren::netns
