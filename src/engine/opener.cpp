#include "engine/opener.hpp"

#include "engine/limits.hpp"
#include "os/udp.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

namespace {

struct UdpPair {
  os::Fd v4;
  os::Fd v6;
  std::uint16_t port = 0;
};

/// The host has no such address family (built without it, or switched off).
bool lacks_family(int error) {
  return error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT;
}

/// Empty when the host lacks the family.
base::Result<os::Fd> open_family(base::Family family, std::uint16_t port, std::uint32_t mark,
                                 bool join = false) {
  auto socket = os::open_udp({.family = family, .port = port, .mark = mark, .reuse_port = join});
  if (!socket && lacks_family(socket.error().os_errno)) return os::Fd();
  return socket;
}

base::Result<UdpPair> open_pair_once(std::uint16_t port, std::uint32_t mark) {
  UdpPair pair{.port = port};
  WARREN_TRY_ASSIGN(pair.v4, open_family(base::Family::V4, port, mark));
  if (pair.v4) {
    WARREN_TRY_ASSIGN(pair.port, os::local_port(pair.v4));
  }
  WARREN_TRY_ASSIGN(pair.v6, open_family(base::Family::V6, pair.port, mark));
  if (pair.v6) {
    WARREN_TRY_ASSIGN(pair.port, os::local_port(pair.v6));
  }
  if (!pair.v4 && !pair.v6) return base::os_error("open UDP sockets", EAFNOSUPPORT);
  return pair;
}

/// A port that the kernel chose for IPv4 may be taken for IPv6: then another is tried.
base::Result<UdpPair> open_pair(std::uint16_t port, std::uint32_t mark) {
  for (int attempt = 1;; ++attempt) {
    auto pair = open_pair_once(port, mark);
    if (pair || port != 0 || pair.error().os_errno != EADDRINUSE) return pair;
    if (attempt == kRandomPortAttempts) return pair;
  }
}

/// The workers' sockets may join; the port itself was found free.
base::Status share(const UdpPair& pair) {
  if (pair.v4) WARREN_TRY(os::share_port(pair.v4));
  if (pair.v6) WARREN_TRY(os::share_port(pair.v6));
  return {};
}

int errno_of(const base::Error& error) { return error.os_errno != 0 ? error.os_errno : EIO; }

}  // namespace

base::Result<bool> Opener::handle_readable() {
  auto message = os::receive_message(socket_, ipc::kMaxOpenerMessage);
  if (!message) {
    if (message.error().os_errno == EAGAIN) return true;
    return std::move(message).error();
  }
  if (message->closed) return false;
  WARREN_TRY_ASSIGN(const auto question, ipc::parse_opener(message->bytes));
  const base::Status answered = answer(question);
  if (!answered && answered.error().os_errno == EPIPE) return false;
  if (!answered) return answered.error();
  return true;
}

base::Status Opener::answer(const ipc::OpenerMessage& question) {
  if (const auto* hello = std::get_if<ipc::Hello>(&question.body)) {
    if (hello->version != ipc::kOpenerVersion) {
      return base::make_error(base::ErrorKind::Invalid, "the engine speaks another version",
                              "install warren and warren-engine of one release");
    }
    return greet(question.sequence);
  }
  if (const auto* wanted = std::get_if<ipc::OpenUdp>(&question.body)) {
    return open_udp(question.sequence, *wanted);
  }
  if (const auto* wanted = std::get_if<ipc::OpenWorker>(&question.body)) {
    return open_worker(question.sequence, *wanted);
  }
  if (const auto* mark = std::get_if<ipc::SetMark>(&question.body)) {
    const ipc::Done done{.error = set_mark(mark->mark)};
    return os::send_message(socket_, ipc::write_opener({question.sequence, done}));
  }
  if (std::holds_alternative<ipc::Report>(question.body)) return {};  // nobody asks us for it
  return base::make_error(base::ErrorKind::Invalid, "the engine sent an opener's message");
}

base::Status Opener::greet(std::uint32_t sequence) {
  const ipc::HelloReply reply{.interface_name = resources_.interface_name,
                              .mtu = resources_.mtu,
                              .extension = static_cast<bool>(resources_.extension),
                              .hints = static_cast<bool>(resources_.hints),
                              .exit_with_opener = resources_.exit_with_opener,
                              .tun_offloads = resources_.tun_offloads.to_byte(),
                              .max_workers = resources_.max_workers};
  std::vector<const os::Fd*> descriptors = {&resources_.tun, &resources_.api_listener};
  if (reply.extension) descriptors.push_back(&resources_.extension);
  if (reply.hints) descriptors.push_back(&resources_.hints);
  greeted_ = true;
  return os::send_message(socket_, ipc::write_opener({sequence, reply}), descriptors);
}

base::Status Opener::open_udp(std::uint32_t sequence, const ipc::OpenUdp& wanted) {
  ipc::OpenUdpReply reply;
  std::vector<const os::Fd*> descriptors;
  auto pair = open_pair(wanted.port, wanted.mark);
  if (pair && resources_.max_workers > 1) {
    if (auto shared = share(*pair); !shared) pair = std::move(shared).error();
  }
  if (pair) {
    v4_ = std::move(pair->v4);
    v6_ = std::move(pair->v6);
    port_ = pair->port;
    reply = {
        .port = pair->port, .has_v4 = static_cast<bool>(v4_), .has_v6 = static_cast<bool>(v6_)};
    if (reply.has_v4) descriptors.push_back(&v4_);
    if (reply.has_v6) descriptors.push_back(&v6_);
  } else {
    reply.error = errno_of(pair.error());
  }
  return os::send_message(socket_, ipc::write_opener({sequence, reply}), descriptors);
}

base::Status Opener::open_worker(std::uint32_t sequence, const ipc::OpenWorker& wanted) {
  ipc::OpenWorkerReply reply;
  os::Fd queue;
  os::Fd v4;
  os::Fd v6;
  const auto open = [&]() -> base::Status {
    if (resources_.max_workers <= 1 || port_ == 0 || wanted.port != port_) {
      return base::os_error("open a worker", EINVAL);
    }
    if (v4_) {
      WARREN_TRY_ASSIGN(v4, open_family(base::Family::V4, port_, wanted.mark, true));
    }
    if (v6_) {
      WARREN_TRY_ASSIGN(v6, open_family(base::Family::V6, port_, wanted.mark, true));
    }
    // Last: packets go to a queue as soon as it is there.
    if (wanted.queue) {
      WARREN_TRY_ASSIGN(queue, resources_.open_queue());
    }
    return {};
  };
  std::vector<const os::Fd*> descriptors;
  if (const auto opened = open(); opened) {
    reply = {.has_v4 = static_cast<bool>(v4), .has_v6 = static_cast<bool>(v6)};
    for (const os::Fd* one : {&queue, &v4, &v6}) {
      if (*one) descriptors.push_back(one);
    }
  } else {
    reply.error = errno_of(opened.error());
  }
  return os::send_message(socket_, ipc::write_opener({sequence, reply}), descriptors);
}

int Opener::set_mark(std::uint32_t mark) {
  for (const os::Fd* socket : {&v4_, &v6_}) {
    if (!*socket) continue;
    if (const auto set = os::set_mark(*socket, mark); !set) return set.error().os_errno;
  }
  return v4_ || v6_ ? 0 : ENOTCONN;
}

base::Status Opener::notify(const ipc::OpenerBody& notice) {
  return os::send_message(socket_, ipc::write_opener({0, notice}));
}

}  // namespace warren::engine
