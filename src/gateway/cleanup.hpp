// What `warren cleanup` does: removes everything of one gateway from the host without its daemon.
#pragma once

#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"

namespace warren::gateway {

struct CleanupReport {
  std::vector<std::string> removed;   ///< one line each, as a person would name it
  std::vector<std::string> problems;  ///< what could not be removed, and why
};

/// Ends the engines of this run directory, removes the host's objects that carry the instance id
/// of this state directory, and the sockets and records of both. The desired state (networks,
/// peers, keys) stays: the next daemon builds it again. Idempotent; an empty report when nothing
/// was there. Conflict while a daemon holds the state.
[[nodiscard]] base::Result<CleanupReport> cleanup(const std::string& state_dir,
                                                  const std::string& run_dir, base::Log& log);

}  // namespace warren::gateway
