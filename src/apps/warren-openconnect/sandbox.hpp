// The sandbox of the program that holds an AnyConnect session.
#pragma once

#include <functional>

#include "base/result.hpp"

namespace warren::app {

/// Locks the calling, single-threaded, process for good: no new privilege, no capability, no file,
/// no program, no socket but TCP and UDP ones. `start_thread` runs before the filter, which is put
/// on every thread. An Error means that the process must not go on.
[[nodiscard]] base::Status enter_sandbox(const std::function<void()>& start_thread);

}  // namespace warren::app
