// UDP sockets in batches, with the outer traffic class and the source address kept.
//
// A train is a row of datagrams of one size (the last may be shorter) that lie one behind the other
// in one buffer and pass through the kernel as one: UDP_SEGMENT outward, UDP_GRO inward.
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
  std::uint16_t port = 0;   ///< 0: the kernel chooses
  std::uint32_t mark = 0;   ///< SO_MARK
  bool reuse_port = false;  ///< SO_REUSEPORT: joins sockets that share the port
  /// SO_RCVBUF (the FORCE variant where permitted): what comes while the reader is busy.
  int buffer_bytes = 7 << 20;
  /// SO_SNDBUF: enough for 10 Gb/s, and yet no long queue before a slow way. At most buffer_bytes.
  int send_buffer_bytes = 1 << 20;
  std::optional<base::IpAddress> address{};  ///< of the same family; nullopt: the wildcard
};
/// A bound, non-blocking socket on that address (v6 sockets are v6-only) with packet info
/// and TOS / traffic class reception on.
[[nodiscard]] base::Result<Fd> open_udp(const UdpOptions& options);
[[nodiscard]] base::Result<std::uint16_t> local_port(const Fd& socket);
[[nodiscard]] base::Status set_mark(const Fd& socket, std::uint32_t mark);
/// From now on sockets of this user, opened with `reuse_port`, may join the port. Called on a
/// socket that was bound without it: so a port that another program has is still a conflict.
[[nodiscard]] base::Status share_port(const Fd& socket);

struct UdpOffloads {
  bool segment = false;  ///< takes trains to send
  bool gro = false;      ///< hands received trains over: slots need 64 KiB of room
};
/// Asks for both; what the kernel lacks stays false. Errors: the descriptor is no UDP socket.
[[nodiscard]] base::Result<UdpOffloads> enable_udp_offloads(const Fd& socket);

using base::LocalAddress;

/// One slot of a receive batch: `buffer` is the room, the rest is filled in.
struct UdpReceived {
  base::MutableBytes buffer;
  std::size_t size = 0;
  base::Endpoint remote;
  LocalAddress local;
  std::uint8_t traffic_class = 0;
  bool truncated = false;
  std::uint16_t segment_size = 0;  ///< of a train: bytes of each datagram but the last; else 0
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
  /// Smaller than the size: `bytes` is a train of such datagrams; 0: it is one datagram.
  std::uint16_t segment_size = 0;
};
/// The most datagrams of a train that every kernel with UDP_SEGMENT takes, and the most bytes.
inline constexpr std::size_t kTrainSegmentsMax = 64;
inline constexpr std::size_t kTrainBytesMax = 65507;

/// How far a call came. The first (sent + refused) items of the span are done with.
struct SendOutcome {
  std::size_t sent = 0;     ///< items; a train is one
  std::size_t refused = 0;  ///< items that the kernel would not send at all
  /// Of the sent: trains that the kernel refused as such and that went out datagram by datagram.
  std::size_t split = 0;
  /// Bytes of the item behind those done with that went out already: a split train met a full
  /// socket. Send the rest of it later, from there on.
  std::size_t partial = 0;
  /// EIO: the device on the way does no checksums, so it takes no trains; make none for a while.
  bool trains_unsupported = false;

  [[nodiscard]] std::size_t done() const { return sent + refused; }
};
/// sendmmsg, without blocking. An item that the kernel refuses for itself (EMSGSIZE, ENETUNREACH,
/// ENODEV, EPERM, ECONNREFUSED …) is skipped and counted in `refused`; a train that it refuses as a
/// train (EIO; EINVAL or EMSGSIZE: a segment exceeds the MTU of the way) is sent datagram by
/// datagram, fragmented if need be. Stops short only when the socket is full (EAGAIN) or the kernel
/// out of memory (ENOBUFS, ENOMEM: epoll calls the socket writable all the same). A stale source
/// address (EINVAL) is retried without. Error: no UDP socket.  HOT PATH
[[nodiscard]] base::Result<SendOutcome> send_batch(const Fd& socket,
                                                   std::span<const UdpToSend> items);

}  // namespace warren::os
