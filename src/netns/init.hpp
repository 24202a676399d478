// The init of a run: pid 1 of its pid namespace.
#pragma once

#include <sys/types.h>

#include "base/result.hpp"
#include "netns/etc_files.hpp"
#include "netns/run.hpp"
#include "os/fd.hpp"
#include "os/process.hpp"

namespace warren::netns {

/// The two sides of clone_init, as fork has them.
struct InitChild {
  bool is_init = false;
  os::Child child;  ///< in the parent
  uid_t uid = 0;    ///< in the child: the ids to map
  gid_t gid = 0;
};

/// Creates a child in new user, network, mount and pid namespaces with a copy of our memory and our
/// signal mask; returns in both. NotPermitted or Failed with a hint that names the setting where
/// user namespaces are off.
[[nodiscard]] base::Result<InitChild> clone_init();

/// What the child does: sets the namespaces up, hands the tun out over `control`, waits for Go,
/// starts the command, forwards signals, reaps, and ends with the command's code. It ends at once
/// when the other end of `control` is closed. Wipes the keys in its copy of `config`.
[[noreturn]] void run_init(const InitChild& self, RunConfig& config, EtcFiles etc, os::Fd control);

}  // namespace warren::netns
