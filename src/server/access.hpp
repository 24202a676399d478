// Who may use the API: root, and the members of one group of the host's user database.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

#include "base/result.hpp"
#include "os/unix_socket.hpp"

namespace warren::server {

class Access {
 public:
  explicit Access(std::string group) : group_(std::move(group)) {}

  /// The name for the audit ("uid 1000 (ann)"), or NotPermitted. The user database is read at each
  /// call, so that a person added to the group needs no restart of the daemon.
  [[nodiscard]] base::Result<std::string> check(const os::PeerCredentials& peer) const;
  /// nullopt when the host has no such group.
  [[nodiscard]] std::optional<gid_t> group_id() const;
  /// Gives the socket file to the group, when it exists: 0660 root:GROUP, otherwise it stays 0600.
  [[nodiscard]] base::Status open_to_group(const std::string& path) const;

 private:
  std::string group_;
};

}  // namespace warren::server
