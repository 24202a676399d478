// The mount namespace of a run.
#pragma once

#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace warren::netns {

/// The text of the run's resolv.conf; without servers a comment that says so.
[[nodiscard]] std::string resolv_conf(const std::vector<base::IpAddress>& servers,
                                      const std::vector<std::string>& search);

/// Inside new user, mount and pid namespaces: cuts propagation, gives the run its resolv.conf,
/// hides the host's name services and the sockets of this user's runs, mounts the new /proc, takes
/// set-user-id and file capabilities away.
[[nodiscard]] base::Status set_up_mounts(const std::string& resolv_conf_text, bool has_servers,
                                         const std::string& runtime_directory);

}  // namespace warren::netns
