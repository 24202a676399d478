// Settings under /proc/sys, of the calling thread's network namespace.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace warren::hostnet {

/// The value without its line end; nullopt when the kernel has no such setting.
[[nodiscard]] std::optional<std::string> read_sysctl(const std::string& key);
[[nodiscard]] base::Status write_sysctl(const std::string& key, const std::string& value);
/// The names in a folder; empty when it cannot be read.
[[nodiscard]] std::vector<std::string> list_folder(const std::string& path);

}  // namespace warren::hostnet
