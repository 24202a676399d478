// tun and tap devices.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// What a device leaves to whoever reads it, and takes unfinished from whoever writes it.
struct TunOffloads {
  bool vnet_header = false;  ///< a virtio-net header of 10 bytes is before every packet, both ways
  bool checksum = false;     ///< transport checksums may be left to the other side
  bool tcp4 = false;         ///< super-packets of TCP
  bool tcp6 = false;
  bool udp4 = false;  ///< and of UDP; a kernel has both or none
  bool udp6 = false;

  /// One byte, a bit for each from the lowest on in the order above.
  [[nodiscard]] std::uint8_t to_byte() const;
  [[nodiscard]] static TunOffloads from_byte(std::uint8_t bits);
  bool operator==(const TunOffloads&) const = default;
};

struct TunOptions {
  std::string name;  ///< may hold "%d"
  bool tap = false;
  /// Only in a namespace that no other user has a process in: between the device's creation and
  /// its restriction to root any of them can attach a queue.
  bool multi_queue = false;
  bool vnet_header = false;  ///< IFF_VNET_HDR
  bool offloads = false;     ///< with it, set_tun_offloads; implies vnet_header
  bool persistent = false;
  /// With privilege: owner and group 0 before anything else, so that no other user can attach a
  /// queue. Off inside an unprivileged user namespace.
  bool restrict_to_root = true;
};
struct Tun {
  Fd descriptor;     ///< non-blocking
  std::string name;  ///< the kernel's final name
  TunOffloads offloads{};
};
/// Opens (creating or attaching) a device in the calling thread's network namespace.
/// NotPermitted and NotFound carry a hint about /dev/net/tun.
///
/// The header belongs to the device, not to the queue: the first queue of a persistent device
/// decides for all; a further queue gets what the device has, whatever was asked. So believe
/// `offloads`, not the options.
[[nodiscard]] base::Result<Tun> open_tun(const TunOptions& options);
/// A further queue of a device made with `multi_queue`, in the calling thread's namespace; same
/// offloads. NotFound when the device is gone (none is made), Invalid when it takes one queue.
[[nodiscard]] base::Result<Tun> open_tun_queue(const std::string& name);
/// The device outlives whoever holds it, until it is deleted.
[[nodiscard]] base::Status make_tun_persistent(const Fd& tun);
/// Of a descriptor that exists already: turns on the widest set that kernel and device accept and
/// tells it. All false, without an error, on a device without the header and on a socket that
/// carries packets in a tun's place.
[[nodiscard]] base::Result<TunOffloads> set_tun_offloads(const Fd& tun);
/// Like open_tun with `multi_queue`, but safe where other users have processes: the device is made
/// and restricted to root in a namespace of its own, then moved into the calling thread's. It keeps
/// its name; its index may change. Conflict when the name is taken. Needs CAP_SYS_ADMIN.
[[nodiscard]] base::Result<Tun> open_private_tun(TunOptions options);

/// One packet, behind the header if the device has one; the size read, 0 when none waits (EAGAIN).
/// HOT PATH
[[nodiscard]] base::Result<std::size_t> read_packet(const Fd& tun, base::MutableBytes buffer);
/// One packet; false when the queue is full, the link is down or the kernel finds the packet
/// malformed (the packet is lost).  HOT PATH
[[nodiscard]] base::Result<bool> write_packet(const Fd& tun, base::Bytes packet);
/// The most pieces of one packet: a header and 64 payloads.
inline constexpr std::size_t kTunPiecesMax = 65;
/// One packet that lies in pieces, at most kTunPiecesMax; else as write_packet.  HOT PATH
[[nodiscard]] base::Result<bool> write_pieces(const Fd& tun, std::span<const base::Bytes> pieces);

}  // namespace warren::os
