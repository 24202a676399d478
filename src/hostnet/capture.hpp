// Looking at a network from inside its namespace: what passes its tun, and programs run there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::hostnet {

struct CaptureOptions {
  std::string netns;
  std::string link;                       ///< whose packets are bare IP: a tun
  std::vector<base::IpAddress> only;      ///< packets from or to these; empty: all
  std::optional<std::uint64_t> count;     ///< packets; absent: without end
  std::optional<base::Duration> at_most;  ///< absent: without end
};
struct CaptureReport {
  std::uint64_t packets = 0;  ///< written
  std::uint64_t dropped = 0;  ///< by the kernel, because they came faster than they were written
};

/// A socket that sees what passes the link from now on. Needs CAP_SYS_ADMIN and CAP_NET_RAW.
[[nodiscard]] base::Result<os::Fd> open_capture(const CaptureOptions& options);
/// Writes a pcap file until the count or the time is over, or `stop` is readable. Blocks.
[[nodiscard]] base::Result<CaptureReport> capture(const os::Fd& socket,
                                                  const CaptureOptions& options, const os::Fd& out,
                                                  int stop);

/// Moves the calling thread into a named namespace, for good: before executing a program there.
[[nodiscard]] base::Status enter_namespace(const std::string& netns);

}  // namespace warren::hostnet
