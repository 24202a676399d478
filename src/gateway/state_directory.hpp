// The state directory of one gateway: its lock, its instance id, its identity key.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/random.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"
#include "pki/identity.hpp"

namespace warren::gateway {

class StateDirectory {
 public:
  /// Makes the directory (0700) if need be and takes its lock. Conflict: a daemon has it.
  [[nodiscard]] static base::Result<StateDirectory> open(const std::string& path);
  /// As open(), but makes nothing: NotFound when there is no such directory.
  [[nodiscard]] static base::Result<StateDirectory> open_existing(const std::string& path);

  /// The id that the host's objects of this gateway carry: 12 hexadecimal digits, made once.
  [[nodiscard]] base::Result<std::string> instance(base::RandomSource& random) const;
  /// A directory that open() made, and in which nothing was, is removed with this object.
  void discard_if_made();
  /// nullopt: no daemon ever ran here.
  [[nodiscard]] base::Result<std::optional<std::string>> existing_instance() const;
  /// The identity key, made once, 0600.
  [[nodiscard]] base::Result<pki::Identity> identity() const;

  [[nodiscard]] std::string database() const { return path_ + "/warren.db"; }
  [[nodiscard]] std::string host_records() const { return path_ + "/host.json"; }

 private:
  StateDirectory(std::string path, os::Fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  os::Fd lock_;
  bool made_ = false;
  /// Removes the directory of this name; while the lock is still held.
  struct Remove {
    void operator()(std::string* path) const;
  };
  std::unique_ptr<std::string, Remove> discarded_;
};

}  // namespace warren::gateway
