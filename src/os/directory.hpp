// Whole directories that take each other's place.
#pragma once

#include <string>

#include "base/result.hpp"

namespace warren::os {

/// A new directory, 0700, beside `path`: its name and six letters.
[[nodiscard]] base::Result<std::string> make_directory_beside(const std::string& path);
/// Waits until everything in a directory, and it itself, is on the disk.
[[nodiscard]] base::Status sync_tree(const std::string& path);
/// Gives `from` the name `to`, and the directory that has it the name `from`, at one instant; where
/// there is none, or an empty one, just renames. After a crash one of the two is true.
/// The error names what the file system cannot do.
[[nodiscard]] base::Status take_place_of(const std::string& from, const std::string& to);

}  // namespace warren::os
