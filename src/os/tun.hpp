// tun and tap devices.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

struct TunOptions {
  std::string name;  ///< may hold "%d"
  bool tap = false;
  /// Only in a namespace that no other user has a process in: between the device's creation and
  /// its restriction to root any of them can attach a queue.
  bool multi_queue = false;
  bool vnet_header = false;  ///< IFF_VNET_HDR; offloads are set apart
  bool persistent = false;
  /// With privilege: owner and group 0 before anything else, so that no other user can attach a
  /// queue. Off inside an unprivileged user namespace.
  bool restrict_to_root = true;
};
struct Tun {
  Fd descriptor;     ///< non-blocking
  std::string name;  ///< the kernel's final name
};
/// Opens (creating or attaching) a device in the calling thread's network namespace.
/// NotPermitted and NotFound carry a hint about /dev/net/tun.
[[nodiscard]] base::Result<Tun> open_tun(const TunOptions& options);

/// One packet; the size read, 0 when none waits (EAGAIN).  HOT PATH
[[nodiscard]] base::Result<std::size_t> read_packet(const Fd& tun, base::MutableBytes buffer);
/// One packet; false when the queue is full, the link is down or the kernel finds the packet
/// malformed (the packet is lost).  HOT PATH
[[nodiscard]] base::Result<bool> write_packet(const Fd& tun, base::Bytes packet);

}  // namespace warren::os
