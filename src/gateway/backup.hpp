// A gateway's state as the contents of a backup, and back.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backup/backup_file.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::gateway {

struct BackupSource {
  std::string state_dir;
  std::string settings_file;
  std::string program;  ///< noted in the backup
  base::WallTime now;
  /// The database at one instant (store_sqlite::snapshot).
  std::function<base::Result<std::string>(const std::string& path)> snapshot;
};
/// The database, the other files of the state directory and the settings. A daemon may run and
/// write meanwhile. What belongs to this host alone (locks, records of its old settings) is left
/// out.
[[nodiscard]] base::Result<backup::Contents> gather_backup(const BackupSource& source);

struct RestoreTarget {
  std::string state_dir;
  std::string settings_file;
  bool force = false;  ///< a state that is there is put aside; otherwise it is refused (Conflict)
  /// Looks at the database before it is believed (store_sqlite::inspect).
  std::function<base::Status(const std::string& path)> inspect;
};
struct Restored {
  std::string aside;                       ///< where the former state is now; empty: there was none
  bool other_instance = false;             ///< the former state was another gateway's
  std::vector<std::string> settings;       ///< written
  std::vector<std::string> kept_settings;  ///< that differ from the backup's and were left alone
  std::string settings_copy;               ///< where the backup's are then; empty: nothing differs
};
/// Makes the state directory what the backup says, at one instant: after a crash it is as it was
/// before, or whole. Conflict: a daemon runs on it, or it holds a state. Invalid: the backup lacks
/// something or its contents are not good; nothing is changed then.
[[nodiscard]] base::Result<Restored> restore_backup(const backup::Contents& contents,
                                                    const RestoreTarget& target);

}  // namespace warren::gateway
