// The few forms of mount(2) that a run needs, with errors that say what to do.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// An Error of the current errno; the hint names what refuses mounts inside a user namespace.
[[nodiscard]] base::Error mount_refused(const std::string& what);
/// A tmpfs without devices, set-user-id and execution. `options` as of tmpfs(5).
[[nodiscard]] base::Status mount_tmpfs(const std::string& path, const std::string& options,
                                       const std::string& what, bool read_only = false);
/// Holds a path across what is mounted over it. An empty Fd when there is nothing.
[[nodiscard]] os::Fd hold_path(const std::string& path);
/// Binds what `held` holds, with everything mounted below it, over `target`, which exists.
[[nodiscard]] base::Status bind_held(const os::Fd& held, const std::string& target);
/// Creates an empty directory or file for `held` to be bound over, and the directories above it.
[[nodiscard]] base::Status make_mount_point(const os::Fd& held, const std::string& target);
/// The places below a directory where something is mounted, outermost only.
[[nodiscard]] std::vector<std::string> mounts_below(const std::string& directory);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] bool exists(const std::string& path);
/// A new file of this content, readable for all.
[[nodiscard]] base::Status write_new_file(const std::string& path, const std::string& text);

}  // namespace warren::netns
