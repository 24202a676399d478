// Files, locks and memory files.
#pragma once

#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Whole content, at most `max` bytes (Invalid when larger).
[[nodiscard]] base::Result<std::string> read_file(const std::string& path,
                                                  std::size_t max = 64 << 20);
/// Writes beside, fsyncs, renames over: after a crash the old or the new content, never a mix.
[[nodiscard]] base::Status write_file_atomically(const std::string& path, std::string_view content,
                                                 mode_t mode);
/// Writes without create, in one write (for /proc/sys …).
[[nodiscard]] base::Status write_existing(const std::string& path, std::string_view content);
/// mkdir -p; the last component gets `mode` if it is new.
[[nodiscard]] base::Status make_directories(const std::string& path, mode_t mode);
/// Takes an exclusive flock on a file (created 0600) without waiting. Conflict: the hint names the
/// holder's pid as the holder wrote it into the file.
[[nodiscard]] base::Result<Fd> lock_file(const std::string& path);
/// memfd_create of `size` zero bytes, sealed against shrinking and growing.
[[nodiscard]] base::Result<Fd> memory_file(const std::string& name, std::size_t size);

/// A shared read-write mapping of a whole descriptor.
class Mapping {
 public:
  [[nodiscard]] static base::Result<Mapping> create(const Fd& descriptor);
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  [[nodiscard]] base::MutableBytes bytes() const { return bytes_; }

 private:
  base::MutableBytes bytes_;
};

}  // namespace warren::os
