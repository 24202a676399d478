// The network namespace of a run: its tun, addresses and routes.
#pragma once

#include "base/result.hpp"
#include "netns/run.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// Inside new user and network namespaces, with the run's /proc mounted: brings lo up, opens and
/// configures the tun, lets our group use ICMP sockets. The tun's descriptor.
/// Where it fails, no tun is left, and it may be tried again.
[[nodiscard]] base::Result<os::Fd> set_up_network(const RunConfig& config);

/// Brings lo up, for a run that has no tun yet.
[[nodiscard]] base::Status set_up_loopback();

}  // namespace warren::netns
