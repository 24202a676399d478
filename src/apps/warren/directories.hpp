// Where a gateway keeps its state and its sockets: the system's directories, or those of a user who
// runs one without root.
#pragma once

#include "apps/warren/cli.hpp"
#include "base/result.hpp"

namespace warren::app {

/// Before the options are read: the user's own gateway is meant when there is one and the system
/// has none.
void choose_directories(Invocation& invocation);
/// For a gateway that a user starts without root, where no other directories were given. Invalid,
/// naming the variable, when the user has no place for them.
[[nodiscard]] base::Status take_user_directories(Invocation& invocation);

}  // namespace warren::app
