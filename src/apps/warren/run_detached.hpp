// `warren run --detach`: the run goes on when the caller returns.
#pragma once

#include <string>

#include "apps/warren/cli.hpp"
#include "netns/run.hpp"

namespace warren::app {

struct DetachOptions {
  std::string log;       ///< a path; empty: default_log()
  std::string pid_file;  ///< a path; empty: none
};

/// $XDG_STATE_HOME/warren/NAME.log, else ~/.local/state/warren/NAME.log, else beside the files of
/// runs. Its directory is made.
[[nodiscard]] base::Result<std::string> default_log(const netns::RunConfig& config);

/// Starts the run in a session of its own, its output in the log, and returns when the command
/// runs (0, the run's name on standard output) or could not be started (the code of `run`).
[[nodiscard]] int run_detached(const Invocation& invocation, netns::RunConfig config,
                               const DetachOptions& options);

}  // namespace warren::app
