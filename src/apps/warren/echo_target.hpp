// Whom a run asks for an echo, to know that its tunnel carries packets.
#pragma once

#include <optional>
#include <span>

#include "base/address.hpp"
#include "model/wg_conf.hpp"

namespace warren::app {

/// Somebody who should answer ping through the tunnel: one of `gateways` (what a joined profile
/// knows of its network), else the name server, else the first host of the network that the conf
/// describes. Only who is within AllowedIPs and is not this member; nullopt when nobody is.
[[nodiscard]] std::optional<base::IpAddress> choose_echo_target(
    const model::WgConf& conf, std::span<const base::IpAddress> gateways);

}  // namespace warren::app
