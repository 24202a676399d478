// Files that a child process appends its messages to.
#pragma once

#include <string>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Opens for appending, created 0600. A file larger than `max` bytes is renamed to PATH.1 first
/// (one generation is kept), so that two files of this size bound what it takes on disk.
[[nodiscard]] base::Result<Fd> open_log_file(const std::string& path, std::size_t max);

}  // namespace warren::os
