// The user's command, as a child of init.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"

namespace warren::netns {

struct CommandOptions {
  std::vector<std::string> argv;         ///< argv[0] is looked up in PATH
  std::vector<std::string> environment;  ///< all of it, "K=V"
  unsigned preserve_fds = 0;             ///< descriptors from 3 on that it inherits
  /// Without any capability, with no way to gain one, and without sockets of foreign families: what
  /// a namespace's command is. Off: as the caller would have started it.
  bool confined = true;
  bool die_with_parent = false;  ///< killed when the calling thread ends
};

struct StartedCommand {
  pid_t pid = 0;
  int exit_code = 0;                              ///< 126 or 127 when `why` is set
  std::optional<base::Error> why = std::nullopt;  ///< it could not be executed
};

/// Forks and executes with signals as a shell would give them. Of the descriptors it inherits the
/// standard streams and those of `preserve_fds`: any other may be a socket of the host.
[[nodiscard]] base::Result<StartedCommand> start_command(const CommandOptions& options);

}  // namespace warren::netns
