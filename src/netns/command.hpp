// The user's command, as a child of init.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"

namespace warren::netns {

struct StartedCommand {
  pid_t pid = 0;
  int exit_code = 0;                              ///< 126 or 127 when `why` is set
  std::optional<base::Error> why = std::nullopt;  ///< it could not be executed
};

/// Forks and executes without any capability, with no way to gain one, with signals as a shell
/// would give them. Descriptors that are not close-on-exec are inherited.
[[nodiscard]] base::Result<StartedCommand> start_command(
    const std::vector<std::string>& argv, const std::vector<std::string>& environment);

}  // namespace warren::netns
