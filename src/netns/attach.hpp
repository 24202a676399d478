// A second command inside a run that goes on.
#pragma once

#include <string>
#include <vector>

#include "netns/run.hpp"
#include "netns/runtime_dir.hpp"

namespace warren::netns {

struct AttachConfig {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  ///< all of it, "K=V"
  unsigned preserve_fds = 0;
};

/// Joins the run's user, mount, network and process namespaces, runs the command there as the run's
/// own command is run, and waits for its end; the code as of run(). The command is killed when the
/// caller or the run ends. The caller has one thread and stays inside: it should exit next.
[[nodiscard]] RunEnd attach(const RunState& run, const AttachConfig& config);

}  // namespace warren::netns
