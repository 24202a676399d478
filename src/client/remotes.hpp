// Gateways somewhere else that this user administers: one file each, 0600, in
// $XDG_CONFIG_HOME/warren/remotes. Format: docs/formats/api.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/network.hpp"

namespace warren::client {

struct Remote {
  std::string name;
  model::TokenText access;  ///< where it is, which key it has, and the secret
};

/// The name that means the daemon of this host.
inline constexpr std::string_view kLocal = "local";

class Remotes {
 public:
  /// `directory`: that of the user's profiles (profile_directory).
  explicit Remotes(const std::string& directory) : directory_(directory + "/remotes") {}

  /// Conflict: there is one of this name.
  [[nodiscard]] base::Status add(const Remote& remote) const;
  /// NotFound, with the nearest name; NotPermitted when others can read the file.
  [[nodiscard]] base::Result<Remote> read(const std::string& name) const;
  /// Sorted.
  [[nodiscard]] base::Result<std::vector<std::string>> list() const;
  [[nodiscard]] base::Status remove(const std::string& name) const;
  /// The one that commands are for when they name none; empty: this host's.
  [[nodiscard]] std::string current() const;
  [[nodiscard]] base::Status use(const std::string& name) const;

 private:
  [[nodiscard]] std::string file_of(const std::string& name) const {
    return directory_ + "/" + name + ".token";
  }
  [[nodiscard]] std::string current_file() const { return directory_ + "/current"; }

  std::string directory_;
};

/// [a-z0-9][a-z0-9.-]{0,62}, and not "local".
[[nodiscard]] base::Status check_remote_name(const std::string& name);

}  // namespace warren::client
