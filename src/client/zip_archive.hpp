// A zip archive made in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::client {

struct ZipEntry {
  std::string path;  ///< "lab/start.sh"
  std::string content;
  std::uint16_t mode = 0600;  ///< kept for whoever unpacks it; the owner is who unpacks it
};
/// Regular files only, all with this time of change.
[[nodiscard]] base::Result<std::string> write_zip(const std::vector<ZipEntry>& entries,
                                                  base::WallTime changed);

}  // namespace warren::client
