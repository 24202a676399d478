// OwnPlace: user and mount namespaces of a user's own, in which somebody without privileges may
// make network namespaces and name them in /run/netns. They live as long as a keeper, a process
// that does nothing, so that whoever comes later finds them again.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace warren::os {

/// Where the keeper is written down, below a run directory.
[[nodiscard]] std::string own_place_file(const std::string& run_dir);

/// Makes the place of this run directory, with the caller as its root, or enters the one that is
/// there. /run is its own, with what the host has there but the names of network namespaces and the
/// sockets of WireGuard. The caller must have one thread. Errors say what the host must allow;
/// Conflict: somebody else is making one right now.
[[nodiscard]] base::Status make_or_enter_own_place(const std::string& run_dir);
/// Enters the place of this run directory; nothing where there is none, or where one is already.
[[nodiscard]] base::Status enter_own_place(const std::string& run_dir);
/// Ends the keeper and removes its files, the run directory too when it is empty then; true when
/// there was one. The place goes with the last process in it.
[[nodiscard]] base::Result<bool> end_own_place(const std::string& run_dir);

}  // namespace warren::os
