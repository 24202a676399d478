#include "os/tun.hpp"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace warren::os {

using base::ErrorKind;
using base::make_error;
using base::os_error;

namespace {

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

}  // namespace

base::Result<Tun> open_tun(const TunOptions& options) {
  ifreq request{};
  if (options.name.size() >= sizeof request.ifr_name)
    return make_error(ErrorKind::Invalid, "the interface name '" + options.name + "' is too long",
                      "use at most 15 characters");
  std::memcpy(request.ifr_name, options.name.data(), options.name.size());
  int flags = IFF_NO_PI | (options.tap ? IFF_TAP : IFF_TUN);
  if (options.multi_queue) flags |= IFF_MULTI_QUEUE;
  if (options.vnet_header) flags |= IFF_VNET_HDR;
  request.ifr_flags = static_cast<short>(flags);

  WARREN_TRY_ASSIGN(Fd device, open_clone_device());
  if (ioctl(device.get(), TUNSETIFF, &request) < 0) return attach_error(options.name, errno);
  const std::string name(request.ifr_name, strnlen(request.ifr_name, sizeof request.ifr_name));
  if (options.restrict_to_root) WARREN_TRY(restrict_to_root(device, name));
  if (options.persistent && ioctl(device.get(), TUNSETPERSIST, 1UL) < 0)
    return os_error("make interface " + name + " persistent");
  return Tun{.descriptor = std::move(device), .name = name};
}

base::Result<std::size_t> read_packet(const Fd& tun, base::MutableBytes buffer) {
  while (true) {
    const ssize_t got = read(tun.get(), buffer.data(), buffer.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return os_error("read from the interface");
  }
}

base::Result<bool> write_packet(const Fd& tun, base::Bytes packet) {
  while (write(tun.get(), packet.data(), packet.size()) < 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:  // the queue is full
      case ENOBUFS:
      case ENOMEM:
      case EIO:     // the link is down
      case EINVAL:  // no packet to the kernel
      case EMSGSIZE:
        return false;
      default:
        return os_error("write to the interface");
    }
  }
  return true;
}

}  // namespace warren::os
