// The network namespace of a run: its tun, addresses and routes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "netns/run.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// Inside new user and network namespaces, with the run's /proc mounted: brings lo up, opens and
/// configures the tun, lets our group use ICMP sockets. The tun's descriptor.
/// Where it fails, no tun is left, and it may be tried again.
[[nodiscard]] base::Result<os::Fd> set_up_network(const RunConfig& config);

/// Brings addresses, routes and MTU of the tun from what `before` says to what `now` says; the tun
/// and what is the same in both stay.
[[nodiscard]] base::Status change_network(const RunNetwork& before, const RunNetwork& now);

/// A network as the fields of Control::Change, and back; nullopt for anything else.
[[nodiscard]] std::vector<std::string> write_network(const RunNetwork& network);
[[nodiscard]] std::optional<RunNetwork> read_network(const std::vector<std::string>& fields);

/// Brings lo up, for a run that has no tun yet.
[[nodiscard]] base::Status set_up_loopback();

}  // namespace warren::netns
