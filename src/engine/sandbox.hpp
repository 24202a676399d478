// The sandbox: what a process gives up before it reads a stranger's first packet.
#pragma once

#include <functional>

#include "base/result.hpp"
#include "engine/limits.hpp"

namespace warren::engine {

/// What of the sandbox is in force, for a log line and for tests.
struct SandboxReport {
  bool changed_user = false;  ///< runs as nobody now (otherwise it was unprivileged already)
  bool changed_root = false;
  bool landlock = false;
};

struct SandboxOptions {
  std::size_t max_descriptors = kMaxDescriptors;
  /// Connections of clients may be half-closed and reset: shutdown(2), SO_LINGER.
  bool clients = false;
};

/// Locks the calling, single-threaded, process for good: another user, no capability, an empty
/// root, no new file, socket, process or thread, and only the system calls of the data loop.
/// Initialises whatever needs the file system first. `start_threads` runs when everything is given
/// up but threads and system calls; what it starts is locked like the caller, once each thread has
/// taken its first steps: it must return after these. An Error means that the process must not go
/// on.
[[nodiscard]] base::Result<SandboxReport> enter_sandbox(
    std::move_only_function<base::Status()> start_threads = {}, const SandboxOptions& options = {});

}  // namespace warren::engine
