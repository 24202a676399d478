// Theory of operation
//
// The header, its size and the offloads belong to the device. The kernel takes them over from the
// first queue that attaches to a persistent device and ignores what later queues ask for; so after
// every attachment the device is asked what it has. A device that an older release made without the
// header gets it with the first queue of this one.
//
// Offloads are probed from the widest set down; a kernel refuses a set whole when it does not know
// one of its bits. Segmentation of TCP with ECN's CWR is not asked for: the kernel then cuts such a
// packet itself, and CWR is on its first segment alone.
//
// Until a device is restricted, any local user may attach a queue to it, and what that queue has
// set by then stays. Where other users have processes a multi-queue device is therefore made in a
// namespace that nobody can enter, and moved when it is restricted.
#include "os/tun.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/assert.hpp"
#include "os/netns.hpp"
#include "os/rtnl.hpp"

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

constexpr unsigned kUso4 = 0x20;  // TUN_F_USO4 and TUN_F_USO6: Linux 6.2, missing in older headers
constexpr unsigned kUso6 = 0x40;
constexpr int kHeaderSize = 10;

base::Result<Fd> open_clone_device() {
  Fd device(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (device) return device;
  base::Error error = os_error("open /dev/net/tun");
  switch (error.os_errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return std::move(error).with_hint(
          "load the tun module (modprobe tun), or pass --device /dev/net/tun to the container");
    case EACCES:
      return std::move(error).with_hint(
          "let users open it (chmod 0666 /dev/net/tun, and a udev rule that keeps it so), or run "
          "as root");
    case EPERM:
      return std::move(error).with_hint(
          "the container's device rules forbid it: pass --device /dev/net/tun to the container");
    default:
      return error;
  }
}

base::Error attach_error(const std::string& name, int error_number) {
  base::Error error = os_error("create interface " + name, error_number);
  switch (error_number) {
    case EPERM:
      return std::move(error).with_hint(
          "this needs CAP_NET_ADMIN in the network namespace (root, or a user namespace that owns "
          "it)");
    case EBUSY:
      return std::move(error).with_hint(
          "another program holds this interface: stop it, or choose "
          "another name");
    case EINVAL:
      return std::move(error).with_hint(
          "an interface of this name and of another kind exists: "
          "choose another name");
    default:
      return error;
  }
}

base::Status restrict_to_root(const Fd& device, const std::string& name) {
  if (ioctl(device.get(), TUNSETOWNER, 0UL) < 0 || ioctl(device.get(), TUNSETGROUP, 0UL) < 0)
    return os_error("restrict interface " + name + " to root");
  return {};
}

base::Result<bool> has_header(const Fd& tun) {
  ifreq request{};
  if (ioctl(tun.get(), TUNGETIFF, &request) < 0) return os_error("read the kind of the interface");
  return (request.ifr_flags & IFF_VNET_HDR) != 0;
}

/// Whether a failed write is only this packet's.
bool packet_lost(int error_number) {
  switch (error_number) {
    case EAGAIN:  // the queue is full
    case ENOBUFS:
    case ENOMEM:
    case EIO:     // the link is down
    case EINVAL:  // no packet to the kernel
    case EMSGSIZE:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::uint8_t TunOffloads::to_byte() const {
  unsigned bits = 0;
  unsigned bit = 1;
  for (const bool has : {vnet_header, checksum, tcp4, tcp6, udp4, udp6}) {
    if (has) bits |= bit;
    bit <<= 1;
  }
  return static_cast<std::uint8_t>(bits);
}

TunOffloads TunOffloads::from_byte(std::uint8_t bits) {
  return {.vnet_header = (bits & 1) != 0,
          .checksum = (bits & 2) != 0,
          .tcp4 = (bits & 4) != 0,
          .tcp6 = (bits & 8) != 0,
          .udp4 = (bits & 16) != 0,
          .udp6 = (bits & 32) != 0};
}

base::Result<TunOffloads> set_tun_offloads(const Fd& tun) {
  struct stat what{};
  if (fstat(tun.get(), &what) == 0 && S_ISSOCK(what.st_mode)) return TunOffloads{};
  WARREN_TRY_ASSIGN(const bool header, has_header(tun));
  if (!header) return TunOffloads{};
  if (ioctl(tun.get(), TUNSETVNETHDRSZ, &kHeaderSize) < 0)
    return os_error("set the header size of the interface");
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  for (const unsigned wanted : {kTcp | kUso4 | kUso6, kTcp, unsigned{TUN_F_CSUM}, 0U}) {
    if (ioctl(tun.get(), TUNSETOFFLOAD, static_cast<unsigned long>(wanted)) < 0) {
      if (errno == EINVAL) continue;
      return os_error("set the offloads of the interface");
    }
    return TunOffloads{.vnet_header = true,
                       .checksum = (wanted & TUN_F_CSUM) != 0,
                       .tcp4 = (wanted & TUN_F_TSO4) != 0,
                       .tcp6 = (wanted & TUN_F_TSO6) != 0,
                       .udp4 = (wanted & kUso4) != 0,
                       .udp6 = (wanted & kUso6) != 0};
  }
  return TunOffloads{.vnet_header = true};
}

base::Status make_tun_persistent(const Fd& tun) {
  if (ioctl(tun.get(), TUNSETPERSIST, 1UL) < 0) return os_error("make the interface persistent");
  return {};
}

base::Result<Tun> open_tun(const TunOptions& options) {
  ifreq request{};
  if (options.name.size() >= sizeof request.ifr_name)
    return make_error(ErrorKind::Invalid, "the interface name '" + options.name + "' is too long",
                      "use at most 15 characters");
  std::memcpy(request.ifr_name, options.name.data(), options.name.size());
  int flags = IFF_NO_PI | (options.tap ? IFF_TAP : IFF_TUN);
  if (options.multi_queue) flags |= IFF_MULTI_QUEUE;
  if (options.vnet_header || options.offloads) flags |= IFF_VNET_HDR;
  request.ifr_flags = static_cast<short>(flags);

  WARREN_TRY_ASSIGN(Fd device, open_clone_device());
  if (ioctl(device.get(), TUNSETIFF, &request) < 0) return attach_error(options.name, errno);
  const std::string name(request.ifr_name, strnlen(request.ifr_name, sizeof request.ifr_name));
  if (options.restrict_to_root) WARREN_TRY(restrict_to_root(device, name));
  if (options.persistent) WARREN_TRY(make_tun_persistent(device).within(name));
  Tun tun{.descriptor = std::move(device), .name = name};
  if (options.offloads) {
    WARREN_TRY_ASSIGN(tun.offloads, set_tun_offloads(tun.descriptor));
  } else {
    WARREN_TRY_ASSIGN(tun.offloads.vnet_header, has_header(tun.descriptor));
  }
  return tun;
}

base::Result<Tun> open_tun_queue(const std::string& name) {
  // Attaching would create a device that has gone.
  WARREN_TRY_ASSIGN(Rtnl rtnl, Rtnl::open());
  WARREN_TRY(rtnl.link(name));
  return open_tun({.name = name, .multi_queue = true, .offloads = true});
}

base::Result<Tun> open_private_tun(TunOptions options) {
  options.multi_queue = true;
  options.restrict_to_root = true;
  WARREN_TRY_ASSIGN(const Fd home, current_netns());
  std::optional<Tun> made;
  const auto make = [&]() -> base::Status {
    WARREN_TRY_ASSIGN(Tun tun, open_tun(options));
    WARREN_TRY_ASSIGN(Rtnl rtnl, Rtnl::open());
    WARREN_TRY(rtnl.move_to_netns(tun.name, home));
    made.emplace(std::move(tun));
    return {};
  };
  WARREN_TRY(in_new_netns(make));
  return std::move(*made);
}

// The calls below are made past the C library, whose own are cancellation points: as soon as a
// program has a second thread that costs two atomic exchanges each, a tenth of the time at small
// packets.

base::Result<std::size_t> read_packet(const Fd& tun, base::MutableBytes buffer) {
  while (true) {
    const long got = syscall(SYS_read, tun.get(), buffer.data(), buffer.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return os_error("read from the interface");
  }
}

base::Result<bool> write_packet(const Fd& tun, base::Bytes packet) {
  while (syscall(SYS_write, tun.get(), packet.data(), packet.size()) < 0) {
    if (errno == EINTR) continue;
    if (packet_lost(errno)) return false;
    return os_error("write to the interface");
  }
  return true;
}

base::Result<bool> write_pieces(const Fd& tun, std::span<const base::Bytes> pieces) {
  WARREN_ASSERT(pieces.size() <= kTunPiecesMax);
  std::array<iovec, kTunPiecesMax> vectors;
  for (std::size_t i = 0; i < pieces.size(); ++i)
    vectors[i] = {.iov_base = const_cast<std::uint8_t*>(pieces[i].data()),
                  .iov_len = pieces[i].size()};
  while (syscall(SYS_writev, tun.get(), vectors.data(), pieces.size()) < 0) {
    if (errno == EINTR) continue;
    if (packet_lost(errno)) return false;
    return os_error("write to the interface");
  }
  return true;
}

}  // namespace warren::os
