// The runtime directory of a user's runs: locks, state files, sockets (docs/formats/run-files.md).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/key.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// Finds and creates (0700) the directory: $XDG_RUNTIME_DIR/warren, else /tmp/warren-UID, else
/// $HOME/.warren-run. A directory that is not ours alone is refused.
[[nodiscard]] base::Result<std::string> runtime_directory();

/// The files of one run.
struct RunFiles {
  RunFiles(const std::string& directory, const std::string& name);
  std::string state;    ///< key=value lines
  std::string uapi;     ///< the engine's userspace API
  std::string control;  ///< hands out echo sockets
};

/// Removes the files of runs that were killed, with the pid files of the detached ones.
void remove_stale(const std::string& directory);

/// Who holds a lock: a run, or a host that is in the network itself (`warren up`).
enum class LockHolder { Run, Host };

struct RunLockRequest {
  std::string directory;
  std::string name;
  base::PublicKey key;  ///< zero: none
  /// Where the key is locked too: the directory of who else may use it. Empty: nowhere. Where the
  /// caller may not make it, nobody uses the key there.
  std::string shared_keys = {};
  LockHolder holder = LockHolder::Run;
};

/// Holds a name and a key against every other run of this user, and removes the run's files when it
/// dies. Files of dead runs are removed on the way.
class RunLock {
 public:
  /// Conflict: name or key is in use; the message names the holder and its process.
  [[nodiscard]] static base::Result<RunLock> acquire(const RunLockRequest& request);
  RunLock(RunLock&&) noexcept = default;
  RunLock& operator=(RunLock&&) noexcept = delete;
  ~RunLock();
  /// Closes the locks without removing anything: for a forked child.
  void abandon();

 private:
  struct Held {
    std::string path;
    os::Fd lock;
  };
  RunLock() = default;
  [[nodiscard]] base::Status hold_shared_key(const RunLockRequest& request);
  std::string directory_;
  std::string name_;
  std::string shared_;  ///< the directory of the shared key, once it is held
  std::vector<Held> held_;
};

/// The state file: what a run tells about itself.
using RunState = std::map<std::string, std::string>;
[[nodiscard]] base::Status write_state(const std::string& path, const RunState& state);
[[nodiscard]] base::Result<RunState> read_state(const std::string& path);
/// The states of all runs whose process is alive.
[[nodiscard]] base::Result<std::vector<RunState>> live_states(const std::string& directory);

}  // namespace warren::netns
