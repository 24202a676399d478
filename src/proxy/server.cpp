#include "proxy/server.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <list>
#include <memory>
#include <optional>

#include "crypto/secret.hpp"
#include "engine/sandbox.hpp"
#include "os/clock.hpp"
#include "os/tun.hpp"
#include "os/unix_socket.hpp"
#include "proxy/connection.hpp"
#include "proxy/limits.hpp"
#include "proxy/services.hpp"

// Theory of operation
//
//   client ─▶ listener ─▶ Connection ─▶ TcpPipe ─▶ Stack ─▶ packets ─▶ warren-engine ─▶ UDP
//                              └──────▶ Association ─▶ UdpPipe ─┘
//
// One thread, one loop. Everything is opened by who starts this process, which then gives up
// everything else (engine/sandbox.hpp) before it reads the first byte of a stranger: it cannot
// open, connect, bind, fork or execute, and sees no file.
//
// What handlers put aside is done at the end of each turn: connections that are over die there, and
// nowhere else. A tick every 250 ms moves the stack's clock and looks for what takes too long; it
// rests when there is nothing to look after, so that an idle proxy does not wake.

namespace warren::proxy {

namespace {

constexpr std::size_t kAcceptsPerTurn = 32;
constexpr std::size_t kPacketRoom = 65536;
constexpr int kTicksPerLook = 4;

/// What we need, or what the user's own limit leaves.
std::size_t allowed_descriptors() {
  rlimit now{};
  if (getrlimit(RLIMIT_NOFILE, &now) < 0) return kStackDescriptors;
  return std::min<std::size_t>(kStackDescriptors, now.rlim_max);
}

class Server {
 public:
  Server(ipc::StackSettings settings, os::Fd control);
  base::Status open();
  base::Status run();

 private:
  base::Status take_relays();
  base::Status watch_all();
  void handle_control();
  void handle_packets(os::Ready ready);
  bool send_packet(base::Bytes packet);
  void accept_all();
  void pause_accepting();
  void resume_accepting();
  void attend();
  void arm_tick();
  void tick();
  void ask_echo();
  void say_ready();
  void stop() { done_ = true; }

  ipc::StackSettings settings_;
  os::Fd control_;
  os::Fd packets_;
  os::Fd listener_;
  os::SystemRandom random_;
  std::unique_ptr<os::Loop> loop_;
  std::optional<Stack> stack_;
  std::optional<Resolver> resolver_;
  std::optional<Services> services_;
  std::list<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> attention_;
  std::unique_ptr<EchoPipe> echo_;
  bool done_ = false;
  bool echo_answered_ = false;
  bool accepting_ = true;
  bool tick_armed_ = false;
  int ticks_ = 0;
};

Server::Server(ipc::StackSettings settings, os::Fd control)
    : settings_(std::move(settings)),
      control_(std::move(control)),
      packets_(ipc::kStackPacketsFd),
      listener_(ipc::kStackListenerFd) {}

/// Where a socket of the loopback is bound.
base::Result<base::Endpoint> bound_to(const os::Fd& socket) {
  sockaddr_storage at{};
  socklen_t size = sizeof at;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&at), &size) < 0) {
    return base::os_error("ask for the port of a relay");
  }
  if (at.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &at, sizeof v6);
    return base::Endpoint{.address = *base::IpAddress::from_bytes({v6.sin6_addr.s6_addr, 16}),
                          .port = ntohs(v6.sin6_port)};
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &at, sizeof v4);
  return base::Endpoint{.address = base::IpAddress::v4(ntohl(v4.sin_addr.s_addr)),
                        .port = ntohs(v4.sin_port)};
}

base::Status Server::take_relays() {
  for (std::uint32_t i = 0; i < settings_.relays; ++i) {
    Relay relay{.socket = os::Fd(ipc::kStackRelaysFd + static_cast<int>(i)), .at = {}};
    WARREN_TRY_ASSIGN(relay.at, bound_to(relay.socket));
    services_->relays.push_back(std::move(relay));
  }
  return {};
}

base::Status Server::open() {
  for (const os::Fd* socket : {&control_, &packets_, &listener_}) {
    WARREN_TRY(socket->set_nonblocking());
  }
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  stack_.emplace(Stack::Options{.addresses = settings_.addresses, .mtu = settings_.mtu}, random_,
                 [this](base::Bytes packet) { return send_packet(packet); });
  resolver_.emplace(
      *loop_, *stack_, random_,
      Resolver::Options{.servers = settings_.dns_servers, .search = settings_.dns_search});
  services_.emplace(Services{.loop = *loop_,
                             .stack = *stack_,
                             .resolver = *resolver_,
                             .settings = settings_,
                             .relays = {},
                             .attention = [this](Connection& one) { attention_.push_back(&one); },
                             .room = std::vector<std::uint8_t>(kPacketRoom)});
  WARREN_TRY(take_relays());
  return watch_all();
}

base::Status Server::watch_all() {
  WARREN_TRY(loop_->watch(control_.get(), [this](os::Ready) { handle_control(); }));
  WARREN_TRY(loop_->watch(packets_.get(), [this](os::Ready ready) { handle_packets(ready); }));
  return loop_->watch(listener_.get(), [this](os::Ready) { accept_all(); });
}

/// Nothing is expected from there but its end.
void Server::handle_control() {
  const auto message = os::receive_message(control_, ipc::kMaxStackSettings);
  if (!message && message.error().os_errno == EAGAIN) return;
  stop();
}

base::Status Server::run() {
  WARREN_TRY(
      engine::enter_sandbox({}, {.max_descriptors = allowed_descriptors(), .clients = true}));
  if (settings_.echo_target) {
    WARREN_TRY_ASSIGN(
        echo_, EchoPipe::open(*stack_, *settings_.echo_target, [this] { echo_answered_ = true; }));
    ask_echo();
  } else {
    say_ready();
  }
  while (!done_) {
    WARREN_TRY(loop_->run_once(std::nullopt));
    if (echo_answered_ && echo_) say_ready();
    attend();
    arm_tick();
  }
  return {};
}

// --- until the tunnel carries an echo ---

void Server::ask_echo() {
  if (!echo_) return;
  echo_->ask();
  loop_->at(os::now() + kEchoPause, [this] { ask_echo(); });
}

void Server::say_ready() {
  echo_.reset();
  std::ignore = os::send_message(control_, base::as_bytes(ipc::kStackReady));
}

// --- the tunnel ---

bool Server::send_packet(base::Bytes packet) {
  const auto written = os::write_packet(packets_, packet);
  if (written && *written) return true;
  std::ignore = loop_->set_want_write(packets_.get(), true);
  return false;
}

void Server::handle_packets(os::Ready ready) {
  if (ready.writable) {
    std::ignore = loop_->set_want_write(packets_.get(), false);
    for (const auto& connection : connections_) connection->handle_tunnel_writable();
  }
  std::vector<std::uint8_t>& room = services_->room;
  for (std::size_t i = 0; i < kPacketsPerTurn; ++i) {
    const auto size = os::read_packet(packets_, room);
    if (!size) return stop();
    if (*size == 0) {
      if (ready.hangup) stop();
      break;
    }
    stack_->handle_packet(base::Bytes(room).first(*size));
  }
}

// --- clients ---

void Server::accept_all() {
  for (std::size_t i = 0; i < kAcceptsPerTurn; ++i) {
    if (connections_.size() >= kMaxConnections) {
      pause_accepting();
      break;
    }
    os::Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!client) {
      if (errno == EMFILE || errno == ENFILE) pause_accepting();
      break;
    }
    connections_.push_back(std::make_unique<Connection>(std::move(client), *services_));
    if (!connections_.back()->start()) connections_.pop_back();
  }
}

/// Clients wait in the listener's queue.
void Server::pause_accepting() {
  accepting_ = false;
  std::ignore = loop_->set_want_read(listener_.get(), false);
}

void Server::resume_accepting() {
  if (std::exchange(accepting_, true)) return;
  std::ignore = loop_->set_want_read(listener_.get(), true);
}

void Server::attend() {
  // What is put aside meanwhile waits for the next round of this.
  while (!attention_.empty()) {
    const std::vector<Connection*> now = std::exchange(attention_, {});
    for (Connection* one : now) {
      if (!one->is_over()) one->proceed();
    }
    if (connections_.remove_if([](const auto& one) { return one->is_over(); }) > 0) {
      resume_accepting();
    }
    std::erase_if(attention_, [&](const Connection* one) {
      return std::ranges::none_of(connections_, [&](const auto& c) { return c.get() == one; });
    });
  }
}

// --- time ---

void Server::arm_tick() {
  const bool needed = stack_->is_busy() || !connections_.empty() || !accepting_;
  if (!needed || std::exchange(tick_armed_, true)) return;
  loop_->at(os::now() + kStackTick, [this] { tick(); });
}

void Server::tick() {
  tick_armed_ = false;
  stack_->handle_tick();
  if (++ticks_ % kTicksPerLook == 0) {
    const base::Instant now = os::now();
    for (const auto& connection : connections_) connection->handle_tick(now);
    if (connections_.size() < kMaxConnections) resume_accepting();
  }
}

base::Result<ipc::StackSettings> receive_settings(const os::Fd& control) {
  auto message = os::receive_message(control, ipc::kMaxStackSettings);
  if (!message) return std::move(message).error();
  if (message->closed) {
    return base::make_error(base::ErrorKind::Unavailable, "the supervisor ended");
  }
  auto settings = ipc::parse_stack_settings(
      {reinterpret_cast<const char*>(message->bytes.data()), message->bytes.size()});
  crypto::wipe(message->bytes);
  return settings;
}

}  // namespace

base::Status serve() {
  os::Fd control(ipc::kStackControlFd);
  if (fcntl(control.get(), F_GETFD) < 0) {
    return base::make_error(base::ErrorKind::Invalid, "this program is started by `warren proxy`",
                            "warren proxy PROFILE -- COMMAND");
  }
  WARREN_TRY_ASSIGN(ipc::StackSettings settings, receive_settings(control));
  Server server(std::move(settings), std::move(control));
  WARREN_TRY(server.open());
  return server.run();
}

}  // namespace warren::proxy
