// Theory of operation
//
// A packet socket in the namespace, bound to the tun, gets each packet once per direction with the
// kernel's own time stamp; its file is written by the caller's process, outside. The socket is
// opened in the namespace by a thread of its own and used from the host.
//
// Packets are collected in a buffer that is written when it is full or nothing waits, so that a
// slow disk costs few writes and a reader of a pipe sees a lone packet at once. Segments that the
// kernel has not cut yet (GSO) appear whole, as in any capture.
//
// tcpdump could do it inside the namespace (`warren network exec N -- tcpdump -i …`); this needs no
// program beside ours, for a format of 24 bytes and 16 a packet, and knows a peer by its name.
#include "hostnet/capture.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "hostnet/pcap.hpp"
#include "os/clock.hpp"
#include "os/netns.hpp"

namespace warren::hostnet {

namespace {

constexpr int kReceiveBuffer = 8 << 20;
constexpr std::uint32_t kTurnsBetweenLooks = 256;
constexpr std::size_t kWriteAt = 64 << 10;
constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

/// Whether the packet is from or to one of the addresses.
bool concerns(base::Bytes packet, const std::vector<base::IpAddress>& addresses) {
  if (addresses.empty()) return true;
  constexpr std::size_t kAddresses4 = 12;
  constexpr std::size_t kAddresses6 = 8;
  const bool v4 = !packet.empty() && packet[0] >> 4 == 4;
  const std::size_t start = v4 ? kAddresses4 : kAddresses6;
  const std::size_t length = v4 ? 4 : 16;
  if (packet.size() < start + 2 * length) return false;
  for (const std::size_t at : {start, start + length}) {
    const auto address = base::IpAddress::from_bytes(packet.subspan(at, length));
    if (address && std::ranges::find(addresses, *address) != addresses.end()) return true;
  }
  return false;
}

struct Received {
  base::WallTime time;
  std::size_t kept = 0;
  std::uint32_t length = 0;  ///< 0: nothing waits
};

base::Result<Received> receive(const os::Fd& socket, base::MutableBytes buffer) {
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  alignas(cmsghdr) std::array<std::uint8_t, 128> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t length = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_TRUNC);
  if (length < 0) {
    if (errno == EAGAIN || errno == EINTR || errno == ENETDOWN) return Received{};
    return base::os_error("receive a packet");
  }
  Received out{.time = {},
               .kept = std::min(static_cast<std::size_t>(length), buffer.size()),
               .length = static_cast<std::uint32_t>(length)};
  for (cmsghdr* note = CMSG_FIRSTHDR(&message); note != nullptr;
       note = CMSG_NXTHDR(&message, note)) {
    if (note->cmsg_level != SOL_SOCKET || note->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec stamp{};
    std::memcpy(&stamp, CMSG_DATA(note), sizeof stamp);
    out.time.ns = stamp.tv_sec * kNanosecondsPerSecond + stamp.tv_nsec;
  }
  return out;
}

base::Status write_all(const os::Fd& out, std::vector<std::uint8_t>& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(out.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno != EINTR) return base::os_error("write the capture");
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  bytes.clear();
  return {};
}

bool is_over(int stop, std::optional<base::Instant> end) {
  pollfd asked{.fd = stop, .events = POLLIN, .revents = 0};
  return ::poll(&asked, 1, 0) > 0 || (end && os::now() >= *end);
}

enum class Wake { Packet, Stop };

/// Waits for a packet, `stop` or the end of the time.
base::Result<Wake> wait(const os::Fd& socket, int stop, std::optional<base::Instant> end) {
  for (;;) {
    int timeout_ms = -1;
    if (end) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*end - os::now()).count();
      if (left <= 0) return Wake::Stop;
      timeout_ms = static_cast<int>(std::min<std::int64_t>(left, 1'000'000));
    }
    std::array<pollfd, 2> waits{pollfd{.fd = socket.get(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = stop, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(waits.data(), waits.size(), timeout_ms);
    if (ready < 0 && errno != EINTR) return base::os_error("wait for packets");
    if (ready <= 0) continue;
    if (waits[1].revents != 0) return Wake::Stop;
    if ((waits[0].revents & POLLIN) != 0) return Wake::Packet;
    return base::make_error(base::ErrorKind::Failed, "the network's interface is gone");
  }
}

std::uint64_t dropped_by(const os::Fd& socket) {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  if (::getsockopt(socket.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return 0;
  return statistics.tp_drops;
}

base::Result<os::Fd> open_socket(const std::string& link) {
  // Without a protocol it sees nothing before it is bound to its one link.
  os::Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return base::os_error("open a packet socket");
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) != 0) {
    return base::os_error("ask for time stamps");
  }
  // As much as is allowed; a smaller one only drops sooner, which is counted.
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer,
                   sizeof kReceiveBuffer) != 0) {
    (void)::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
  }
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(link.c_str()));
  if (address.sll_ifindex == 0) return base::os_error("find the interface " + link);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return base::os_error("watch the interface " + link);
  }
  return socket;
}

}  // namespace

base::Result<os::Fd> open_capture(const CaptureOptions& options) {
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(options.netns));
  os::Fd socket;
  WARREN_TRY(os::in_netns(space, [&]() -> base::Status {
    WARREN_TRY_ASSIGN(socket, open_socket(options.link));
    return {};
  }));
  return socket;
}

base::Result<CaptureReport> capture(const os::Fd& socket, const CaptureOptions& options,
                                    const os::Fd& out, int stop) {
  std::optional<base::Instant> end;
  if (options.at_most) end = os::now() + *options.at_most;
  std::vector<std::uint8_t> pending;
  append_pcap_header(pending);
  std::vector<std::uint8_t> buffer(kPcapSnapLength);
  CaptureReport report;
  const auto is_full = [&] { return options.count && report.packets >= *options.count; };
  for (std::uint32_t turn = 1; !is_full(); ++turn) {
    // Where packets never end, the rest is looked at now and then.
    if (turn % kTurnsBetweenLooks == 0 && is_over(stop, end)) break;
    WARREN_TRY_ASSIGN(const Received packet, receive(socket, buffer));
    if (packet.length == 0) {
      WARREN_TRY(write_all(out, pending));
      WARREN_TRY_ASSIGN(const Wake wake, wait(socket, stop, end));
      if (wake == Wake::Stop) break;
      continue;
    }
    const base::Bytes kept = base::Bytes(buffer).first(packet.kept);
    if (!concerns(kept, options.only)) continue;
    append_pcap_packet(pending, packet.time, kept, packet.length);
    ++report.packets;
    if (pending.size() < kWriteAt) continue;
    WARREN_TRY(write_all(out, pending));
  }
  WARREN_TRY(write_all(out, pending));
  report.dropped = dropped_by(socket);
  return report;
}

base::Status enter_namespace(const std::string& netns) {
  WARREN_TRY_ASSIGN(const os::Fd space, os::open_named_netns(netns));
  if (::setns(space.get(), CLONE_NEWNET) == 0) return {};
  return base::os_error("enter the namespace " + netns);
}

}  // namespace warren::hostnet
