// The process behind `warren proxy`: listens, speaks SOCKS5 and HTTP, and carries the connections
// through a TCP/IP stack of its own. docs/design/0017-proxy.md.
#pragma once

#include "base/result.hpp"

namespace warren::proxy {

/// Takes the descriptors of ipc/stack_settings.hpp and the settings that come over the first of
/// them, gives up what a process can give up, and serves until the other end of that is closed.
[[nodiscard]] base::Status serve();

}  // namespace warren::proxy
