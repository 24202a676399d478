// The sandbox: what a process gives up before it reads a stranger's first packet.
#pragma once

#include "base/result.hpp"

namespace warren::engine {

/// What of the sandbox is in force, for a log line and for tests.
struct SandboxReport {
  bool changed_user = false;  ///< runs as nobody now (otherwise it was unprivileged already)
  bool changed_root = false;
  bool landlock = false;
};

/// Locks the calling, single-threaded, process for good: another user, no capability, an empty
/// root, no new file, socket or process, and only the system calls of the data loop. Initialises
/// whatever needs the file system first. An Error means that the process must not go on.
[[nodiscard]] base::Result<SandboxReport> enter_sandbox();

}  // namespace warren::engine
