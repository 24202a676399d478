// The mount namespace of a run.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "netns/etc_files.hpp"

namespace warren::netns {

struct MountPlan {
  EtcFiles etc;
  std::string runtime_directory;            ///< of this user's runs: empty inside
  std::string session_directory;            ///< $XDG_RUNTIME_DIR: empty inside; may be ""
  std::vector<std::string> kept;            ///< absolute paths that stay as the host has them
  std::vector<std::string> hidden_sockets;  ///< paths of sockets that lead out
  bool weak_dns = false;     ///< where /etc cannot be given, single files are bound over
  bool private_tmp = false;  ///< an empty /tmp and /var/tmp
};

/// Inside new user, network, mount and pid namespaces: cuts propagation; gives the run a /run, an
/// /etc, a /sys and a /proc of its own; hides the sockets of host services outside /run; takes
/// set-user-id and file capabilities away; enters the working directory again. Errors carry a hint.
[[nodiscard]] base::Status set_up_mounts(const MountPlan& plan);

}  // namespace warren::netns
