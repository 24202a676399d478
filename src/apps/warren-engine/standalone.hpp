// `warren-engine wg0`: the drop-in for wireguard-go. A small privileged parent makes the interface
// and the API socket, starts the sandboxed engine as its child and stays as its opener.
#pragma once

#include <optional>
#include <string>

#include "apps/warren-engine/stderr_log.hpp"
#include "base/result.hpp"

namespace warren::app {

struct StandaloneOptions {
  std::string interface_name;
  /// Descriptor on which to report "ok" or the error to a waiting starter; -1: none.
  int ready_fd = -1;
};

/// Runs in the foreground until the interface or its API socket is removed, the engine ends, or
/// SIGTERM or SIGINT comes. Removes what it made.
[[nodiscard]] base::Status run_standalone(const StandaloneOptions& options, StderrLog& log);

/// Starts the same in the background; returns once the API socket answers, or with the error.
[[nodiscard]] base::Status start_in_background(const std::string& interface_name,
                                               const StderrLog& log);

/// An interface name that the kernel and a socket path accept.
[[nodiscard]] base::Status check_interface_name(const std::string& name);

}  // namespace warren::app
