// Theory of operation
//
// In a user namespace of its own a process is root of everything it makes: mount namespaces, and
// network namespaces with their links, addresses and packet filters. Over the network namespace it
// came from it has no more rights than before; sockets there need none.
//
// The names of network namespaces are mounts in /run/netns, which a user cannot write; so /run
// becomes a tmpfs of the place, with every entry of the old one bound into it. The keeper holds
// both namespaces. Its process id and start time stand in a file: with the start time a number that
// the kernel has given to somebody else is not mistaken for it.
#include "os/own_place.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "os/fd.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

constexpr const char* kRun = "/run";
constexpr std::size_t kRecordBytes = 64;
constexpr mode_t kDirectoryMode = 0755;
constexpr base::Duration kKeeperEnd = std::chrono::seconds(5);
/// Of /run, what the place has its own of.
constexpr std::array<std::string_view, 4> kOwn = {".", "..", "netns", "wireguard"};

std::string lock_of(const std::string& run_dir) { return own_place_file(run_dir) + ".lock"; }

struct Keeper {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
};

/// nullopt where nothing (readable) is written down.
std::optional<Keeper> read_keeper(const std::string& run_dir) {
  const Fd file(
      open(own_place_file(run_dir).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat what{};
  // Whoever writes this file chooses where we go: the one that is read must be our own.
  if (!file || fstat(file.get(), &what) < 0 || !S_ISREG(what.st_mode) || what.st_uid != geteuid())
    return std::nullopt;
  std::array<char, kRecordBytes> room{};
  const ssize_t length = read(file.get(), room.data(), room.size());
  if (length <= 0) return std::nullopt;
  const std::string_view text(room.data(), static_cast<std::size_t>(length));
  Keeper keeper;
  const char* const end = text.data() + text.size();
  const auto pid = std::from_chars(text.data(), end, keeper.pid);
  if (pid.ec != std::errc() || pid.ptr == end || *pid.ptr != ' ') return std::nullopt;
  const auto start = std::from_chars(pid.ptr + 1, end, keeper.start_time);
  if (start.ec != std::errc() || keeper.pid < 2) return std::nullopt;
  return keeper;
}

struct LiveKeeper {
  pid_t pid = 0;
  Fd process;  ///< empty when no keeper is alive
};

base::Result<LiveKeeper> find_keeper(const std::string& run_dir) {
  const auto keeper = read_keeper(run_dir);
  if (!keeper) return LiveKeeper();
  auto found = open_pidfd(keeper->pid, keeper->start_time);
  if (found) return LiveKeeper{.pid = keeper->pid, .process = std::move(*found)};
  const bool gone = found.error().kind == ErrorKind::NotFound || found.error().os_errno == ESRCH;
  if (gone) return LiveKeeper();
  return std::move(found).error();
}

bool same_file(const std::string& one, const std::string& other) {
  struct stat first{};
  struct stat second{};
  return stat(one.c_str(), &first) == 0 && stat(other.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

base::Status enter(const LiveKeeper& keeper) {
  const std::string theirs = "/proc/" + std::to_string(keeper.pid) + "/ns/user";
  if (same_file(theirs, "/proc/self/ns/user")) return {};
  std::array<char, 4096> directory{};
  const bool known = getcwd(directory.data(), directory.size()) != nullptr;
  if (setns(keeper.process.get(), CLONE_NEWUSER | CLONE_NEWNS) < 0)
    return os_error("enter the namespaces of the gateway without root")
        .with_hint("only the user who started it may");
  // Entering mounts left the process at their root.
  if (known && chdir(directory.data()) < 0)
    return os_error("go to " + std::string(directory.data()));
  return {};
}

base::Status become_root_of_new_namespaces() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
    return os_error("make a user namespace")
        .with_hint("this host does not let users make them: `warren doctor run` says what to set");
  WARREN_TRY(write_existing("/proc/self/setgroups", "deny"));
  WARREN_TRY(write_existing("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"));
  WARREN_TRY(write_existing("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1"));
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
    return os_error("keep mounts to oneself");
  return {};
}

/// One entry of the old /run into the new one.
base::Status carry(const Fd& old_run, const char* name) {
  struct stat what{};
  if (fstatat(old_run.get(), name, &what, AT_SYMLINK_NOFOLLOW) < 0) return {};  // gone meanwhile
  const std::string path = std::string(kRun) + "/" + name;
  if (S_ISLNK(what.st_mode)) {
    std::array<char, 4096> target{};
    const ssize_t length = readlinkat(old_run.get(), name, target.data(), target.size() - 1);
    if (length < 0 || symlink(target.data(), path.c_str()) < 0) return os_error("link " + path);
    return {};
  }
  const Fd made(S_ISDIR(what.st_mode) ? -1
                                      : open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (S_ISDIR(what.st_mode) ? mkdir(path.c_str(), kDirectoryMode) < 0 : !made)
    return os_error("make " + path);
  const Fd entry(openat(old_run.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  const std::string from = "/proc/self/fd/" + std::to_string(entry.get());
  // A place that the user may not look into stays empty.
  if (!entry || mount(from.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) < 0)
    return {};
  return {};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

base::Status make_own_run() {
  const Fd old_run(open(kRun, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!old_run) return os_error("open /run");
  const std::unique_ptr<DIR, CloseDirectory> entries(
      fdopendir(openat(old_run.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  if (!entries) return os_error("read /run");
  if (mount("tmpfs", kRun, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
    return os_error("mount a /run of one's own");
  while (const dirent* entry = readdir(entries.get())) {
    if (std::ranges::find(kOwn, entry->d_name) == kOwn.end())
      WARREN_TRY(carry(old_run, entry->d_name));
  }
  for (const char* path : {"/run/netns", "/run/wireguard"})
    if (mkdir(path, kDirectoryMode) < 0) return os_error(std::string("make ") + path);
  return {};
}

[[noreturn]] void keep() {
  setsid();
  close_range(0, ~0U, 0);
  prctl(PR_SET_NAME, "warren-place");
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (;;) pause();
}

base::Status write_keeper(const std::string& run_dir, pid_t pid) {
  WARREN_TRY_ASSIGN(const std::uint64_t start_time, process_start_time(pid));
  return write_file_atomically(own_place_file(run_dir),
                               std::to_string(pid) + " " + std::to_string(start_time) + "\n", 0600);
}

base::Status start_keeper(const std::string& run_dir) {
  const pid_t pid = fork();
  if (pid < 0) return os_error("start the keeper of the namespaces");
  if (pid == 0) keep();
  const base::Status written = write_keeper(run_dir, pid);
  if (!written) {  // nobody would find it again
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  return written;
}

}  // namespace

std::string own_place_file(const std::string& run_dir) { return run_dir + "/place"; }

base::Status make_or_enter_own_place(const std::string& run_dir) {
  const auto needs_own = [](const base::Error& error) {
    return base::Error(error).with_hint(
        "the run directory must be this user's own: name one with --run-dir, or set "
        "XDG_RUNTIME_DIR");
  };
  if (const base::Status made = make_directories(run_dir, 0700); !made)
    return needs_own(made.error());
  const base::Result<Fd> lock = lock_file(lock_of(run_dir));
  if (!lock) return needs_own(lock.error());
  WARREN_TRY_ASSIGN(const LiveKeeper keeper, find_keeper(run_dir));
  if (keeper.process) return enter(keeper);
  WARREN_TRY(become_root_of_new_namespaces());
  WARREN_TRY(make_own_run());
  return start_keeper(run_dir);
}

base::Status enter_own_place(const std::string& run_dir) {
  WARREN_TRY_ASSIGN(const LiveKeeper keeper, find_keeper(run_dir));
  if (!keeper.process) return {};
  return enter(keeper);
}

base::Result<bool> end_own_place(const std::string& run_dir) {
  WARREN_TRY_ASSIGN(const LiveKeeper keeper, find_keeper(run_dir));
  if (keeper.process) {
    WARREN_TRY(send_signal(keeper.process, SIGKILL));
    WARREN_TRY_ASSIGN(const bool gone, wait_readable(keeper.process, kKeeperEnd));
    if (!gone) return make_error(ErrorKind::Failed, "the keeper of the namespaces does not end");
  }
  if (unlink(own_place_file(run_dir).c_str()) < 0) return false;
  unlink(lock_of(run_dir).c_str());
  rmdir(run_dir.c_str());
  return true;
}

}  // namespace warren::os
