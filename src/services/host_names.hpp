// The name servers that the host itself asks, for a link of it: told to systemd-resolved or
// resolvconf, never written by hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::services {

/// Who keeps the host's name servers.
struct NameService {
  enum class Kind { Resolved, Resolvconf } kind = Kind::Resolved;
  std::string record;  ///< what it calls ours: the link, for resolvconf perhaps with a prefix
  bool operator==(const NameService&) const = default;
};

struct Names {
  std::vector<base::IpAddress> servers;
  std::vector<std::string> search;
  /// All names are asked there; else only those below the search domains, where the service can
  /// tell them apart (resolved can).
  bool all_names = true;
  /// resolvconf: the servers that the host has already are asked no more. Without it they come
  /// after ours where the record is called as a tunnel (kTunnelRecord).
  bool alone = true;
  bool operator==(const Names&) const = default;
};

/// How names of records begin that both resolvconf programs put first.
inline constexpr const char* kTunnelRecord = "tun0.";

/// systemd-resolved where it runs and has its command, else resolvconf; nullopt where neither is.
[[nodiscard]] std::optional<NameService> find_name_service(const std::string& link);

/// Sets or replaces; each program that is asked may take so long. The error tells what it said.
[[nodiscard]] base::Status set_names(const NameService& service, const Names& names,
                                     base::Duration at_most);
/// Done as well where there was nothing, and where the link is gone.
[[nodiscard]] base::Status clear_names(const NameService& service, base::Duration at_most);

/// A file below a directory of PATH, or of the usual ones.
[[nodiscard]] std::optional<std::string> find_program(const std::string& name);

}  // namespace warren::services
