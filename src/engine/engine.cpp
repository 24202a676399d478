// Theory of operation
//
// One thread, one epoll loop. Four sources drive it: the tun, two UDP sockets, the node's timer and
// the control sockets. Each wake-up takes one bounded batch from one source, hands it to the node,
// and then drains the node: datagrams to the sockets, packets to the tun, events to hints and log.
// epoll hands out ready sources in turn, so no direction starves the other.
//
// Because one thread does everything, configuration has a simple epoch rule: when the answer to a
// `set` that removes a peer is written, the node has already forgotten that peer and the queues
// were drained by the batch before; no packet of it can pass afterwards. (With more workers the
// answer will have to wait until each has passed the new epoch.)
//
// The node's timer is armed lazily: a deadline that moved later lets the old timer fire early,
// which costs a look at the clock and spares a timer update per batch.
#include "engine/engine.hpp"

#include <malloc.h>

#include <array>
#include <utility>

#include "engine/limits.hpp"
#include "os/process.hpp"
#include "os/tun.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

Engine::Engine(std::unique_ptr<os::Loop> loop, base::Log& log, Options options)
    : log_(log),
      loop_(std::move(loop)),
      pool_(kMaxPacketBytes, kPoolPackets),
      max_peers_(options.node.max_peers),
      node_(options.node, random_, pool_),
      udp_(*loop_, pool_, [this](std::span<node::Datagram> batch) { handle_received(batch); }) {
  from_tun_.reserve(kTunBatch);
}

Engine::~Engine() = default;

base::Result<std::unique_ptr<Engine>> Engine::create(os::Fd opener, base::Log& log,
                                                     Options options) {
  WARREN_TRY_ASSIGN(auto loop, os::Loop::create());
  std::unique_ptr<Engine> engine(new Engine(std::move(loop), log, options));
  engine->opener_ = OpenerChannel(std::move(opener));
  WARREN_TRY_ASSIGN(auto answer, engine->opener_.ask(ipc::Hello{}));
  WARREN_TRY(engine->take_over(std::move(answer)).within("take over from the opener"));
  WARREN_TRY(engine->watch_all());
  return engine;
}

base::Status Engine::take_over(OpenerChannel::Answer answer) {
  const auto* reply = std::get_if<ipc::HelloReply>(&answer.body);
  if (reply == nullptr || reply->version != ipc::kOpenerVersion) {
    return base::make_error(base::ErrorKind::Invalid, "the opener speaks another version",
                            "install warren and warren-engine of one release");
  }
  const std::size_t expected = 2U + (reply->extension ? 1 : 0) + (reply->hints ? 1 : 0);
  if (answer.descriptors.size() != expected) {
    return base::make_error(base::ErrorKind::Invalid, "the opener sent the wrong descriptors");
  }
  auto next = answer.descriptors.begin();
  name_ = reply->interface_name;
  exit_with_opener_ = reply->exit_with_opener;
  node_.set_mtu(reply->mtu);
  tun_ = std::move(*next++);
  os::Fd listener = std::move(*next++);
  if (reply->extension) extension_ = std::move(*next++);
  if (reply->hints) {
    WARREN_TRY_ASSIGN(hints_, HintsKeeper::create(std::move(*next++)));
  }
  WARREN_TRY(tun_.set_nonblocking());
  WARREN_TRY_ASSIGN(api_, ApiServer::create(*loop_, std::move(listener), *this));
  return {};
}

base::Status Engine::watch_all() {
  WARREN_TRY(loop_->watch(tun_.get(), [this](os::Ready) { handle_tun(); }));
  if (extension_) {
    WARREN_TRY(extension_.set_nonblocking());
    WARREN_TRY(loop_->watch(extension_.get(), [this](os::Ready) { handle_adoption(); }));
  }
  return watch_opener();
}

base::Status Engine::run() {
  handle_notices();
  WARREN_TRY(loop_->run());
  if (failure_) return *failure_;
  return {};
}

void Engine::log_line(base::LogLevel level, std::string_view message) {
  log_.write(level, "engine", message);
}

// HOT PATH
void Engine::handle_tun() {
  while (from_tun_.size() < kTunBatch) {
    wire::Packet packet = pool_.take(kMaxPacketBytes);
    if (!packet) {
      drop_from_tun();
      break;
    }
    const auto size = os::read_packet(tun_, packet.bytes());
    if (!size) {
      failure_ = base::make_error(base::ErrorKind::Unavailable,
                                  "interface " + name_ + " is gone: " + size.error().message);
      loop_->stop();
      break;
    }
    if (*size == 0) break;
    packet.pop_back(packet.size() - *size);
    from_tun_.push_back(std::move(packet));
  }
  if (from_tun_.empty()) return;
  node_.handle_packets(from_tun_, os::now(), os::wall_now());
  from_tun_.clear();
  note_activity();
  drain();
}

/// No slot is free: takes one packet out of the tun's queue all the same, so that the loop moves
/// on.
void Engine::drop_from_tun() {
  std::array<std::uint8_t, 64> scrap;
  const auto size = os::read_packet(tun_, scrap);
  if (size && *size > 0) ++counters_.tun_no_buffer;
}

// HOT PATH
void Engine::handle_received(std::span<node::Datagram> batch) {
  node_.handle_datagrams(batch, os::now(), os::wall_now());
  note_activity();
  drain();
}

void Engine::drain() {
  // Hints first: a timestamp is remembered before it is sent.
  while (const auto event = node_.poll_event()) handle_event(*event);
  while (auto datagram = node_.poll_datagram()) udp_.enqueue(std::move(*datagram));
  udp_.flush();
  while (const auto packet = node_.poll_packet()) {
    const auto written = os::write_packet(tun_, packet->bytes());
    // A tun that is gone shows itself when it is read.
    if (!written || !*written) ++counters_.tun_full;
  }
  arm_timer();
}

void Engine::arm_timer() {
  const auto due = node_.poll_timeout();
  if (!due || (armed_ && *armed_ <= *due)) return;
  if (armed_) loop_->cancel(timer_);
  armed_ = due;
  timer_ = loop_->at(*due, [this] { handle_timer(); });
}

void Engine::handle_timer() {
  armed_.reset();
  node_.handle_timeout(os::now(), os::wall_now());
  drain();
}

void Engine::handle_event(const node::Event& event) {
  using Kind = node::Event::Kind;
  const auto say = [&](std::string_view what) {
    log_line(base::LogLevel::Debug,
             "peer " + event.peer.base64().substr(0, 8) + "…: " + std::string(what));
  };
  switch (event.kind) {
    case Kind::HandshakeCompleted:
      return say("handshake completed");
    case Kind::EndpointChanged:
      return say("endpoint changed");
    case Kind::HandshakeGivenUp:
      return say("no answer to the handshake, giving up");
    case Kind::HintsChanged:
      if (!hints_.is_kept()) return;
      if (const auto hints = node_.hints(event.peer)) hints_.save(event.peer, *hints);
      return;
  }
}

void Engine::note_activity() {
  active_ = true;
  if (idle_timer_set_) return;
  idle_timer_set_ = true;
  loop_->at(os::now() + kIdleAfter, [this] { handle_idle(); });
}

/// An idle engine gives its packet memory back.
void Engine::handle_idle() {
  idle_timer_set_ = false;
  if (std::exchange(active_, false)) {
    idle_timer_set_ = true;
    loop_->at(os::now() + kIdleAfter, [this] { handle_idle(); });
    return;
  }
  udp_.release_spares();
  pool_.trim();
  malloc_trim(0);
}

base::Status Engine::watch_opener() {
  return loop_->watch(opener_.descriptor(), [this](os::Ready) { handle_opener(); });
}

void Engine::handle_opener() {
  const int descriptor = opener_.descriptor();
  const bool alive = opener_.handle_readable();
  handle_notices();
  if (alive) return;
  loop_->forget(descriptor);
  handle_opener_gone();
}

void Engine::handle_opener_gone() {
  if (exit_with_opener_) {
    log_line(base::LogLevel::Info, "the opener has ended, ending too");
    loop_->stop();
  } else {
    log_line(base::LogLevel::Warning, "the opener has ended, traffic goes on without it");
  }
}

void Engine::handle_notices() {
  while (const auto notice = opener_.poll_notice()) {
    if (const auto* link = std::get_if<ipc::LinkChanged>(&*notice)) {
      const bool came_up = link->up && !link_up_;
      link_up_ = link->up;
      node_.set_mtu(link->mtu);
      if (came_up) handle_network_change();
    } else if (std::holds_alternative<ipc::NetworkChanged>(*notice)) {
      handle_network_change();
    } else if (std::holds_alternative<ipc::Shutdown>(*notice)) {
      loop_->stop();
    }
  }
  drain();
}

void Engine::handle_network_change() {
  network_change_pending_ = network_change_paced_;
  if (network_change_paced_) return;
  network_change_paced_ = true;
  loop_->at(os::now() + kNetworkChangePace, [this] {
    network_change_paced_ = false;
    if (!network_change_pending_) return;
    handle_network_change();
    drain();
  });
  udp_.forget_sources();
  node_.handle_network_change(os::now(), os::wall_now());
}

void Engine::handle_adoption() {
  auto connection = os::unix_accept(extension_);
  if (!connection) return;
  if (opener_.is_open()) handle_opener();  // it may have ended just now
  if (opener_.is_open() || exit_with_opener_) return;
  opener_ = OpenerChannel(std::move(*connection));
  ipc::Adopted adopted{.interface_name = name_,
                       .port = udp_.port(),
                       .mark = mark_,
                       .hints = hints_.is_kept(),
                       .has_v4 = static_cast<bool>(udp_.v4()),
                       .has_v6 = static_cast<bool>(udp_.v6())};
  std::vector<const os::Fd*> descriptors = {&tun_, &api_->listener(), &extension_};
  if (adopted.hints) descriptors.push_back(&hints_.memfd());
  if (adopted.has_v4) descriptors.push_back(&udp_.v4());
  if (adopted.has_v6) descriptors.push_back(&udp_.v6());
  if (!opener_.notify(adopted, descriptors) || !watch_opener()) {
    opener_.close();
    return;
  }
  log_line(base::LogLevel::Info, "adopted by a new opener");
}

}  // namespace warren::engine
