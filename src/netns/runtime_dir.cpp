#include "netns/runtime_dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "netns/limits.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

// Theory of operation. A run holds two flocks: "key-HEX.lock" and "NAME.lock", each with two lines,
// the process id and the run's name; a third, "up", where the host itself is in the network. Root's
// runs hold the key in the directory of those hosts, too: one key is never at two places, whichever
// came first. The kernel drops a flock with its holder, so a lock file that
// can be locked belongs to a dead run: whoever starts next removes it and the files of its name.
// A lock file is removed only while it is locked; os::lock_file never returns a removed one.

namespace warren::netns {

using base::ErrorKind;
using base::make_error;

namespace {

constexpr std::string_view kLockSuffix = ".lock";
constexpr std::string_view kKeyPrefix = "key-";

base::Status check_private(const std::string& path) {
  struct stat there{};
  if (lstat(path.c_str(), &there) < 0) return base::os_error("look at " + path);
  if (!S_ISDIR(there.st_mode) || there.st_uid != geteuid() || (there.st_mode & 077) != 0) {
    return make_error(ErrorKind::NotPermitted, path + " is not a directory that only you can enter",
                      "remove it, or set XDG_RUNTIME_DIR to a directory of yours");
  }
  return {};
}

base::Status ensure_private(const std::string& path) {
  if (mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return base::os_error("create " + path);
  return check_private(path);
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open_one(opendir(directory.c_str()), closedir);
  if (!open_one) return names;
  while (const dirent* entry = readdir(open_one.get())) names.emplace_back(entry->d_name);
  std::ranges::sort(names);  // a directory has no order that people would know
  return names;
}

void remove_files(const std::string& directory, const std::string& name) {
  const RunFiles files(directory, name);
  for (const std::string& path : {files.state, files.uapi, files.control}) unlink(path.c_str());
}

/// The pid file of a dead run that was detached, unless another process is named there now.
void remove_pid_file(const std::string& directory, const std::string& name) {
  auto state = read_state(RunFiles(directory, name).state);
  if (!state || !state->contains("pid_file")) return;
  const std::string& path = (*state)["pid_file"];
  const auto text = os::read_file(path, 64);
  if (text && *text == (*state)["pid"] + "\n") unlink(path.c_str());
}

/// Whether the path still names this open file: between open and flock a run may have removed its
/// lock, and another may have made a new one of the same name.
bool still_named(const os::Fd& file, const std::string& path) {
  struct stat held{};
  struct stat named{};
  return fstat(file.get(), &held) == 0 && lstat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

}  // namespace

void remove_stale(const std::string& directory) {
  for (const std::string& entry : names_in(directory)) {
    if (!entry.ends_with(kLockSuffix)) continue;
    const std::string path = directory + "/" + entry;
    const os::Fd lock(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!lock || flock(lock.get(), LOCK_EX | LOCK_NB) < 0) continue;
    if (!still_named(lock, path)) continue;
    if (!entry.starts_with(kKeyPrefix)) {
      const std::string name = entry.substr(0, entry.size() - kLockSuffix.size());
      remove_pid_file(directory, name);
      remove_files(directory, name);
    }
    unlink(path.c_str());
  }
}

namespace {

constexpr std::string_view kHostLine = "up";

/// Who holds a lock, as far as its file tells.
struct Holder {
  std::string pid = "?";
  std::string run = "?";
  bool is_host = false;
  bool lives = false;
};

Holder holder_of(const std::string& path) {
  Holder holder;
  const auto text = os::read_file(path, 4096);
  if (!text) return holder;  // gone
  std::istringstream lines(*text);
  std::string pid;
  std::string run;
  if (!std::getline(lines, pid) || !std::getline(lines, run)) return holder;  // not written yet
  holder.pid = pid;
  holder.run = run;
  std::string kind;
  holder.is_host = std::getline(lines, kind) && kind == kHostLine;
  const auto number = base::parse_number(pid, 1, 1U << 30);
  holder.lives = number && os::process_start_time(static_cast<pid_t>(*number));
  return holder;
}

base::Error in_use(const std::string& what, const Holder& holder) {
  const std::string process = " (process " + holder.pid + ")";
  const std::string why = "; two at once would fight over one endpoint";
  if (holder.is_host) {
    return make_error(ErrorKind::Conflict,
                      what + " is in use by `warren up " + holder.run + "`" + process,
                      "`warren down " + holder.run + "` ends it" + why);
  }
  return make_error(ErrorKind::Conflict, what + " is in use by run " + holder.run + process,
                    "end that run first (`warren stop " + holder.run + "`)" + why);
}

base::Result<os::Fd> lock_for(const std::string& path, const RunLockRequest& request,
                              const std::string& what) {
  for (int attempt = 1;; ++attempt) {
    auto lock = os::lock_file(path);
    if (lock) {
      std::string text = request.name + "\n";
      if (request.holder == LockHolder::Host) text += std::string(kHostLine) + "\n";
      if (write(lock->get(), text.data(), text.size()) < 0) return base::os_error("write " + path);
      return lock;
    }
    if (lock.error().kind != ErrorKind::Conflict) return std::move(lock).error();
    const Holder holder = holder_of(path);
    if (holder.lives || attempt == kMaxLockTries) return in_use(what, holder);
    // Another run that starts just looks whether the file is stale: it will be free in a moment.
    poll(nullptr, 0, kLockPauseMs);
  }
}

std::string key_lock(const std::string& directory, const base::PublicKey& key) {
  return directory + "/" + std::string(kKeyPrefix) + key.hex().substr(0, 32) +
         std::string(kLockSuffix);
}

/// The directory of the hosts that are up, made as `warren up` makes it.
bool make_shared(const std::string& directory) {
  const std::string parent = directory.substr(0, directory.rfind('/'));
  if (!os::make_directories(parent, 0755)) return false;
  return mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST;
}

void remove_shared(const std::string& directory) {  // where nothing is in it
  if (rmdir(directory.c_str()) == 0) rmdir(directory.substr(0, directory.rfind('/')).c_str());
}

}  // namespace

RunFiles::RunFiles(const std::string& directory, const std::string& name)
    : state(directory + "/" + name + ".state"),
      uapi(directory + "/" + name + ".sock"),
      control(directory + "/" + name + ".ctl") {}

base::Result<std::string> runtime_directory() {
  const std::string uid = std::to_string(geteuid());
  if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg != nullptr && *xdg == '/') {
    struct stat there{};
    if (stat(xdg, &there) == 0 && there.st_uid == geteuid()) {
      const std::string path = std::string(xdg) + "/warren";
      WARREN_TRY(ensure_private(path));
      return path;
    }
  }
  const std::string temporary = "/tmp/warren-" + uid;
  base::Status usable = ensure_private(temporary);
  if (usable) return temporary;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') return std::move(usable).error();
  const std::string path = std::string(home) + "/.warren-run";
  WARREN_TRY(ensure_private(path));
  return path;
}

base::Status RunLock::hold_shared_key(const RunLockRequest& request) {
  const std::string& directory = request.shared_keys;
  const std::string path = key_lock(directory, request.key);
  for (int attempt = 1;; ++attempt) {
    if (!make_shared(directory)) return {};
    auto lock = lock_for(path, request, "this profile's key");
    if (lock) {
      shared_ = directory;
      held_.push_back({path, std::move(*lock)});
      return {};
    }
    if (lock.error().kind == ErrorKind::Conflict) return std::move(lock).error();
    // The last one who was in it may have removed the directory just now.
    const bool removed = lock.error().os_errno == ENOENT && attempt < kMaxLockTries;
    if (!removed) break;
  }
  remove_shared(directory);
  return {};
}

base::Result<RunLock> RunLock::acquire(const RunLockRequest& request) {
  remove_stale(request.directory);
  RunLock lock;
  lock.directory_ = request.directory;
  if (!request.key.is_zero()) {
    const std::string path = key_lock(request.directory, request.key);
    WARREN_TRY_ASSIGN(os::Fd held, lock_for(path, request, "this profile's key"));
    lock.held_.push_back({path, std::move(held)});
    if (!request.shared_keys.empty()) WARREN_TRY(lock.hold_shared_key(request));
  }
  const std::string path = request.directory + "/" + request.name + std::string(kLockSuffix);
  WARREN_TRY_ASSIGN(os::Fd held, lock_for(path, request, "the name `" + request.name + "`"));
  lock.held_.push_back({path, std::move(held)});
  lock.name_ = request.name;
  return lock;
}

RunLock::~RunLock() {
  if (!name_.empty() && !held_.empty()) remove_files(directory_, name_);
  for (const Held& held : held_) unlink(held.path.c_str());
  if (!shared_.empty() && !held_.empty()) remove_shared(shared_);
}

void RunLock::abandon() { held_.clear(); }

base::Status write_state(const std::string& path, const RunState& state) {
  std::string text;
  for (const auto& [key, value] : state) text += key + "=" + value + "\n";
  // Not through write_file_atomically: a file that dies with the boot needs no fsync.
  const std::string temporary = path + ".new";
  const os::Fd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return base::os_error("create " + temporary);
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      rename(temporary.c_str(), path.c_str()) < 0) {
    const base::Error error = base::os_error("write " + path);
    unlink(temporary.c_str());
    return error;
  }
  return {};
}

base::Result<RunState> read_state(const std::string& path) {
  WARREN_TRY_ASSIGN(const std::string text, os::read_file(path, 1 << 20));
  RunState state;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    state.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return state;
}

base::Result<std::vector<RunState>> live_states(const std::string& directory) {
  std::vector<RunState> out;
  for (const std::string& entry : names_in(directory)) {
    if (!entry.ends_with(".state")) continue;
    auto state = read_state(directory + "/" + entry);
    if (!state) continue;  // ended between listing and reading
    const auto pid = base::parse_number((*state)["pid"], 1, 1U << 30);
    const auto started = base::parse_number((*state)["start_time"], 0, ~std::uint64_t{0});
    if (!pid || !started) continue;
    // One that has ended and whom nobody has waited for yet is readable, too.
    const auto process = os::open_pidfd(static_cast<pid_t>(*pid), *started);
    const bool ended = !process || os::wait_readable(*process, base::Duration(0)).value_or(true);
    if (!ended) out.push_back(std::move(*state));
  }
  return out;
}

}  // namespace warren::netns
