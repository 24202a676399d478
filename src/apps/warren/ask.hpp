// What the commands that talk to the daemon share.
#pragma once

#include <functional>
#include <string>

#include "apps/warren/cli.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/daemon.hpp"

namespace warren::app {

/// This host's daemon, or the remote gateway that is meant.
[[nodiscard]] client::Daemon daemon_of(const Invocation& invocation);
/// Whether a remote gateway is meant, by --remote or by `warren remote use`.
bool asks_remote(const Invocation& invocation);

/// Invalid when a remote gateway is meant: `what` needs its host.
[[nodiscard]] base::Status check_here(const Invocation& invocation, const std::string& what);

/// How a command is told its network.
enum class NetworkIs { Option, FirstWord };
/// The named network, or the only one there is. NotFound when there is none, Invalid (with the
/// names) when there are several.
[[nodiscard]] base::Result<std::string> pick_network(const client::Daemon& daemon,
                                                     const std::string& named,
                                                     NetworkIs is = NetworkIs::Option);

/// Asks a person; true at once when `yes` was given or nobody sits at the terminal.
[[nodiscard]] bool confirmed(const std::string& question, bool yes);

/// Waits where there is nothing to wait for but the time itself.
void pass_time(base::Duration time);

/// One line on standard output.
void print_line(const std::string& text);

/// Sets the exit code of an invocation from what a command gave back, reporting its error.
void finish(Invocation& invocation, const base::Status& done);

}  // namespace warren::app
