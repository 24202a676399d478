// The name servers of a link: through systemd-resolved or resolvconf, never by hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace warren::hostlink {

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
  bool operator==(const Names&) const = default;
};

/// systemd-resolved where it runs and has its command, else resolvconf; nullopt where neither is.
[[nodiscard]] std::optional<NameService> find_name_service(const std::string& link);

/// Sets or replaces. The error tells what the program said.
[[nodiscard]] base::Status set_names(const NameService& service, const Names& names);
/// Done as well where there was nothing, and where the link is gone.
[[nodiscard]] base::Status clear_names(const NameService& service);

/// A file below a directory of PATH, or of the usual ones.
[[nodiscard]] std::optional<std::string> find_program(const std::string& name);

}  // namespace warren::hostlink
