// The UDP sockets of a run, in the host's network namespace.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::netns {

struct UdpPair {
  os::Fd v4;  ///< empty when the host lacks the family
  os::Fd v6;
  std::uint16_t port = 0;
  std::uint32_t mark = 0;

  /// One port for both families; 0 lets the kernel choose. `os_errno` of an Error is what the
  /// engine is told.
  [[nodiscard]] static base::Result<UdpPair> open(std::uint16_t port, std::uint32_t mark);
  /// Needs no privilege when nothing changes.
  [[nodiscard]] base::Status set_mark(std::uint32_t wanted);
};

}  // namespace warren::netns
