// Leaving the terminal.
#pragma once

#include <string>

#include "base/result.hpp"

namespace warren::os {

/// Makes the calling process the leader of a session of its own, without a terminal: standard input
/// is empty, standard output and error are appended to `log` (created 0600). It must not lead a
/// process group: a forked child does not.
[[nodiscard]] base::Status detach_from_terminal(const std::string& log);

}  // namespace warren::os
