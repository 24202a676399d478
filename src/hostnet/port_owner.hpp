// Who has a port of the calling thread's network namespace.
#pragma once

#include "base/result.hpp"
#include "model/forward.hpp"

namespace warren::hostnet {

/// Conflict when a program listens on the port (on any address but loopback ones), with its name
/// and process id, or its uid for a caller who may not look into that process (CAP_SYS_PTRACE). A
/// UDP socket that is connected to one far end is no listener.
[[nodiscard]] base::Status check_listening(const model::PublicPort& port);

}  // namespace warren::hostnet
