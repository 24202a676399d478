// Who else decides about packets on this host, and how an administrator tells it to let ours pass.
#pragma once

#include <optional>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/forward.hpp"
#include "plan/host.hpp"

namespace warren::hostnet {

/// What a lost packet was to do.
struct LostPacket {
  std::string hook;  ///< "input" or "forward"
  base::Family family = base::Family::V4;
  /// Of a public port; nullopt: it was on its way out of a network.
  std::optional<model::PublicPort> port;
  std::string bridge = {};  ///< that it was bridged by; empty: it was routed
  std::string link = {};    ///< that it came in on
};

/// The packet filter of the calling thread's namespace that most likely dropped it (firewalld, ufw,
/// Docker's, iptables, a table of somebody's), with the rule that it needs. nullopt: nobody's but
/// ours (tables whose name begins with "warren") could have.
[[nodiscard]] base::Result<std::optional<plan::Obstacle>> find_foreign_filter(
    const LostPacket& packet);

}  // namespace warren::hostnet
