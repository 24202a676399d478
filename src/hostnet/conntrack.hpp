// Connection tracking in the calling thread's network namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/forward.hpp"
#include "os/fd.hpp"

namespace warren::hostnet {

/// Deletes every entry in which one of the addresses takes part, as either side of either
/// direction; returns how many there were. Its socket goes to `spent`: closing one waits for
/// what nftables of the namespace has just taken away (nft_elements.hpp).
[[nodiscard]] base::Result<std::size_t> flush_connections(
    const std::vector<base::IpAddress>& addresses, std::vector<os::Fd>& spent);

/// Where a forward leads: the answers of its connections come from here.
struct ForwardTarget {
  model::Protocol protocol = model::Protocol::Tcp;
  base::IpAddress address;
  std::uint16_t port = 0;
  bool operator==(const ForwardTarget&) const = default;
};
/// Deletes every entry that was translated to one of the targets; returns how many there were.
[[nodiscard]] base::Result<std::size_t> flush_forwarded(const std::vector<ForwardTarget>& targets);

/// Who opened what to whom, after translation. Port 0 where the protocol has none.
struct TrackedConnection {
  base::IpAddress from;
  base::IpAddress to;
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;
};
/// Deletes every entry that `is_denied`; returns how many there were.
[[nodiscard]] base::Result<std::size_t> flush_denied(
    const std::function<bool(const TrackedConnection&)>& is_denied);

}  // namespace warren::hostnet
