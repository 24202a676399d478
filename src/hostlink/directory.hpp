// The directory in which the networks of this host that are up are told: state, journal, locks,
// logs (docs/formats/up-files.md).
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::hostlink {

/// "up" below the run directory.
[[nodiscard]] std::string directory_in(const std::string& run_dir);

/// The files of one network.
struct LinkFiles {
  LinkFiles(const std::string& directory, const std::string& name);
  std::string state;    ///< key=value lines; also what netns::RunLock removes
  std::string journal;  ///< what is to be undone
  std::string log;      ///< of a supervisor that was detached
};

/// Only one at a time changes the host. The directory is made when missing, 0700.
class Turn {
 public:
  /// Waits for whoever has it. Conflict after a while.
  [[nodiscard]] static base::Result<Turn> take(const std::string& directory);
  Turn(Turn&&) noexcept = default;
  Turn& operator=(Turn&&) noexcept = delete;
  /// Removes the directory, and the one it is in, where nothing is in them.
  ~Turn();

 private:
  Turn(std::string directory, os::Fd lock)
      : directory_(std::move(directory)), lock_(std::move(lock)) {}
  std::string directory_;
  os::Fd lock_;
};

}  // namespace warren::hostlink
