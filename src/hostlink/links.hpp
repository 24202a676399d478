// The networks that this host is in: looking at them, and ending one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "netns/runs.hpp"

namespace warren::hostlink {

struct LinkStatus {
  netns::RunStatus run;    ///< name (of the link too), profile, pid, key, addresses, API socket
  std::string condition;   ///< "up", or what is wrong with it
  std::string names;       ///< who was told the name servers: "resolved", "resolvconf", "none"
  bool supervised = true;  ///< false: its supervisor was killed, and the link waits for `down`
};

/// By name. Empty where nothing is up, or the directory may not be read.
[[nodiscard]] std::vector<LinkStatus> list_links(const std::string& directory);

/// Ends a network's supervisor and returns when all it did is undone; undoes it itself where the
/// supervisor was killed. Unavailable when the network is not up. True: it had been killed.
[[nodiscard]] base::Result<bool> take_down(const std::string& directory, const std::string& name);

/// Undoes what a killed supervisor of this name left; true when there was something. The caller has
/// the Turn, and knows that none lives.
[[nodiscard]] base::Result<bool> undo_leftovers(const std::string& directory,
                                                const std::string& name);

/// What `undo_killed` found.
struct Leftovers {
  struct Killed {
    std::string name;
    std::vector<std::string> undone;  ///< "ip link del lab", a file that was removed
  };
  std::vector<Killed> killed;
  std::vector<netns::RunStatus> living;  ///< left alone
  std::vector<std::string> problems;     ///< what could not be undone, and why
};
/// Undoes what every supervisor left that was killed; those that live are left alone. The
/// directory goes with the last file in it. Nothing where the caller may not change it.
[[nodiscard]] Leftovers undo_killed(const std::string& directory);

}  // namespace warren::hostlink
