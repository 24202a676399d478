// What other programs may ask about the runs of their user: for `warren status`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::netns {

struct RunStatus {
  std::string name;
  std::string profile;
  pid_t pid = 0;   ///< the supervisor's
  pid_t init = 0;  ///< pid 1 inside, as the host sees it
  std::string public_key;
  std::vector<std::string> addresses;
  std::string uapi_path;     ///< the engine's userspace API (`wg`-style text); empty: no engine
  base::WallTime session{};  ///< without an engine: when its session came up; 0: it is down
  std::optional<base::IpAddress> echo_target;
  std::int64_t since_s = 0;          ///< wall clock
  bool net = true;                   ///< its tunnel was started
  std::vector<std::string> exposed;  ///< "127.0.0.1:8080:80/tcp"
  // Filled by check_ready only:
  bool handshake = false;
  std::optional<base::Duration> echo_round_trip;
};

/// The runs whose supervisor is alive.
[[nodiscard]] base::Result<std::vector<RunStatus>> list_runs(const std::string& runtime_dir);

/// Waits until the run (by its name, else by its profile; empty: the only run there is) is ready: a
/// handshake was made, and the echo target, if the run has one, answered through the tunnel.
/// Asking sends traffic, so a tunnel at rest wakes up. Errors: NotFound (no such run until the end
/// of the wait), Unavailable (not ready in time; the message says what is missing), Conflict
/// (several runs, none named).
[[nodiscard]] base::Result<RunStatus> check_ready(const std::string& runtime_dir,
                                                  const std::string& run, base::Duration wait);

}  // namespace warren::netns
