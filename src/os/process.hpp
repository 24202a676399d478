// Child processes: started with chosen descriptors, watched by pidfd, ended by pidfd.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Somebody to become: with no other groups, and no way back.
struct SpawnUser {
  uid_t uid = 0;
  gid_t gid = 0;
};
struct SpawnOptions {
  std::vector<std::string> argv;                        ///< argv[0] is a path
  std::optional<std::vector<std::string>> environment;  ///< "K=V"; nullopt: inherit
  /// Descriptors the child gets, by their number in the child (0,1,2 default to /dev/null,
  /// inherited stdout and stderr). All others are closed.
  std::map<int, const Fd*> descriptors;
  bool new_session = false;
  std::optional<std::string> working_directory;
  std::optional<SpawnUser> user = {};  ///< who the child is; nullopt: who we are
  bool die_with_parent = false;  ///< SIGKILL when the *thread* that spawned it ends (PDEATHSIG)
};
struct Child {
  pid_t pid = 0;
  Fd pidfd;  ///< readable when the child has ended
  /// Field 22 of /proc/PID/stat: with the pid it names the process for ever.
  std::uint64_t start_time = 0;
};
/// Starts a program, with every signal unblocked and at its default; an exec failure is reported
/// here, and no child is left then.
[[nodiscard]] base::Result<Child> spawn(const SpawnOptions& options);
/// Waits for the end: the exit code, or 128 + signal.
[[nodiscard]] base::Result<int> wait_for(const Child& child);
/// Reaps without waiting: nullopt while it runs; -1 when somebody else has reaped it.
[[nodiscard]] std::optional<int> try_wait(const Child& child);
[[nodiscard]] base::Status send_signal(const Fd& pidfd, int signal);
/// A pidfd for a process that may not be ours; NotFound unless its start time is this one.
[[nodiscard]] base::Result<Fd> open_pidfd(pid_t pid, std::uint64_t start_time);
[[nodiscard]] base::Result<std::uint64_t> process_start_time(pid_t pid);
/// Blocks until the pidfd is readable or the time is over; true when the process has ended.
[[nodiscard]] base::Result<bool> wait_readable(const Fd& descriptor, base::Duration at_most);
/// The running program's file; when it was replaced meanwhile, the new one under its name.
[[nodiscard]] base::Result<std::string> program_path();
/// The directory of that file (to find warren-engine beside warren).
[[nodiscard]] base::Result<std::string> program_directory();

}  // namespace warren::os
