// What may reach the stack out of the tunnel.
#pragma once

#include <span>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace warren::proxy {

/// True for TCP, UDP, and the ICMP messages that report an error or ask for and answer an echo,
/// sent to one of `own` by somebody else. Everything else a member of the network could send is
/// nothing for a client: router advertisements and neighbour discovery, multicast, IPv6 extension
/// headers but the fragment header before TCP and UDP. Sizes are checked, checksums are not.
[[nodiscard]] bool is_for_us(base::Bytes packet, std::span<const base::IpAddress> own);

}  // namespace warren::proxy
