// What members dial when nobody said: the address that this host shows to the world.
#pragma once

#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "os/rtnl.hpp"

namespace warren::gateway {

/// The address of the link that the default route uses: IPv4 first, then IPv6; never link-local.
/// nullopt without a default route or without such an address. Pure.
[[nodiscard]] std::optional<base::IpAddress> choose_endpoint(
    const std::vector<os::Route>& routes, const std::vector<os::LinkAddress>& addresses);
/// The same, of the calling thread's network namespace.
[[nodiscard]] base::Result<std::optional<base::IpAddress>> default_endpoint();

}  // namespace warren::gateway
