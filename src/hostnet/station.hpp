// What networks are on segments of the host's: which links can have them, and their hardware
// addresses there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "os/rtnl.hpp"
#include "plan/steps.hpp"

namespace warren::hostnet {

/// Locally administered. A network has the same address each time it is attached, so that what
/// hosts of the segment remember of its members stays true.
inline constexpr std::array<std::uint8_t, 2> kStationMacStart = {0x02, 0x57};
/// Of the port of the bridge: higher than any other, so that the bridge's own address stays.
inline constexpr std::array<std::uint8_t, 2> kPortMacStart = {0xfe, 0x57};

[[nodiscard]] inline os::MacAddress station_mac(const std::array<std::uint8_t, 2>& start,
                                                std::uint32_t station) {
  os::MacAddress out{start[0], start[1]};
  for (std::size_t at = out.size(); at-- > start.size(); station >>= 8)
    out[at] = static_cast<std::uint8_t>(station);
  return out;
}
/// 0 for an address that is no network's.
[[nodiscard]] inline std::uint32_t station_of(const os::MacAddress& mac) {
  if (mac[0] != kStationMacStart[0] || mac[1] != kStationMacStart[1]) return 0;
  std::uint32_t out = 0;
  for (std::size_t at = 2; at < mac.size(); ++at) out = out << 8 | mac[at];
  return out;
}

/// nullopt: no Ethernet, or itself a port of something.
[[nodiscard]] inline std::optional<plan::SegmentKind> segment_kind(const os::Link& link) {
  if (!link.is_ethernet || link.master != 0) return std::nullopt;
  return link.kind == "bridge" ? plan::SegmentKind::Bridge : plan::SegmentKind::Wire;
}

}  // namespace warren::hostnet
