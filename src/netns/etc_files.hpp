// The files of /etc that a run has for itself.
#pragma once

#include <map>
#include <string>

#include "netns/run.hpp"

namespace warren::netns {

/// The name of a file in /etc and its content.
using EtcFiles = std::map<std::string, std::string>;

/// resolv.conf, hosts and nsswitch.conf as the profile says: names come from its name servers or
/// from nowhere. passwd and group too where the host knows the caller only through a network
/// service (which a run cannot ask): with the caller's own line added. Call it outside the run.
[[nodiscard]] EtcFiles etc_files(const RunConfig& config);

/// The text of nsswitch.conf, with or without DNS.
[[nodiscard]] std::string nsswitch_conf(bool has_servers);
/// The text of resolv.conf; without servers a comment that says so.
[[nodiscard]] std::string resolv_conf(const std::vector<base::IpAddress>& servers,
                                      const std::vector<std::string>& search);

}  // namespace warren::netns
