// Where a gateway keeps its state and its sockets: the system's directories, or those of a user who
// runs one without root. And where keys are told that the host itself uses.
#pragma once

#include <string>

#include "apps/warren/cli.hpp"
#include "base/result.hpp"

namespace warren::app {

/// Before the options are read: the user's own gateway is meant when there is one and the system
/// has none.
void choose_directories(Invocation& invocation);
/// For a gateway that a user starts without root, where no other directories were given. Invalid,
/// naming the variable, when the user has no place for them.
[[nodiscard]] base::Status take_user_directories(Invocation& invocation);

/// Where a run of this user locks its key against `warren up` (netns::RunLockRequest): root alone
/// may join the host itself. Empty for others.
[[nodiscard]] std::string shared_key_directory(const Invocation& invocation);

}  // namespace warren::app
