// Tells when a file was removed from under its path.
#pragma once

#include <string>

#include <sys/types.h>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// Watches one existing file by the directory that holds it (inotify).
class PathWatch {
 public:
  [[nodiscard]] static base::Result<PathWatch> create(const std::string& path);
  /// Readable when something happened in the directory.
  [[nodiscard]] int descriptor() const { return fd_.get(); }
  /// Consumes what is pending; true when the path no longer leads to the file of the beginning.
  [[nodiscard]] bool gone();
  /// Removes the file, unless the path leads to another one by now.
  void remove();

 private:
  PathWatch(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  [[nodiscard]] bool is_there() const;

  Fd fd_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace warren::os
