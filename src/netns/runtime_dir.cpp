#include "netns/runtime_dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "netns/limits.hpp"
#include "os/file.hpp"
#include "os/process.hpp"

// Theory of operation. A run holds two flocks: "key-HEX.lock" and "NAME.lock", each with two lines,
// the process id and the run's name. The kernel drops a flock with its holder, so a lock file that
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

/// Who holds a lock, as far as its file tells.
struct Holder {
  std::string pid = "?";
  std::string run = "?";
  bool lives = false;
};

Holder holder_of(const std::string& path) {
  Holder holder;
  const auto text = os::read_file(path, 4096);
  const std::size_t first = text ? text->find('\n') : std::string::npos;
  const std::size_t second = first == std::string::npos ? first : text->find('\n', first + 1);
  if (second == std::string::npos) return holder;  // gone, or not written yet
  holder.pid = text->substr(0, first);
  holder.run = text->substr(first + 1, second - first - 1);
  const auto pid = base::parse_number(holder.pid, 1, 1U << 30);
  holder.lives = pid && os::process_start_time(static_cast<pid_t>(*pid));
  return holder;
}

base::Result<os::Fd> lock_for(const std::string& path, const std::string& name,
                              const std::string& what) {
  for (int attempt = 1;; ++attempt) {
    auto lock = os::lock_file(path);
    if (lock) {
      const std::string line = name + "\n";
      if (write(lock->get(), line.data(), line.size()) < 0) return base::os_error("write " + path);
      return lock;
    }
    if (lock.error().kind != ErrorKind::Conflict) return std::move(lock).error();
    const Holder holder = holder_of(path);
    if (holder.lives || attempt == kMaxLockTries) {
      return make_error(ErrorKind::Conflict,
                        what + " is in use by run " + holder.run + " (process " + holder.pid + ")",
                        "end that run first; two at once would fight over one endpoint");
    }
    // Another run that starts just looks whether the file is stale: it will be free in a moment.
    poll(nullptr, 0, kLockPauseMs);
  }
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

base::Result<RunLock> RunLock::acquire(const std::string& directory, const std::string& name,
                                       const base::PublicKey& key) {
  remove_stale(directory);
  RunLock lock;
  lock.directory_ = directory;
  if (!key.is_zero()) {
    const std::string key_path =
        directory + "/" + std::string(kKeyPrefix) + key.hex().substr(0, 32) + ".lock";
    WARREN_TRY_ASSIGN(os::Fd key_lock, lock_for(key_path, name, "this profile's key"));
    lock.held_.push_back({key_path, std::move(key_lock)});
  }
  const std::string name_path = directory + "/" + name + ".lock";
  WARREN_TRY_ASSIGN(os::Fd name_lock, lock_for(name_path, name, "the name `" + name + "`"));
  lock.held_.push_back({name_path, std::move(name_lock)});
  lock.name_ = name;
  return lock;
}

RunLock::~RunLock() {
  if (!name_.empty() && !held_.empty()) remove_files(directory_, name_);
  for (const Held& held : held_) unlink(held.path.c_str());
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
