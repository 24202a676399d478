// UDP sockets in batches, with the outer traffic class and the source address kept.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

struct UdpOptions {
  base::Family family = base::Family::V4;
  std::uint16_t port = 0;      ///< 0: the kernel chooses
  std::uint32_t mark = 0;      ///< SO_MARK
  bool reuse_port = false;     ///< SO_REUSEPORT, for several workers
  int buffer_bytes = 7 << 20;  ///< SO_RCVBUF/SO_SNDBUF (the FORCE variants where permitted)
};
/// A bound, non-blocking socket on the wildcard address (v6 sockets are v6-only) with packet info
/// and TOS / traffic class reception on.
[[nodiscard]] base::Result<Fd> open_udp(const UdpOptions& options);
[[nodiscard]] base::Result<std::uint16_t> local_port(const Fd& socket);
[[nodiscard]] base::Status set_mark(const Fd& socket, std::uint32_t mark);

/// The local address a datagram came to, so that the answer leaves from it.
struct LocalAddress {
  base::IpAddress address;
  std::uint32_t interface_index = 0;
  bool known = false;
};

/// One slot of a receive batch: `buffer` is the room, the rest is filled in.
struct UdpReceived {
  base::MutableBytes buffer;
  std::size_t size = 0;
  base::Endpoint remote;
  LocalAddress local;
  std::uint8_t traffic_class = 0;
  bool truncated = false;
};
/// The most datagrams that one system call moves.
inline constexpr std::size_t kUdpBatchMax = 64;

/// recvmmsg, without blocking: the number of slots filled (0 when none waits); at most kUdpBatchMax
/// in a call.  HOT PATH
[[nodiscard]] base::Result<std::size_t> receive_batch(const Fd& socket,
                                                      std::span<UdpReceived> slots);

struct UdpToSend {
  base::Bytes bytes;
  base::Endpoint remote;
  LocalAddress local;  ///< source to use when known
  std::uint8_t traffic_class = 0;
};
/// sendmmsg, without blocking: the number sent. `refused` is added to, never cleared, so the first
/// (sent + newly refused) datagrams of the span are done with. A datagram that the kernel refuses
/// for itself (EMSGSIZE, ENETUNREACH, EPERM, ECONNREFUSED …) is skipped and counted in `refused`;
/// the count stops short only on EAGAIN/ENOBUFS. A stale source address (EINVAL) is retried
/// without. HOT PATH
[[nodiscard]] base::Result<std::size_t> send_batch(const Fd& socket,
                                                   std::span<const UdpToSend> datagrams,
                                                   std::size_t& refused);

}  // namespace warren::os
