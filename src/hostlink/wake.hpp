// A packet that makes a tunnel at rest shake hands.
#pragma once

#include <optional>
#include <string>

#include "base/address.hpp"

namespace warren::hostlink {

/// Sends one echo request out by this link, whatever the routes say, or, where this host offers no
/// ICMP sockets, an empty datagram to the discard port; nothing without a target. That it is lost
/// does no harm.
void wake(const std::string& link, const std::optional<base::IpAddress>& target);

}  // namespace warren::hostlink
