#include "netns/etc_mount.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <memory>

#include "netns/mount_call.hpp"

// Theory of operation. A file bound over /etc/resolv.conf vanishes when the host renames another
// over that name, as every DHCP client does. So the whole directory is replaced, in one of two
// ways; in both the host's /etc stays untouched and shows through, but for our files.
//
//   overlay  two read-only layers, ours above the host's. What is mounted inside /etc (a container
//            engine binds hosts and resolv.conf there) is not part of a layer: it is bound again.
//   tmpfs    where the kernel refuses the overlay (before 5.11; or mounts inside /etc that a
//            surrounding container has locked): a new directory in which every entry of the host's
//            /etc is bound or, for a symbolic link, copied.

namespace warren::netns {

namespace {

constexpr const char* kEtc = "/etc";

struct HeldEntry {
  std::string path;
  os::Fd held;
};

bool is_ours(const EtcFiles& files, const std::string& path) {
  return files.contains(path.substr(path.rfind('/') + 1)) && path.rfind('/') == 4;
}

base::Status overlay_etc(const EtcFiles& files, const std::string& layer) {
  std::vector<HeldEntry> inner;
  for (const std::string& path : mounts_below(kEtc)) {
    if (!is_ours(files, path)) inner.push_back({path, hold_path(path)});
  }
  const std::string options = "lowerdir=" + layer + ":/etc,userxattr";
  if (mount("overlay", kEtc, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options.c_str()) < 0) {
    return mount_refused("lay the run's files over /etc");
  }
  for (const HeldEntry& entry : inner) {
    if (entry.held) WARREN_TRY(bind_held(entry.held, entry.path));
  }
  return {};
}

struct Entries {
  std::vector<HeldEntry> bound;
  std::vector<std::pair<std::string, std::string>> links;  ///< path and target
};

base::Result<Entries> entries_of_etc(const EtcFiles& files) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(kEtc), closedir);
  if (!directory) return base::os_error("list /etc");
  Entries entries;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == ".." || files.contains(name)) continue;
    const std::string path = std::string(kEtc) + "/" + name;
    struct stat there{};
    if (lstat(path.c_str(), &there) < 0) continue;
    if (S_ISLNK(there.st_mode)) {
      std::array<char, PATH_MAX> target{};
      if (readlink(path.c_str(), target.data(), target.size() - 1) > 0) {
        entries.links.emplace_back(path, target.data());
      }
    } else if (S_ISDIR(there.st_mode) || S_ISREG(there.st_mode)) {
      entries.bound.push_back({path, hold_path(path)});
    }
  }
  return entries;
}

base::Status copy_etc(const EtcFiles& files) {
  WARREN_TRY_ASSIGN(const Entries entries, entries_of_etc(files));
  if (mount("tmpfs", kEtc, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=4m") < 0) {
    return mount_refused("give the run an /etc of its own");
  }
  for (const HeldEntry& entry : entries.bound) {
    if (!entry.held) continue;  // removed meanwhile
    WARREN_TRY(make_mount_point(entry.held, entry.path));
    WARREN_TRY(bind_held(entry.held, entry.path));
  }
  for (const auto& [path, target] : entries.links) {
    if (symlink(target.c_str(), path.c_str()) < 0) return base::os_error("create " + path);
  }
  for (const auto& [name, text] : files) {
    WARREN_TRY(write_new_file(std::string(kEtc) + "/" + name, text));
  }
  const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (mount(nullptr, kEtc, nullptr, flags, nullptr) < 0) {
    return mount_refused("make the run's /etc read-only");
  }
  return {};
}

/// Each file over the host's of the same name; what the name links to, where it is a link.
base::Status bind_files(const EtcFiles& files, const std::string& layer) {
  for (const auto& [name, text] : files) {
    const std::string path = std::string(kEtc) + "/" + name;
    const std::unique_ptr<char, void (*)(void*)> target(realpath(path.c_str(), nullptr), std::free);
    if (!target) {
      if (name == "passwd" || name == "group") continue;
      return base::os_error("put the run's " + path + " in its place")
          .with_hint("create the file on this machine; it may be empty");
    }
    WARREN_TRY(bind_held(hold_path(layer + "/" + name), target.get()));
  }
  return {};
}

}  // namespace

base::Status mount_etc(const EtcFiles& files, const std::string& scratch, bool weak_dns) {
  const std::string layer = scratch + "/etc";
  if (mkdir(layer.c_str(), 0755) < 0) return base::os_error("create " + layer);
  for (const auto& [name, text] : files) WARREN_TRY(write_new_file(layer + "/" + name, text));
  base::Status overlaid = overlay_etc(files, layer);
  if (overlaid) return {};
  base::Status copied = copy_etc(files);
  if (copied) return {};
  if (weak_dns) return bind_files(files, layer);
  return base::make_error(
      base::ErrorKind::NotPermitted, overlaid.error().message + "; " + copied.error().message,
      "this kernel or a security module forbids it, so the host could change the run's names "
      "while it runs; --weak-dns accepts that");
}

base::Status replace_etc(const EtcFiles& files) {
  for (const auto& [name, text] : files) {
    const std::string path = std::string(kEtc) + "/" + name;
    const std::string source = "/run/.warren-" + name;
    unlink(source.c_str());
    WARREN_TRY(write_new_file(source, text));
    // One that was bound here before gives way; where there is none, this says so.
    umount2(path.c_str(), MNT_DETACH);
    const base::Status bound = bind_held(hold_path(source), path);
    unlink(source.c_str());
    WARREN_TRY(bound);
  }
  return {};
}

}  // namespace warren::netns
