// Theory of operation
//
// Each datagram carries its addresses and traffic class in control messages: what came in says
// which local address it came to, and the answer leaves from there. All arrays live on the stack
// and are as large as one batch; nothing here allocates.
//
// The outer header follows the kernel's WireGuard: datagrams may be fragmented (no DF), and the
// source address of an answer is asked for without forcing the interface, so that routing stays
// free to move; only a link-local IPv6 source needs its interface. A source address that the host
// has lost gives EINVAL or, in newer kernels, ENETUNREACH: the datagram goes out again with the
// source left to the kernel.
#include "os/udp.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace warren::os {

using base::Family;
using base::os_error;

namespace {

// Address, traffic class, segment size.
constexpr std::size_t kControlSize =
    CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int));

struct alignas(cmsghdr) Control {
  std::uint8_t bytes[kControlSize];
};

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

base::Status set_option(const Fd& socket, int level, int option, int value, const char* what) {
  if (setsockopt(socket.get(), level, option, &value, sizeof value) < 0)
    return os_error(std::string("set ") + what + " of a UDP socket");
  return {};
}

base::Status set_family_options(const Fd& socket, Family family) {
  if (family == Family::V4) {
    WARREN_TRY(set_option(socket, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO"));
    WARREN_TRY(set_option(socket, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS"));
    return set_option(socket, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "IP_MTU_DISCOVER");
  }
  WARREN_TRY(set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  WARREN_TRY(set_option(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"));
  WARREN_TRY(set_option(socket, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS"));
  return set_option(socket, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT,
                    "IPV6_MTU_DISCOVER");
}

/// The FORCE variant passes net.core.{r,w}mem_max and needs CAP_NET_ADMIN.
base::Status set_buffer(const Fd& socket, int forced, int plain, int size) {
  if (setsockopt(socket.get(), SOL_SOCKET, forced, &size, sizeof size) == 0) return {};
  return set_option(socket, SOL_SOCKET, plain, size, "the buffer size");
}

socklen_t fill_address(SocketAddress& out, const base::Endpoint& endpoint) {
  const base::Bytes bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    out.v4 = {};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    std::memcpy(&out.v4.sin_addr, bytes.data(), bytes.size());
    return sizeof out.v4;
  }
  out.v6 = {};
  out.v6.sin6_family = AF_INET6;
  out.v6.sin6_port = htons(endpoint.port);
  out.v6.sin6_scope_id = endpoint.scope;
  std::memcpy(&out.v6.sin6_addr, bytes.data(), bytes.size());
  return sizeof out.v6;
}

template <typename Raw>
base::IpAddress address_of(const Raw& raw) {
  std::array<std::uint8_t, sizeof(Raw)> bytes;
  std::memcpy(bytes.data(), &raw, sizeof raw);
  if constexpr (sizeof(Raw) == 4)
    return base::IpAddress::v4(bytes);
  else
    return base::IpAddress::v6(bytes);
}

base::Endpoint endpoint_of(const SocketAddress& raw) {
  if (raw.any.sa_family == AF_INET)
    return {.address = address_of(raw.v4.sin_addr), .port = ntohs(raw.v4.sin_port)};
  return {.address = address_of(raw.v6.sin6_addr),
          .port = ntohs(raw.v6.sin6_port),
          .scope = raw.v6.sin6_scope_id};
}

/// Appends one control message; `used` grows by its space.
template <typename Payload>
void append_control(Control& control, std::size_t& used, int level, int type,
                    const Payload& payload) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof payload);
  std::memcpy(control.bytes + used, &header, sizeof header);
  std::memcpy(control.bytes + used + CMSG_LEN(0), &payload, sizeof payload);
  used += CMSG_SPACE(sizeof payload);
}

bool is_train(const UdpToSend& item) {
  return item.segment_size != 0 && item.segment_size < item.bytes.size();
}

std::size_t fill_control(Control& control, const UdpToSend& datagram, bool with_source) {
  std::size_t used = 0;
  const bool v4 = datagram.remote.address.is_v4();
  const LocalAddress& local = datagram.local;
  if (with_source && local.known && local.address.is_v4() == v4) {
    const base::Bytes bytes = local.address.bytes();
    if (v4) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, bytes.data(), bytes.size());
      append_control(control, used, IPPROTO_IP, IP_PKTINFO, info);
    } else {
      in6_pktinfo info{};
      std::memcpy(&info.ipi6_addr, bytes.data(), bytes.size());
      if (local.address.is_link_local()) info.ipi6_ifindex = local.interface_index;
      append_control(control, used, IPPROTO_IPV6, IPV6_PKTINFO, info);
    }
  }
  if (datagram.traffic_class != 0)
    append_control(control, used, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS,
                   int{datagram.traffic_class});
  if (is_train(datagram))
    append_control(control, used, SOL_UDP, UDP_SEGMENT, datagram.segment_size);
  return used;
}

void read_control(msghdr& message, UdpReceived& slot) {
  slot.local = {};
  slot.traffic_class = 0;
  slot.segment_size = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    const unsigned char* data = CMSG_DATA(header);
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, data, sizeof info);
      slot.local = {.address = address_of(info.ipi_addr),
                    .interface_index = static_cast<std::uint32_t>(info.ipi_ifindex),
                    .known = true};
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, data, sizeof info);
      slot.local = {.address = address_of(info.ipi6_addr),
                    .interface_index = info.ipi6_ifindex,
                    .known = true};
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
      slot.traffic_class = *data;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
      int value = 0;
      std::memcpy(&value, data, sizeof value);
      slot.traffic_class = static_cast<std::uint8_t>(value);
    } else if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
      int value = 0;
      std::memcpy(&value, data, sizeof value);
      slot.segment_size = static_cast<std::uint16_t>(value);
    }
  }
}

}  // namespace

base::Result<Fd> open_udp(const UdpOptions& options) {
  const bool v4 = options.family == Family::V4;
  Fd socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return os_error(v4 ? "create a UDP socket" : "create an IPv6 UDP socket");
  WARREN_TRY(set_family_options(socket, options.family));
  WARREN_TRY(set_buffer(socket, SO_RCVBUFFORCE, SO_RCVBUF, options.buffer_bytes));
  WARREN_TRY(set_buffer(socket, SO_SNDBUFFORCE, SO_SNDBUF,
                        std::min(options.buffer_bytes, options.send_buffer_bytes)));
  if (options.reuse_port)
    WARREN_TRY(set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"));
  if (options.mark != 0) WARREN_TRY(set_mark(socket, options.mark));

  const base::IpAddress any = v4 ? base::IpAddress() : base::IpAddress::v6({});
  const base::Endpoint local{.address = options.address.value_or(any), .port = options.port};
  SocketAddress address;
  const socklen_t size = fill_address(address, local);
  if (bind(socket.get(), &address.any, size) < 0) {
    base::Error error = os_error(
        "bind UDP port " + (options.address ? local.to_string() : std::to_string(options.port)));
    if (error.os_errno == EADDRNOTAVAIL)
      return std::move(error).with_hint("this host has no such address: `ip address` lists them");
    if (error.os_errno == EADDRINUSE)
      return std::move(error).with_hint(
          "another program uses this port (`ss -ulpn` names it): "
          "stop it or choose another port");
    if (error.os_errno == EACCES)
      return std::move(error).with_hint("ports below 1024 need privileges: choose a higher one");
    return error;
  }
  return socket;
}

base::Result<std::uint16_t> local_port(const Fd& socket) {
  SocketAddress address;
  socklen_t size = sizeof address;
  if (getsockname(socket.get(), &address.any, &size) < 0)
    return os_error("read the port of a UDP socket");
  return endpoint_of(address).port;
}

base::Status set_mark(const Fd& socket, std::uint32_t mark) {
  if (setsockopt(socket.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
    return os_error("set the firewall mark of a UDP socket")
        .with_hint("a mark needs CAP_NET_ADMIN");
  return {};
}

base::Status share_port(const Fd& socket) {
  return set_option(socket, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
}

base::Result<UdpOffloads> enable_udp_offloads(const Fd& socket) {
  UdpOffloads out;
  int value = 0;
  socklen_t size = sizeof value;
  const auto missing = [] { return errno == ENOPROTOOPT || errno == EOPNOTSUPP; };
  if (getsockopt(socket.get(), SOL_UDP, UDP_SEGMENT, &value, &size) == 0)
    out.segment = true;
  else if (!missing())
    return os_error("probe the offloads of a UDP socket");
  const int on = 1;
  if (setsockopt(socket.get(), SOL_UDP, UDP_GRO, &on, sizeof on) == 0)
    out.gro = true;
  else if (!missing())
    return os_error("set UDP_GRO of a UDP socket");
  return out;
}

base::Result<std::size_t> receive_batch(const Fd& socket, std::span<UdpReceived> slots) {
  const std::size_t room = std::min(slots.size(), kUdpBatchMax);
  mmsghdr messages[kUdpBatchMax];
  iovec pieces[kUdpBatchMax];
  SocketAddress remotes[kUdpBatchMax];
  Control controls[kUdpBatchMax];
  for (std::size_t i = 0; i < room; ++i) {
    pieces[i] = {.iov_base = slots[i].buffer.data(), .iov_len = slots[i].buffer.size()};
    messages[i].msg_hdr = {.msg_name = &remotes[i],
                           .msg_namelen = sizeof remotes[i],
                           .msg_iov = &pieces[i],
                           .msg_iovlen = 1,
                           .msg_control = controls[i].bytes,
                           .msg_controllen = sizeof controls[i].bytes,
                           .msg_flags = 0};
  }
  const int got =
      recvmmsg(socket.get(), messages, static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return std::size_t{0};
    return os_error("receive datagrams");
  }
  const auto count = static_cast<std::size_t>(got);
  for (std::size_t i = 0; i < count; ++i) {
    slots[i].size = messages[i].msg_len;
    slots[i].truncated = (messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    slots[i].remote = endpoint_of(remotes[i]);
    read_control(messages[i].msg_hdr, slots[i]);
  }
  return count;
}

namespace {

enum class SendFailure { Again, ThisDatagram, Socket };

SendFailure failure_of(int error_number) {
  switch (error_number) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return SendFailure::Again;
    case EBADF:
    case ENOTSOCK:
    case EFAULT:
      return SendFailure::Socket;
    default:
      return SendFailure::ThisDatagram;
  }
}

/// What a train may be refused for and its datagrams not. Anything else (no route, a filter) holds
/// for each of them, and asking 64 times would cost as much as sending.
bool refuses_trains(int error_number) {
  return error_number == EIO || error_number == EINVAL || error_number == EMSGSIZE;
}

bool may_be_stale_source(int error_number) {
  return error_number == EINVAL || error_number == ENETUNREACH || error_number == EADDRNOTAVAIL;
}

/// Messages over a row of items, all on the stack.
struct Messages {
  mmsghdr headers[kUdpBatchMax];
  iovec pieces[kUdpBatchMax];
  SocketAddress remotes[kUdpBatchMax];
  Control controls[kUdpBatchMax];

  void fill(std::size_t i, const UdpToSend& item, bool with_source) {
    pieces[i] = {.iov_base = const_cast<std::uint8_t*>(item.bytes.data()),
                 .iov_len = item.bytes.size()};
    const std::size_t used = fill_control(controls[i], item, with_source);
    headers[i].msg_hdr = {.msg_name = &remotes[i],
                          .msg_namelen = fill_address(remotes[i], item.remote),
                          .msg_iov = &pieces[i],
                          .msg_iovlen = 1,
                          .msg_control = used == 0 ? nullptr : controls[i].bytes,
                          .msg_controllen = used,
                          .msg_flags = 0};
  }
};

/// 0, or why it was not sent.
int send_one(const Fd& socket, const UdpToSend& item, bool with_source) {
  Control control;
  SocketAddress remote;
  iovec piece = {.iov_base = const_cast<std::uint8_t*>(item.bytes.data()),
                 .iov_len = item.bytes.size()};
  const std::size_t used = fill_control(control, item, with_source);
  const msghdr message = {.msg_name = &remote,
                          .msg_namelen = fill_address(remote, item.remote),
                          .msg_iov = &piece,
                          .msg_iovlen = 1,
                          .msg_control = used == 0 ? nullptr : control.bytes,
                          .msg_controllen = used,
                          .msg_flags = 0};
  while (sendmsg(socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

/// One datagram of `train`; a stale source address is left out. 0, or why it was not sent.
int send_segment(const Fd& socket, const UdpToSend& segment) {
  const int error_number = send_one(socket, segment, true);
  if (!may_be_stale_source(error_number) || !segment.local.known) return error_number;
  return send_one(socket, segment, false);
}

struct SplitResult {
  std::size_t bytes = 0;  ///< of the train, gone or refused
  std::size_t sent = 0;   ///< datagrams
  int error_number = 0;   ///< why it stopped, or the last refusal
};

/// The next datagrams of a train, up to a batch of them, one sendmmsg; then, for the first that is
/// not sent, its reason.
SplitResult send_some_segments(const Fd& socket, const UdpToSend& train) {
  Messages messages;
  std::size_t count = 0;
  UdpToSend segment = train;
  segment.segment_size = 0;
  for (base::Bytes rest = train.bytes; !rest.empty() && count < kUdpBatchMax; ++count) {
    segment.bytes = rest.first(std::min<std::size_t>(rest.size(), train.segment_size));
    messages.fill(count, segment, true);
    rest = rest.subspan(segment.bytes.size());
  }
  SplitResult result;
  const int done = sendmmsg(socket.get(), messages.headers, static_cast<unsigned>(count),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
  if (done > 0) {
    result.sent = static_cast<std::size_t>(done);
    result.bytes = std::min(result.sent * train.segment_size, train.bytes.size());
    return result;
  }
  segment.bytes = train.bytes.first(std::min<std::size_t>(train.bytes.size(), train.segment_size));
  result.error_number = send_segment(socket, segment);
  if (result.error_number == 0) result.sent = 1;
  if (result.error_number == 0 || failure_of(result.error_number) == SendFailure::ThisDatagram)
    result.bytes = segment.bytes.size();
  return result;
}

/// The whole train, datagram by datagram.
SplitResult send_split(const Fd& socket, UdpToSend train) {
  SplitResult all;
  while (!train.bytes.empty()) {
    const SplitResult some = send_some_segments(socket, train);
    all.sent += some.sent;
    all.bytes += some.bytes;
    all.error_number = some.error_number;
    if (some.bytes == 0) return all;
    train.bytes = train.bytes.subspan(some.bytes);
  }
  return all;
}

/// What became of an item that sendmmsg stopped at.
enum class ItemFate { Sent, Refused, Full };

base::Result<ItemFate> fate_of(const Fd& socket, const UdpToSend& item, int error_number,
                               SendOutcome& outcome) {
  if (may_be_stale_source(error_number) && item.local.known) {
    error_number = send_one(socket, item, false);
    if (error_number == 0) return ItemFate::Sent;
  }
  SendFailure failure = failure_of(error_number);
  if (is_train(item) && refuses_trains(error_number)) {
    if (error_number == EIO) outcome.trains_unsupported = true;
    const SplitResult split = send_split(socket, item);
    if (split.bytes == item.bytes.size()) {
      if (split.sent == 0) return ItemFate::Refused;
      ++outcome.split;
      return ItemFate::Sent;
    }
    outcome.partial = split.bytes;
    error_number = split.error_number;
    failure = failure_of(error_number);
  }
  switch (failure) {
    case SendFailure::Again:
      return ItemFate::Full;
    case SendFailure::ThisDatagram:
      return ItemFate::Refused;
    case SendFailure::Socket:
      break;
  }
  return os_error("send datagrams", error_number);
}

/// At most a batch; false when the socket is full.
base::Result<bool> send_chunk(const Fd& socket, std::span<const UdpToSend> chunk,
                              SendOutcome& outcome) {
  Messages messages;
  for (std::size_t i = 0; i < chunk.size(); ++i) messages.fill(i, chunk[i], true);
  for (std::size_t next = 0; next < chunk.size();) {
    const int done =
        sendmmsg(socket.get(), messages.headers + next, static_cast<unsigned>(chunk.size() - next),
                 MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done > 0) {
      next += static_cast<std::size_t>(done);
      outcome.sent += static_cast<std::size_t>(done);
      continue;
    }
    const int error_number = errno;
    if (error_number == EINTR) continue;
    WARREN_TRY_ASSIGN(const ItemFate fate, fate_of(socket, chunk[next], error_number, outcome));
    if (fate == ItemFate::Full) return false;
    ++(fate == ItemFate::Sent ? outcome.sent : outcome.refused);
    ++next;
  }
  return true;
}

}  // namespace

base::Result<SendOutcome> send_batch(const Fd& socket, std::span<const UdpToSend> items) {
  SendOutcome outcome;
  while (!items.empty()) {
    const auto chunk = items.first(std::min(items.size(), kUdpBatchMax));
    WARREN_TRY_ASSIGN(const bool room, send_chunk(socket, chunk, outcome));
    if (!room) break;
    items = items.subspan(chunk.size());
  }
  return outcome;
}

}  // namespace warren::os
