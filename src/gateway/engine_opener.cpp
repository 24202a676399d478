// Theory of operation
//
// An engine asks four things: its descriptors (once), a pair of UDP sockets, another mark, and what
// a further worker needs. Of the last nothing is kept: the daemon holds the descriptors of many
// networks, and a successor asks again. The sockets of the last request are kept. A successor that
// asks for the same port gets the same open sockets: the port is never free in between, and what
// arrived meanwhile is still in their buffers. A request that fails changes nothing: the engine
// goes on with the sockets it has.
#include "gateway/engine_opener.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>

#include "gateway/limits.hpp"
#include "os/udp.hpp"
#include "os/unix_socket.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::make_error;

namespace {

/// Errors that mean that the host has no such family.
bool family_missing(const base::Error& error) {
  return error.os_errno == EAFNOSUPPORT || error.os_errno == EADDRNOTAVAIL;
}
int errno_of(const base::Error& error) { return error.os_errno != 0 ? error.os_errno : EIO; }

}  // namespace

void EngineOpener::attach(os::Fd channel) {
  channel_ = std::move(channel);
  greeted_ = false;
  broken_ = false;
  report_.reset();
}

void EngineOpener::attach_adopted(os::Fd channel, std::uint16_t port, std::uint32_t mark) {
  channel_ = std::move(channel);
  greeted_ = true;
  broken_ = false;
  report_.reset();
  open_port_ = port;
  mark_ = mark;
}

void EngineOpener::detach() {
  channel_.reset();
  greeted_ = false;
  report_.reset();
}

bool EngineOpener::handle_readable() {
  for (unsigned answered = 0; channel_ && !broken_; ++answered) {
    // An engine that asks without end must not keep the daemon's only thread: the rest waits.
    if (answered == kOpenerQuestionsPerTurn) return true;
    auto message = os::receive_message(channel_, ipc::kMaxOpenerMessage);
    if (!message && message.error().os_errno == EAGAIN) return true;
    if (!message || message->closed) return false;
    base::Status status;
    if (auto question = ipc::parse_opener(message->bytes); question)
      status = answer(*question);
    else
      status = std::move(question).error();
    if (!status) {
      broken_ = true;
      log_.write(base::LogLevel::Warning, "gateway",
                 policy_.interface_name + ": " + status.error().message);
      return false;
    }
  }
  return false;
}

void EngineOpener::notify(const ipc::OpenerBody& notice) {
  if (!channel_) return;
  const auto bytes = ipc::write_opener({.sequence = 0, .body = notice});
  if (auto status = os::send_message(channel_, bytes); !status)
    log_.write(base::LogLevel::Debug, "gateway",
               policy_.interface_name + ": notice lost: " + status.error().message);
}

base::Status EngineOpener::answer(const ipc::OpenerMessage& question) {
  if (const auto* hello = std::get_if<ipc::Hello>(&question.body))
    return answer_hello(question.sequence, *hello);
  if (const auto* request = std::get_if<ipc::OpenUdp>(&question.body))
    return answer_open(question.sequence, *request);
  if (const auto* request = std::get_if<ipc::OpenWorker>(&question.body))
    return answer_worker(question.sequence, *request);
  if (const auto* request = std::get_if<ipc::SetMark>(&question.body))
    return reply(question.sequence, ipc::Done{.error = apply_mark(request->mark)});
  if (const auto* report = std::get_if<ipc::Report>(&question.body)) {
    report_ = *report;
    return {};
  }
  return make_error(ErrorKind::Invalid, "the engine sent a message that only openers send");
}

base::Status EngineOpener::answer_hello(std::uint32_t sequence, const ipc::Hello& hello) {
  if (greeted_) return make_error(ErrorKind::Invalid, "the engine said hello twice");
  if (hello.version != ipc::kOpenerVersion)
    return make_error(ErrorKind::Invalid,
                      "the engine speaks version " + std::to_string(hello.version) +
                          " of the opener protocol, this daemon version " +
                          std::to_string(ipc::kOpenerVersion),
                      "install warren and warren-engine of the same release");
  greeted_ = true;
  return reply(sequence,
               ipc::HelloReply{.interface_name = policy_.interface_name,
                               .mtu = policy_.mtu,
                               .extension = true,
                               .hints = true,
                               .exit_with_opener = false,
                               .tun_offloads = descriptors_.tun_offloads.to_byte(),
                               .max_workers = policy_.max_workers},
               {&descriptors_.tun, &descriptors_.api_listener, &descriptors_.control_listener,
                &descriptors_.hints});
}

base::Status EngineOpener::answer_open(std::uint32_t sequence, const ipc::OpenUdp& request) {
  const ipc::OpenUdpReply answer = open_sockets(request);
  std::vector<const os::Fd*> sockets;
  if (answer.has_v4) sockets.push_back(&descriptors_.udp4);
  if (answer.has_v6) sockets.push_back(&descriptors_.udp6);
  return reply(sequence, answer, sockets);
}

base::Result<os::Fd> EngineOpener::open_one(os::UdpOptions options) const {
  if (!policy_.listen.empty()) {
    const auto address =
        std::ranges::find(policy_.listen, options.family, &base::IpAddress::family);
    if (address == policy_.listen.end()) return base::os_error("listen", EAFNOSUPPORT);
    options.address = *address;
  }
  return os::open_udp(options);
}

ipc::OpenUdpReply EngineOpener::open_sockets(const ipc::OpenUdp& request) {
  const auto opened = [this] {
    return ipc::OpenUdpReply{.port = open_port_,
                             .has_v4 = static_cast<bool>(descriptors_.udp4),
                             .has_v6 = static_cast<bool>(descriptors_.udp6)};
  };
  if (request.port != 0 && request.port != policy_.port && request.port < kFirstFreePort)
    return {.error = EACCES};
  if (request.port != 0 && request.port == open_port_ && (descriptors_.udp4 || descriptors_.udp6)) {
    if (const int error = apply_mark(request.mark); error != 0) return {.error = error};
    return opened();
  }
  os::UdpOptions options{
      .family = base::Family::V4, .port = request.port, .mark = request.mark, .reuse_port = false};
  auto v4 = open_one(options);
  if (!v4 && !family_missing(v4.error())) return {.error = errno_of(v4.error())};
  std::uint16_t port = request.port;
  if (v4 && port == 0) {
    const auto chosen = os::local_port(*v4);
    if (!chosen) return {.error = errno_of(chosen.error())};
    port = *chosen;
  }
  options.family = base::Family::V6;
  options.port = port;
  auto v6 = open_one(options);
  if (!v6 && (!family_missing(v6.error()) || !v4)) return {.error = errno_of(v6.error())};
  if (v6 && port == 0) {
    const auto chosen = os::local_port(*v6);
    if (!chosen) return {.error = errno_of(chosen.error())};
    port = *chosen;
  }
  if (policy_.max_workers > 1) {
    // Bound alone first: a port that a stranger has is a conflict, shared or not.
    for (const auto* socket : {&v4, &v6}) {
      if (!*socket) continue;
      if (auto shared = os::share_port(**socket); !shared)
        return {.error = errno_of(shared.error())};
    }
  }
  descriptors_.udp4 = v4 ? std::move(*v4) : os::Fd();
  descriptors_.udp6 = v6 ? std::move(*v6) : os::Fd();
  open_port_ = port;
  mark_ = request.mark;
  return opened();
}

base::Status EngineOpener::answer_worker(std::uint32_t sequence, const ipc::OpenWorker& request) {
  os::Fd queue;
  os::Fd v4;
  os::Fd v6;
  if (const auto opened = open_worker(request, queue, v4, v6); !opened)
    return reply(sequence, ipc::OpenWorkerReply{.error = errno_of(opened.error())});
  std::vector<const os::Fd*> descriptors;
  for (const os::Fd* one : {&queue, &v4, &v6})
    if (*one) descriptors.push_back(one);
  return reply(
      sequence,
      ipc::OpenWorkerReply{.has_v4 = static_cast<bool>(v4), .has_v6 = static_cast<bool>(v6)},
      descriptors);
}

base::Status EngineOpener::open_worker(const ipc::OpenWorker& request, os::Fd& queue, os::Fd& v4,
                                       os::Fd& v6) {
  if (policy_.max_workers <= 1 || open_port_ == 0 || request.port != open_port_)
    return base::os_error("open a worker", EINVAL);
  os::UdpOptions options{
      .family = base::Family::V4, .port = open_port_, .mark = request.mark, .reuse_port = true};
  if (descriptors_.udp4) {
    WARREN_TRY_ASSIGN(v4, open_one(options));
  }
  options.family = base::Family::V6;
  if (descriptors_.udp6) {
    WARREN_TRY_ASSIGN(v6, open_one(options));
  }
  if (!request.queue) return {};
  // Last: packets go to a queue as soon as it is there.
  WARREN_TRY_ASSIGN(queue, policy_.open_queue());
  return {};
}

int EngineOpener::apply_mark(std::uint32_t mark) {
  if (!descriptors_.udp4 && !descriptors_.udp6) return ENOTCONN;
  for (const os::Fd* socket : {&descriptors_.udp4, &descriptors_.udp6}) {
    if (!*socket) continue;
    if (auto status = os::set_mark(*socket, mark); !status) return errno_of(status.error());
  }
  mark_ = mark;
  return 0;
}

base::Status EngineOpener::reply(std::uint32_t sequence, ipc::OpenerBody body,
                                 const std::vector<const os::Fd*>& descriptors) {
  const auto bytes = ipc::write_opener({.sequence = sequence, .body = std::move(body)});
  return os::send_message(channel_, bytes, descriptors).within("answer the engine");
}

}  // namespace warren::gateway
