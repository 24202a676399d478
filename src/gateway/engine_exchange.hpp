// One question to an engine over its userspace API, while the engine may ask its opener back.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::gateway {

/// The other two things that an engine may do while it owes an answer.
struct ExchangeContext {
  const os::Fd* channel = nullptr;   ///< its opener channel
  std::function<void()> on_channel;  ///< serves what waits there, without blocking
  const os::Fd* process = nullptr;   ///< its pidfd
  base::Duration at_most{};
};

/// Sends a request to the socket at `path` and returns the whole answer (up to and including the
/// empty line). Blocks the calling thread for at most `at_most`, serving the opener channel
/// meanwhile: a request that makes the engine ask for a descriptor would otherwise wait for ever.
/// The answer may hold the private key: the caller wipes it (ipc::wipe_text).
/// Unavailable: the engine ended, or (os_errno ETIMEDOUT) it was silent for too long.
[[nodiscard]] base::Result<std::string> exchange(const std::string& path, std::string_view request,
                                                 const ExchangeContext& context);

}  // namespace warren::gateway
