// The process that carries connections from exposed ports into a run.
#pragma once

#include <vector>

#include "base/address.hpp"
#include "netns/exposure.hpp"
#include "os/fd.hpp"

namespace warren::netns {

struct ForwarderConfig {
  std::vector<Exposure> exposures;
  std::vector<os::Fd> listeners;           ///< one for each exposure
  std::vector<base::IpAddress> addresses;  ///< of the run, tried after its loopback
  os::Fd sockets;                          ///< to init: OpenSocket, answered by Socket, in order
};

/// Serves until the other end of `sockets` is closed.
void run_forwarder(ForwarderConfig config);

}  // namespace warren::netns
