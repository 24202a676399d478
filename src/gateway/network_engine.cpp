// Theory of operation
//
// The daemon holds a second descriptor of everything it gives to an engine: tun, both listening
// sockets, hints, UDP sockets. When the engine dies nothing closes: packets wait in the tun's queue
// and in the sockets' buffers, and the successor gets the same open files. It gets configuration
// and hints, never sessions. Of an engine that was stopped the hints alone are kept, by the
// supervisor: the network's next one reaches members that have nothing to say. Whom it may talk to
// is its configuration's to say; a hint of anybody else is not looked up.
//
// A successor starts only after the predecessor's pidfd has reported its end; two engines with one
// private key would fight over the same peers. Restarts are immediate at first and slow down when
// an engine keeps dying, so that a broken machine does not burn a core.
//
// Adoption: a daemon that finds the record of a living engine connects to its extension socket; the
// engine, whose former opener is gone, hands back duplicates of all it holds. The tun is never
// opened a second time while an engine has it, but for a worker of that engine: a queue that nobody
// reads swallows packets. An engine of a release with another opener protocol cannot be adopted and
// is replaced; the first queue that is opened then decides which header the tun has.
// What the adopted engine should not have is removed before anything is added.
//
// Calls are synchronous (engine_exchange.hpp). Files: `engine_restart.cpp` holds what happens when
// the process ends; this file everything else.
#include "gateway/network_engine.hpp"

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include "gateway/limits.hpp"
#include "ipc/hints.hpp"
#include "ipc/uapi.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/log_file.hpp"
#include "os/netns.hpp"
#include "os/process.hpp"
#include "os/tun.hpp"
#include "os/unix_socket.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::LogLevel;
using base::make_error;
using control::EngineState;

namespace {

constexpr mode_t kApiSocketMode = 0600;

std::uint8_t workers_here() {
  return static_cast<std::uint8_t>(
      std::clamp(std::thread::hardware_concurrency(), 1U, ipc::kMaxWorkers));
}

EngineConfiguration configuration_of(const store::StoredNetwork& network,
                                     const std::vector<control::EnginePeer>& peers) {
  EngineConfiguration out;
  out.private_key = crypto::PrivateKey(network.gateway_private_key);
  out.port = network.network.port;
  for (const control::EnginePeer& peer : peers) out.peers[peer.public_key] = peer.allowed_ips;
  return out;
}

}  // namespace

NetworkEngine::NetworkEngine(EngineEnvironment environment, const store::StoredNetwork& network,
                             const std::vector<control::EnginePeer>& peers)
    : environment_(std::move(environment)),
      id_(network.network.id),
      network_(network.network.name),
      files_(EngineFiles::of(environment_.run_dir, id_)),
      wanted_(configuration_of(network, peers)),
      opener_({.interface_name = id_.interface_name(),
               .mtu = network.network.mtu,
               .port = network.network.port,
               .max_workers = workers_here(),
               .open_queue = [this] { return open_queue(); },
               .listen = network.network.listen},
              descriptors_, environment_.log),
      restart_timer_(environment_.io) {}

base::Status NetworkEngine::start() {
  WARREN_TRY(begin_start());
  return finish_start();
}

base::Status NetworkEngine::begin_start() {
  auto adopted = adopt();
  if (adopted && *adopted) return {};
  if (!adopted) {
    say(LogLevel::Warning,
        "cannot adopt the running engine (" + adopted.error().message + "): it is replaced");
    forget_process();
    descriptors_ = {};
    WARREN_TRY(end_recorded(environment_.run_dir, id_));
  }
  return leave_nothing(begin_launch());
}

base::Status NetworkEngine::finish_start() {
  if (state_ == EngineState::Running) return {};
  return leave_nothing(finish_launch());
}

base::Status NetworkEngine::leave_nothing(base::Status why) {
  if (why) return why;
  descriptors_ = {};
  files_.remove();
  return why;
}

base::Status NetworkEngine::stop() {
  restart_timer_.cancel();
  if (process_.pidfd) {
    opener_.notify(ipc::Shutdown{});
    WARREN_TRY(end_process(kEngineStop));
  }
  forget_process();
  os::Fd hints = take_hints();
  descriptors_ = {};
  descriptors_.hints = std::move(hints);
  files_.remove();
  state_ = EngineState::Stopped;
  say(LogLevel::Info, "engine stopped");
  return {};
}

void NetworkEngine::use_hints(os::Fd hints) {
  // One that is too small by now would have no place for the newest peers.
  const std::size_t slots = ipc::HintsTable::capacity_for(wanted_.peers.size());
  const auto memory = os::Mapping::create(hints);
  if (!memory || memory->bytes().size() < ipc::HintsTable::size_for(slots)) return;
  descriptors_.hints = std::move(hints);
}

// ---- adoption ----------------------------------------------------------------------------------

base::Result<bool> NetworkEngine::adopt() {
  auto record = read_record(files_);
  if (!record) {
    if (record.error().kind == ErrorKind::NotFound) return false;
    return std::move(record).error();
  }
  auto process = os::open_pidfd(record->pid, record->start_time);
  if (!process) {
    const bool gone =
        process.error().kind == ErrorKind::NotFound || process.error().os_errno == ESRCH;
    if (gone) return false;  // it died while no daemon watched
    return std::move(process).error();
  }
  process_ = {.pid = record->pid, .pidfd = std::move(*process), .start_time = record->start_time};
  WARREN_TRY(adopt_process());
  return true;
}

base::Status NetworkEngine::adopt_process() {
  ours_ = false;
  WARREN_TRY(receive_adoption());
  WARREN_TRY(correct_configuration());
  WARREN_TRY(watch());
  started_ = os::now();
  state_ = EngineState::Running;
  say(LogLevel::Info, "adopted engine process " + std::to_string(process_.pid));
  return {};
}

base::Status NetworkEngine::receive_adoption() {
  const base::Instant deadline = os::now() + kAdoption;
  for (;;) {
    WARREN_TRY_ASSIGN(os::Fd channel,
                      os::unix_connect_now(os::UnixType::SeqPacket, files_.control));
    const base::Duration left = deadline - os::now();
    WARREN_TRY_ASSIGN(const bool answered,
                      os::wait_readable(channel, std::max(left, base::Duration::zero())));
    if (!answered) return make_error(ErrorKind::Unavailable, "it does not answer a new daemon");
    WARREN_TRY_ASSIGN(os::FdMessage message, os::receive_message(channel, ipc::kMaxOpenerMessage));
    if (!message.closed) {
      WARREN_TRY_ASSIGN(const ipc::OpenerMessage parsed, ipc::parse_opener(message.bytes));
      const auto* adopted = std::get_if<ipc::Adopted>(&parsed.body);
      if (adopted == nullptr)
        return make_error(ErrorKind::Invalid, "it does not follow the opener protocol");
      return take_adopted(std::move(message.descriptors), *adopted, std::move(channel));
    }
    // It has not seen the end of its former opener yet.
    WARREN_TRY_ASSIGN(const bool ended, os::wait_readable(process_.pidfd, kAdoptionPause));
    if (ended || os::now() >= deadline)
      return make_error(ErrorKind::Unavailable, "it does not accept a new daemon");
  }
}

base::Status NetworkEngine::take_adopted(std::vector<os::Fd> descriptors,
                                         const ipc::Adopted& adopted, os::Fd channel) {
  std::vector<os::Fd*> places = {&descriptors_.tun, &descriptors_.api_listener,
                                 &descriptors_.control_listener};
  if (adopted.hints) places.push_back(&descriptors_.hints);
  if (adopted.has_v4) places.push_back(&descriptors_.udp4);
  if (adopted.has_v6) places.push_back(&descriptors_.udp6);
  if (adopted.version != ipc::kOpenerVersion || adopted.interface_name != id_.interface_name() ||
      descriptors.size() != places.size())
    return make_error(ErrorKind::Invalid, "it is of another version or network");
  for (std::size_t i = 0; i < places.size(); ++i) *places[i] = std::move(descriptors[i]);
  descriptors_.tun_offloads = os::TunOffloads::from_byte(adopted.tun_offloads);
  opener_.attach_adopted(std::move(channel), adopted.port, adopted.mark);
  return {};
}

base::Status NetworkEngine::correct_configuration() {
  WARREN_TRY_ASSIGN(const ipc::UapiStatus running, read_status());
  const EngineConfiguration::Difference difference = wanted_.difference_to(running);
  if (difference.denials) WARREN_TRY(apply(*difference.denials, kEngineExchange));
  if (difference.grants) WARREN_TRY(apply(*difference.grants, kEngineExchange));
  return {};
}

// ---- a new process -----------------------------------------------------------------------------

base::Status NetworkEngine::launch() {
  WARREN_TRY(begin_launch());
  return finish_launch();
}

base::Status NetworkEngine::begin_launch() {
  const std::string what = "start the engine of network " + network_;
  WARREN_TRY(open_descriptors().within(what));
  return spawn().within(what);
}

base::Status NetworkEngine::finish_launch() {
  auto configured = apply(wanted_.whole(opener_.mark()), kEngineStart);
  if (configured) configured = watch();
  if (!configured) {
    auto ended = end_process(base::Duration::zero());
    if (!ended) say(LogLevel::Error, ended.error().message);
    forget_process();
    return std::move(configured)
        .error()
        .within("start the engine of network " + network_)
        .with_hint("its messages are in " + files_.log);
  }
  state_ = EngineState::Running;
  say(LogLevel::Info, "engine runs as process " + std::to_string(process_.pid) + " on UDP port " +
                          std::to_string(wanted_.port));
  return {};
}

base::Status NetworkEngine::open_descriptors() {
  if (!descriptors_.tun) WARREN_TRY(open_tun());
  if (!descriptors_.hints) WARREN_TRY(open_hints());
  if (!descriptors_.api_listener) {
    WARREN_TRY(os::make_directories(kApiSocketDirectory, 0755));
    WARREN_TRY_ASSIGN(descriptors_.api_listener,
                      os::unix_listen(os::UnixType::Stream, files_.api_socket, kApiSocketMode));
  }
  if (!descriptors_.control_listener) {
    WARREN_TRY(os::make_directories(engine_directory(environment_.run_dir), 0700));
    WARREN_TRY_ASSIGN(descriptors_.control_listener,
                      os::unix_listen(os::UnixType::SeqPacket, files_.control, kApiSocketMode));
  }
  return {};
}

base::Status NetworkEngine::open_tun() {
  WARREN_TRY_ASSIGN(const os::Fd netns, os::open_named_netns("warren-" + network_));
  return os::in_netns(netns, [this]() -> base::Status {
    WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun({.name = id_.interface_name(),
                                                 .multi_queue = true,
                                                 .offloads = true,
                                                 .persistent = true}));
    descriptors_.tun = std::move(tun.descriptor);
    descriptors_.tun_offloads = tun.offloads;
    return {};
  });
}

base::Result<os::Fd> NetworkEngine::open_queue() {
  WARREN_TRY_ASSIGN(const os::Fd netns, os::open_named_netns("warren-" + network_));
  os::Fd queue;
  const auto open = [&]() -> base::Status {
    WARREN_TRY_ASSIGN(os::Tun tun, os::open_tun_queue(id_.interface_name()));
    queue = std::move(tun.descriptor);
    return {};
  };
  WARREN_TRY(os::in_netns(netns, open));
  return queue;
}

base::Status NetworkEngine::open_hints() {
  const std::size_t slots = ipc::HintsTable::capacity_for(wanted_.peers.size());
  WARREN_TRY_ASSIGN(descriptors_.hints,
                    os::memory_file("warren-hints", ipc::HintsTable::size_for(slots)));
  WARREN_TRY_ASSIGN(const os::Mapping memory, os::Mapping::create(descriptors_.hints));
  ipc::HintsTable::format(memory.bytes());
  return {};
}

base::Status NetworkEngine::spawn() {
  WARREN_TRY_ASSIGN(auto channels, os::unix_pair(os::UnixType::SeqPacket));
  WARREN_TRY(channels.first.set_nonblocking());
  WARREN_TRY_ASSIGN(const os::Fd log, os::open_log_file(files_.log, kEngineLogBytes));
  WARREN_TRY_ASSIGN(
      os::Child child,
      os::spawn({.argv = {environment_.program, "--opener-fd", std::to_string(ipc::kOpenerFd)},
                 .environment = std::vector<std::string>{"LC_ALL=C.UTF-8"},
                 .descriptors = {{1, &log}, {2, &log}, {ipc::kOpenerFd, &channels.second}},
                 .new_session = true,
                 .working_directory = "/"}));
  process_ = std::move(child);
  ours_ = true;
  started_ = os::now();
  // Before its hello is answered: an engine without a record never has a descriptor of ours.
  if (auto noted = write_record(files_, {.pid = process_.pid, .start_time = process_.start_time});
      !noted) {
    auto ended = end_process(base::Duration::zero());
    if (!ended) say(LogLevel::Error, ended.error().message);
    forget_process();
    return noted;
  }
  opener_.attach(std::move(channels.first));
  return {};
}

base::Status NetworkEngine::watch() {
  WARREN_TRY(
      channel_watch_.start(environment_.io, opener_.channel().get(), [this] { handle_channel(); }));
  return process_watch_.start(environment_.io, process_.pidfd.get(), [this] { handle_exit(); });
}

// ---- configuration -----------------------------------------------------------------------------

base::Status NetworkEngine::add_peers(std::span<const control::EnginePeer> peers) {
  WARREN_TRY(ensure_running());
  ipc::UapiSet set;
  for (const control::EnginePeer& peer : peers) {
    ipc::UapiPeer update{.public_key = peer.public_key, .replace_allowed_ips = true};
    for (const base::Prefix& prefix : peer.allowed_ips)
      update.allowed_ips.push_back({.prefix = prefix});
    set.peers.push_back(std::move(update));
  }
  const std::string what = peers.size() == 1 ? "a peer" : std::to_string(peers.size()) + " peers";
  auto status = apply(set, peers.size() == 1 ? kEngineExchange : kEngineStart)
                    .within("add " + what + " to the engine of " + network_);
  if (status) {
    for (const control::EnginePeer& peer : peers) wanted_.peers[peer.public_key] = peer.allowed_ips;
  } else if (status.error().kind == ErrorKind::Unavailable) {
    // It may still take the request in; its successor has never heard of it.
    WARREN_TRY(replace_process("an addition", status.error()));
  }
  return status;
}

base::Status NetworkEngine::remove_peer(const base::PublicKey& peer) {
  wanted_.peers.erase(peer);
  if (!process_.pidfd)
    return {};  // no process: nothing passes, and a successor does not know the peer
  ipc::UapiSet set;
  set.peers.push_back({.public_key = peer, .remove = true});
  auto acknowledged = apply(set, kEngineExchange);
  if (acknowledged) return {};
  return replace_process("a removal", acknowledged.error());
}

base::Status NetworkEngine::replace_process(std::string_view unconfirmed, const base::Error& why) {
  say(LogLevel::Warning, "the engine did not confirm " + std::string(unconfirmed) + " (" +
                             why.message + "): it is replaced");
  WARREN_TRY(end_process(base::Duration::zero()).within("replace the engine of " + network_));
  handle_exit();
  return {};
}

base::Result<control::EngineFacts> NetworkEngine::read_back() {
  WARREN_TRY(ensure_running());
  WARREN_TRY_ASSIGN(const ipc::UapiStatus status, read_status());
  control::EngineFacts out;
  out.has_the_key = status.private_key.equals(wanted_.private_key);
  out.port = status.listen_port;
  for (const ipc::UapiPeerStatus& peer : status.peers)
    out.peers.push_back({.public_key = peer.public_key, .allowed_ips = peer.allowed_ips});
  return out;
}

base::Result<std::vector<control::EnginePeerStatus>> NetworkEngine::peers() {
  WARREN_TRY(ensure_running());
  WARREN_TRY_ASSIGN(const ipc::UapiStatus status, read_status());
  std::vector<control::EnginePeerStatus> out;
  out.reserve(status.peers.size());
  for (const ipc::UapiPeerStatus& peer : status.peers)
    out.push_back({.public_key = peer.public_key,
                   .endpoint = peer.endpoint,
                   .last_handshake = peer.last_handshake,
                   .rx_bytes = peer.rx_bytes,
                   .tx_bytes = peer.tx_bytes});
  return out;
}

void NetworkEngine::notify_network_changed() { opener_.notify(ipc::NetworkChanged{}); }

base::Status NetworkEngine::apply(const ipc::UapiSet& set, base::Duration at_most) {
  std::string request = ipc::write_uapi_set(set);
  auto answer = ask(request, at_most);
  ipc::wipe_text(request);
  if (!answer) return std::move(answer).error();
  return ipc::parse_uapi_result(*answer).within("the engine refused its configuration");
}

base::Result<ipc::UapiStatus> NetworkEngine::read_status() {
  WARREN_TRY_ASSIGN(std::string answer, ask("get=1\n\n", kEngineExchange));
  auto status = ipc::parse_uapi_status(answer);
  ipc::wipe_text(answer);
  return status;
}

base::Result<std::string> NetworkEngine::ask(std::string_view request, base::Duration at_most) {
  return exchange(files_.api_socket, request,
                  {.channel = opener_.channel() ? &opener_.channel() : nullptr,
                   .on_channel = [this] { opener_.handle_readable(); },
                   .process = &process_.pidfd,
                   .at_most = at_most});
}

void NetworkEngine::say(LogLevel level, const std::string& message) {
  environment_.log.write(level, "gateway",
                         id_.interface_name() + " (" + network_ + "): " + message);
}

}  // namespace warren::gateway
