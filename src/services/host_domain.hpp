// HostDomain: that the host itself asks a network's name server for that network's names.
#pragma once

#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "services/host_names.hpp"

namespace warren::services {

struct HostDomain {
  std::string link;  ///< the host's, by which the servers are reached
  std::vector<base::IpAddress> servers;
  std::string domain;
};

/// Tells whoever keeps the host's name servers, after `record` was written; nothing is done when
/// the record says that they know, and the link is the same one. NotFound: nobody keeps them but
/// the file /etc/resolv.conf, which is not ours to write. After an error nothing of it is left.
[[nodiscard]] base::Result<NameService::Kind> tell_host(const std::string& record,
                                                        const HostDomain& wanted);
/// Undoes what a record tells of, and removes it. Done as well where there is none.
[[nodiscard]] base::Status untell_host(const std::string& record);

}  // namespace warren::services
