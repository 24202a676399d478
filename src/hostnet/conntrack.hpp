// Connection tracking in the calling thread's network namespace.
#pragma once

#include <cstddef>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace warren::hostnet {

/// Deletes every entry in which one of the addresses takes part, as either side of either
/// direction; returns how many there were.
[[nodiscard]] base::Result<std::size_t> flush_connections(
    const std::vector<base::IpAddress>& addresses);

}  // namespace warren::hostnet
