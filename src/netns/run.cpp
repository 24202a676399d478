#include "netns/run.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "netns/anyconnect_host.hpp"
#include "netns/clients.hpp"
#include "netns/control.hpp"
#include "netns/engine_host.hpp"
#include "netns/etc_files.hpp"
#include "netns/follower_host.hpp"
#include "netns/forwarder_host.hpp"
#include "netns/init.hpp"
#include "netns/limits.hpp"
#include "netns/network.hpp"
#include "netns/runtime_dir.hpp"
#include "netns/signal_relay.hpp"
#include "os/clock.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"
#include "os/resident.hpp"
#include "os/unix_socket.hpp"

// Theory of operation
//
// The supervisor is the process that the user started. Order of a start, chosen for speed:
//
//   lock key and name → clone init → open UDP, start the engine     (init: mounts, tun, routes)
//   tun comes from init → answer the engine's Hello → configure it → Go → init starts the command
//
// Init is cloned before anything else is open, so it inherits nothing of ours but the lock, which
// it closes. After Go the supervisor only waits: for signals to pass on, for a program that asks
// for an echo socket (`warren status --check ready`), for an engine that ended, and for init, whose
// exit code is the command's.
//
// A run without a tunnel (--no-net) goes from init's Bare to Go. When somebody asks for the tunnel,
// from outside or inside, the middle line of the above happens then; a failure is told to whoever
// asked, and the run goes on without.

namespace warren::netns {

namespace {

constexpr std::size_t kMaxNameSize = 32;

class Supervisor {
 public:
  explicit Supervisor(RunConfig config)
      : config_(std::move(config)), files_(config_.runtime_dir, config_.name) {}
  RunEnd run();

 private:
  base::Status start();
  base::Status start_init();
  base::Status watch_all();
  void go();
  base::Status tell_state();
  base::Status begin_net();
  void ask_net();
  void handle_configured();
  void handle_changed();
  void handle_turned(bool up);
  void handle_news(RunNews news);
  void change_names(const RunNews& news);
  void tell_names();
  void handle_tunnel_failure(base::Error error);
  void net_failed(base::Error error);
  void pass_on(int signal);
  void handle_init_message();
  void handle_init_end();
  void fail(int exit_code, base::Error error);

  RunConfig config_;
  RunFiles files_;
  std::optional<RunLock> lock_;
  std::optional<SignalRelay> signals_;
  std::unique_ptr<os::Loop> loop_;
  os::Child init_;
  os::Fd init_control_;
  std::optional<ForwarderHost> forwarder_;
  std::optional<FollowerHost> follower_;
  std::unique_ptr<Tunnel> tunnel_;
  std::int64_t session_since_s_ = 0;  ///< of a session that is up
  std::unique_ptr<Clients> clients_;
  std::int64_t since_s_ = 0;
  enum class Net { Off, Starting, Up } net_ = Net::Off;
  bool gone_ = false;  ///< Go was said
  bool command_runs_ = false;
  bool done_ = false;
  RunEnd end_;
};

base::Status Supervisor::start_init() {
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  EtcFiles etc = etc_files(config_);
  WARREN_TRY_ASSIGN(InitChild child, clone_init());
  if (child.is_init) {
    lock_->abandon();
    pair.first.reset();
    run_init(child, config_, std::move(etc), std::move(pair.second));
  }
  init_ = std::move(child.child);
  init_control_ = std::move(pair.first);
  return {};
}

base::Status Supervisor::start() {
  since_s_ = os::wall_now().ns / 1'000'000'000;
  WARREN_TRY_ASSIGN(RunLock lock, RunLock::acquire({.directory = config_.runtime_dir,
                                                    .name = config_.name,
                                                    .key = config_.public_key,
                                                    .shared_keys = config_.shared_keys}));
  lock_.emplace(std::move(lock));
  WARREN_TRY_ASSIGN(signals_, SignalRelay::create([this](int signal) { pass_on(signal); }));
  WARREN_TRY(start_init());
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  forwarder_.emplace(*loop_, config_, init_control_,
                     [this](base::Error error) { fail(kOwnFailure, std::move(error)); });
  WARREN_TRY(forwarder_->start());
  follower_.emplace(*loop_, config_, [this](RunNews news) { handle_news(std::move(news)); });
  WARREN_TRY(watch_all());
  return config_.no_net ? base::Status{} : begin_net();
}

base::Status Supervisor::watch_all() {
  clients_ = std::make_unique<Clients>(
      *loop_, [this] { static_cast<void>(send_control(init_control_, Control::OpenEcho)); },
      [this] { ask_net(); });
  WARREN_TRY(clients_->listen(files_.control));
  WARREN_TRY(
      loop_->watch(signals_->descriptor(), [this](os::Ready) { signals_->handle(command_runs_); }));
  WARREN_TRY(loop_->watch(init_control_.get(), [this](os::Ready) { handle_init_message(); }));
  return loop_->watch(init_.pidfd.get(), [this](os::Ready) { handle_init_end(); });
}

// --- the tunnel ---

base::Status Supervisor::begin_net() {
  net_ = Net::Starting;
  auto configured = [this] { handle_configured(); };
  auto failed = [this](base::Error error) { handle_tunnel_failure(std::move(error)); };
  if (config_.anyconnect) {
    tunnel_ = std::make_unique<AnyConnectHost>(
        *loop_, *config_.anyconnect,
        AnyConnectHost::Events{.configured = std::move(configured),
                               .failed = std::move(failed),
                               .changed = [this] { handle_changed(); },
                               .turned = [this](bool up) { handle_turned(up); }});
  } else {
    tunnel_ = std::make_unique<EngineHost>(*loop_, config_, files_.uapi, std::move(configured),
                                           std::move(failed));
  }
  return tunnel_->start();
}

void Supervisor::handle_changed() {
  const auto servers = config_.dns_servers;
  const auto search = config_.dns_search;
  apply_session(*config_.anyconnect, config_);
  static_cast<void>(send_control(init_control_, Control::Change, write_network(config_)));
  if (servers != config_.dns_servers || search != config_.dns_search) tell_names();
}

void Supervisor::handle_turned(bool up) {
  session_since_s_ = up ? os::wall_now().ns / 1'000'000'000 : 0;
  if (gone_) static_cast<void>(tell_state());
}

/// The gateway changed something, or put us out.
void Supervisor::handle_news(RunNews news) {
  if (news.end) return fail(kOwnFailure, std::move(*news.end));
  take_peers(news, config_.engine.peers);
  if (tunnel_) tunnel_->update(news.peers);
  if (!news.changed) return;
  config_.addresses = std::move(news.addresses);
  config_.routes = std::move(news.routes);
  config_.mtu = news.mtu;
  std::ignore = send_control(init_control_, Control::Change, write_network(config_));
  change_names(news);
  if (gone_) std::ignore = tell_state();
}

void Supervisor::change_names(const RunNews& news) {
  const auto servers = news.dns_servers.value_or(config_.dns_servers);
  const auto search = news.dns_search.value_or(config_.dns_search);
  if (servers == config_.dns_servers && search == config_.dns_search) return;
  config_.dns_servers = servers;
  config_.dns_search = search;
  tell_names();
}

void Supervisor::tell_names() {
  std::ignore = send_control(init_control_, Control::Names,
                             {resolv_conf(config_.dns_servers, config_.dns_search),
                              nsswitch_conf(!config_.dns_servers.empty())});
}

void Supervisor::ask_net() {
  if (net_ == Net::Starting) return;  // the end of that answers
  if (net_ == Net::Up) {
    clients_->answer_net({});
    static_cast<void>(send_control(init_control_, Control::NetUp));
    return;
  }
  base::Status begun = begin_net();
  if (begun) begun = send_control(init_control_, Control::StartNet);
  if (!begun) net_failed(std::move(begun).error());
}

void Supervisor::handle_configured() {
  net_ = Net::Up;
  if (!gone_) return go();
  static_cast<void>(tell_state());
  ask_net();  // answers all who wait
}

void Supervisor::handle_tunnel_failure(base::Error error) {
  if (!config_.no_net || net_ == Net::Up) return fail(kOwnFailure, std::move(error));
  // Not at once: it is the engine host that calls.
  loop_->at(os::now(), [this, why = std::move(error)]() mutable { net_failed(std::move(why)); });
}

void Supervisor::net_failed(base::Error error) {
  tunnel_.reset();
  net_ = Net::Off;
  const auto fields = failure_fields(kOwnFailure, error);
  static_cast<void>(send_control(init_control_, Control::NetFailed, fields));
  clients_->answer_net(std::move(error));
}

void Supervisor::fail(int exit_code, base::Error error) {
  if (!end_.why) end_ = {.exit_code = exit_code, .why = std::move(error)};
  done_ = true;
}

void Supervisor::go() {
  gone_ = true;
  base::Status told = tell_state();
  if (told) told = send_control(init_control_, Control::Go);
  if (!told) fail(kOwnFailure, std::move(told).error());
  std::ignore = follower_->start();  // without it the run goes on as it is
  loop_->at(os::now() + kSettled, [] { os::release_memory(); });
}

base::Status Supervisor::tell_state() {
  WARREN_TRY_ASSIGN(const std::uint64_t started, os::process_start_time(getpid()));
  std::string addresses;
  for (const base::Prefix& address : config_.addresses) {
    addresses += (addresses.empty() ? "" : ",") + address.to_string();
  }
  std::string exposed;
  for (const Exposure& exposure : config_.exposures) {
    exposed += (exposed.empty() ? "" : ",") + exposure.to_string();
  }
  RunState state = {{"schema", "1"},
                    {"name", config_.name},
                    {"profile", config_.profile},
                    {"pid", std::to_string(getpid())},
                    {"start_time", std::to_string(started)},
                    {"init", std::to_string(init_.pid)},
                    {"addresses", addresses},
                    {"control", files_.control},
                    {"since", std::to_string(since_s_)},
                    {"exposed", exposed},
                    {"net", net_ == Net::Up ? "up" : "off"}};
  if (config_.anyconnect) {
    state["session"] = std::to_string(session_since_s_);
  } else {
    state["public_key"] = config_.public_key.base64();
    state["uapi"] = files_.uapi;
  }
  if (!config_.pid_file.empty()) state["pid_file"] = config_.pid_file;
  for (const std::string& variable : config_.services) {
    std::string& line = state["services"];
    line += (line.empty() ? "" : " ") + variable;
  }
  if (config_.echo_target) state["echo_target"] = config_.echo_target->to_string();
  return write_state(files_.state, state);
}

void Supervisor::pass_on(int signal) {
  static_cast<void>(send_control(init_control_, Control::Signal, {std::to_string(signal)}));
}

// --- init ---

void Supervisor::handle_init_message() {
  auto message = receive_control(init_control_);
  if (!message || message->closed) {
    loop_->forget(init_control_.get());  // its pidfd says the rest
    return;
  }
  switch (message->type) {
    case Control::Tun:
      if (tunnel_) tunnel_->handle_tun(std::move(message->descriptor));
      return;
    case Control::Bare:
      return go();
    case Control::AskNet:
      return ask_net();
    case Control::NetFailed:
      return net_failed(read_failure(*message).error);
    case Control::Failure: {
      Failure failure = read_failure(*message);
      return fail(failure.exit_code, std::move(failure.error));
    }
    case Control::Started:
      command_runs_ = true;
      if (config_.on_started) config_.on_started();
      return;
    case Control::EchoSocket:
      return clients_->answer_echo(*message);
    default:
      return;
  }
}

void Supervisor::handle_init_end() {
  // What it said last may wait behind its end.
  while (!done_ && os::wait_readable(init_control_, base::Duration(0)).value_or(false)) {
    auto message = receive_control(init_control_);
    if (!message || message->closed) break;
    if (message->type != Control::Failure) continue;
    Failure failure = read_failure(*message);
    fail(failure.exit_code, std::move(failure.error));
  }
  done_ = true;
}

RunEnd Supervisor::run() {
  base::Status started = start();
  if (!started) fail(kOwnFailure, std::move(started).error());
  while (!done_) {
    if (base::Status turned = loop_->run_once(std::nullopt); !turned) {
      fail(kOwnFailure, std::move(turned).error());
    }
  }
  int code = kOwnFailure;
  if (init_.pidfd) {
    if (end_.why) static_cast<void>(os::send_signal(init_.pidfd, SIGKILL));
    code = os::wait_for(init_).value_or(kOwnFailure);
  }
  if (!end_.why) end_.exit_code = code;
  forwarder_.reset();
  follower_.reset();
  tunnel_.reset();
  if (config_.anyconnect) config_.anyconnect->process.end();  // where it never became the tunnel
  clients_.reset();
  lock_.reset();
  return std::move(end_);
}

}  // namespace

bool is_run_name(const std::string& name) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  return !name.empty() && name.size() <= kMaxNameSize && alphanumeric(name[0]) &&
         std::ranges::all_of(
             name, [&](char c) { return alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

RunEnd run(RunConfig config) { return Supervisor(std::move(config)).run(); }

}  // namespace warren::netns
