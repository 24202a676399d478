// What carries the packets of a run between its tun and the world: an engine of ours, or the
// session with an AnyConnect server.
#pragma once

#include <functional>
#include <vector>

#include "base/result.hpp"
#include "ipc/uapi.hpp"
#include "os/fd.hpp"

namespace warren::netns {

class Tunnel {
 public:
  /// Called once, when the tunnel works as far as it can know.
  using Configured = std::move_only_function<void()>;
  /// Called once, when there is no hope.
  using Failed = std::move_only_function<void(base::Error)>;

  Tunnel() = default;
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  /// Ends what was started, within a limit.
  virtual ~Tunnel() = default;

  [[nodiscard]] virtual base::Status start() = 0;
  /// Changes peers that it has, without touching their sessions. What it is given must be in the
  /// configuration too, for an engine that is started later.
  virtual void update(const std::vector<ipc::UapiPeer>& /*peers*/) {}
  /// The tun, once init has made it.
  virtual void handle_tun(os::Fd tun) = 0;
};

}  // namespace warren::netns
