// Asking a wire who has an address, without having one there oneself: ARP probes and neighbour
// solicitations of duplicate address detection.
//
// Source: RFC 5227 section 2.1.1 (ARP probe), RFC 4862 section 5.4.2, RFC 4861 section 4.3.
#pragma once

#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "os/rtnl.hpp"

namespace warren::hostnet {

/// How long answers are waited for; hosts answer within a millisecond on one switch.
inline constexpr base::Duration kProbeWait = std::chrono::milliseconds(240);

struct NeighbourAnswer {
  base::IpAddress address;
  os::MacAddress mac{};
};

/// Asks for all of them at once on a link of the calling thread's namespace, twice, and returns who
/// answered first for each. Takes kProbeWait. Needs CAP_NET_RAW.
[[nodiscard]] base::Result<std::vector<NeighbourAnswer>> ask_neighbours(
    const os::Link& link, const std::vector<base::IpAddress>& addresses);

/// The frame that asks for an address, from the link's hardware address. Pure.
[[nodiscard]] std::vector<std::uint8_t> neighbour_question(const os::MacAddress& from,
                                                           const base::IpAddress& address);
/// What a frame says about who has an address; nullopt: nothing, or it only asks. Pure.
[[nodiscard]] std::optional<NeighbourAnswer> neighbour_answer(base::Bytes frame);

/// "02:42:ac:11:00:02".
[[nodiscard]] std::string to_text(const os::MacAddress& mac);

}  // namespace warren::hostnet
