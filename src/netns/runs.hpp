// What is done to a run of this user from another process.
#pragma once

#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "netns/ready.hpp"
#include "netns/runtime_dir.hpp"

namespace warren::netns {

/// A live run by its name, else by its profile; empty: the only one. NotFound, or Conflict where
/// several are meant.
[[nodiscard]] base::Result<RunState> find_run(const std::string& runtime_dir,
                                              const std::string& run);

struct Traffic {
  std::uint64_t received = 0;  ///< bytes, of all peers
  std::uint64_t sent = 0;
  base::WallTime last_handshake{};  ///< 0: never
};
/// What the run's engine counted. NotFound while its tunnel is not started.
[[nodiscard]] base::Result<Traffic> traffic_of(const RunStatus& run, base::Duration wait);

/// Lets the command of a run end: SIGTERM, and SIGKILL after `grace`. Returns when the run is gone.
[[nodiscard]] base::Status stop_run(const RunState& run, base::Duration grace);

/// Starts the tunnel of a run that has none yet; done at once when it has.
[[nodiscard]] base::Status start_net(const std::string& control_path);

/// Where a program inside a run asks for the same.
inline constexpr const char* kInsideSocket = "/run/warren-run.sock";

}  // namespace warren::netns
