#include "netns/proxy.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "crypto/secret.hpp"
#include "ipc/stack_settings.hpp"
#include "netns/command.hpp"
#include "netns/control.hpp"
#include "netns/engine_host.hpp"
#include "netns/exposure.hpp"
#include "netns/limits.hpp"
#include "netns/own_program.hpp"
#include "netns/runtime_dir.hpp"
#include "netns/signal_relay.hpp"
#include "netns/socket_address.hpp"
#include "os/clock.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"
#include "os/unix_socket.hpp"

// Theory of operation
//
//   command ──loopback──▶ warren-stack ──one packet per message──▶ warren-engine ──UDP──▶ gateway
//
// The supervisor is the process that the user started. It opens every descriptor, starts the engine
// as a run does (what stands for the tun is one end of a socket pair), gives warren-stack the
// other end with the listener and the relays, and starts the command when both are there. It parses
// nothing that comes from outside; the keys go to the engine, the password to the stack and into
// the command's environment, and nowhere else.
//
// There is no namespace, so nothing holds the command back: that is what makes this way weaker.

namespace warren::netns {

namespace {

constexpr std::size_t kPasswordBytes = 16;
constexpr int kPacketsBuffer = 4 << 20;
constexpr std::array kProxyVariables = {"ALL_PROXY",  "all_proxy",   "HTTP_PROXY",
                                        "http_proxy", "HTTPS_PROXY", "https_proxy"};

std::string random_password() {
  std::array<std::uint8_t, kPasswordBytes> bytes;
  os::SystemRandom().fill(bytes);
  return base::to_hex(bytes);
}

base::Result<os::Fd> open_loopback(const base::Endpoint& at, bool tcp) {
  Exposure exposure;
  exposure.listen = at;
  exposure.tcp = tcp;
  exposure.port = at.port;
  return open_listener(exposure);
}

base::Result<base::Endpoint> endpoint_of(const os::Fd& socket) {
  SocketAddress at;
  if (getsockname(socket.get(), at.get(), &at.size) < 0) return base::os_error("ask for our port");
  const auto endpoint = from_socket_address(at);
  if (!endpoint) return base::os_error("ask for our port", EAFNOSUPPORT);
  return *endpoint;
}

void set_variable(std::vector<std::string>& environment, const std::string& entry) {
  const std::string name = entry.substr(0, entry.find('=') + 1);
  std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name); });
  environment.push_back(entry);
}

/// NO_PROXY would send programs past the proxy without anybody having said so for this command.
std::vector<std::string> environment_for(const ProxyConfig& config, const ProxyUrls& urls) {
  std::vector<std::string> out = config.run.environment;
  std::erase_if(out, [](const std::string& one) {
    return one.starts_with("NO_PROXY=") || one.starts_with("no_proxy=");
  });
  for (const std::string name : kProxyVariables) {
    const bool any = name == "ALL_PROXY" || name == "all_proxy";
    set_variable(out, name + "=" + (any ? urls.socks : urls.http));
  }
  for (const std::string& given : config.variables) set_variable(out, given);
  return out;
}

class ProxySupervisor {
 public:
  explicit ProxySupervisor(ProxyConfig config)
      : config_(std::move(config)), files_(config_.run.runtime_dir, config_.run.name) {}
  RunEnd run();

 private:
  base::Status start();
  base::Status start_stack();
  base::Status start_engine();
  base::Status send_settings();
  void handle_stack_message();
  void handle_stack_end();
  void serve_when_ready();
  base::Status serve();
  base::Status tell_state();
  void handle_signals();
  void pass_on(int signal);
  void fail(int exit_code, base::Error error);
  void stop_command();

  ProxyConfig config_;
  RunFiles files_;
  std::optional<RunLock> lock_;
  std::optional<SignalRelay> signals_;
  std::unique_ptr<os::Loop> loop_;
  std::string password_ = random_password();
  os::Fd stack_control_;
  os::Fd engine_packets_;  ///< until the engine's host has it
  std::optional<os::Child> stack_;
  base::Endpoint listens_;
  std::optional<EngineHost> engine_;
  bool engine_ready_ = false;
  bool stack_ready_ = false;
  bool serving_ = false;
  pid_t command_ = 0;
  bool done_ = false;
  RunEnd end_;
};

base::Status ProxySupervisor::start() {
  const RunConfig& run = config_.run;
  WARREN_TRY_ASSIGN(RunLock lock, RunLock::acquire({.directory = run.runtime_dir,
                                                    .name = run.name,
                                                    .key = run.public_key,
                                                    .shared_keys = run.shared_keys}));
  lock_.emplace(std::move(lock));
  WARREN_TRY_ASSIGN(signals_, SignalRelay::create([this](int signal) { pass_on(signal); }));
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  WARREN_TRY(loop_->watch(signals_->descriptor(), [this](os::Ready) { handle_signals(); }));
  WARREN_TRY(start_stack());
  WARREN_TRY(start_engine());
  if (!run.wait_ready) return {};
  loop_->at(os::now() + *run.wait_ready, [this] {
    if (serving_) return;
    fail(kOwnFailure,
         base::make_error(
             base::ErrorKind::Unavailable,
             "no echo came back from " + config_.run.echo_target->to_string() + " in time",
             "check the profile's Endpoint and keys, and that the gateway runs"));
  });
  return {};
}

// --- the stack ---

base::Status ProxySupervisor::start_stack() {
  WARREN_TRY_ASSIGN(const os::Fd listener, open_loopback(config_.listen, true).within("proxy"));
  const int yes = 1;  // accepted sockets take it over
  setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  WARREN_TRY_ASSIGN(listens_, endpoint_of(listener));
  std::vector<os::Fd> relays(kProxyRelays);
  for (os::Fd& relay : relays) {
    WARREN_TRY_ASSIGN(relay, open_loopback({.address = listens_.address}, false).within("proxy"));
  }
  WARREN_TRY_ASSIGN(auto packets, os::unix_pair(os::UnixType::SeqPacket));
  WARREN_TRY_ASSIGN(auto control, os::unix_pair(os::UnixType::SeqPacket));
  for (const os::Fd* one : {&packets.first, &packets.second}) {
    setsockopt(one->get(), SOL_SOCKET, SO_SNDBUF, &kPacketsBuffer, sizeof kPacketsBuffer);
  }
  os::SpawnOptions options;
  options.argv = {config_.stack_program};
  options.environment.emplace();
  options.descriptors = {{ipc::kStackControlFd, &control.second},
                         {ipc::kStackPacketsFd, &packets.second},
                         {ipc::kStackListenerFd, &listener}};
  for (std::size_t i = 0; i < relays.size(); ++i) {
    options.descriptors[ipc::kStackRelaysFd + static_cast<int>(i)] = &relays[i];
  }
  options.new_session = true;  // a terminal's signals are not for it
  options.die_with_parent = true;
  WARREN_TRY_ASSIGN(stack_, os::spawn(options));
  engine_packets_ = std::move(packets.first);
  stack_control_ = std::move(control.first);
  WARREN_TRY(send_settings());
  WARREN_TRY(loop_->watch(stack_control_.get(), [this](os::Ready) { handle_stack_message(); }));
  return loop_->watch(stack_->pidfd.get(), [this](os::Ready) { handle_stack_end(); });
}

base::Status ProxySupervisor::send_settings() {
  const RunConfig& run = config_.run;
  ipc::StackSettings settings{.addresses = run.addresses,
                              .routes = run.routes,
                              .dns_servers = run.dns_servers,
                              .dns_search = run.dns_search,
                              .mtu = run.mtu,
                              .relays = kProxyRelays,
                              .echo_target = std::nullopt,
                              .password = password_};
  if (run.wait_ready) settings.echo_target = run.echo_target;
  std::string text = ipc::write_stack_settings(settings);
  base::Status sent = os::send_message(stack_control_, base::as_bytes(text));
  crypto::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return std::move(sent).within("tell warren-stack its settings");
}

void ProxySupervisor::handle_stack_message() {
  const auto message = os::receive_message(stack_control_, ipc::kMaxStackSettings);
  if (!message || message->closed) {
    loop_->forget(stack_control_.get());  // its pidfd says the rest
    return;
  }
  stack_ready_ = true;
  serve_when_ready();
}

void ProxySupervisor::handle_stack_end() {
  loop_->forget(stack_->pidfd.get());
  const int code = os::try_wait(*stack_).value_or(-1);
  stack_.reset();
  fail(kOwnFailure, base::make_error(base::ErrorKind::Failed,
                                     "warren-stack ended (exit code " + std::to_string(code) + ")",
                                     config_.stack_program + " must be of the same version"));
}

// --- the tunnel ---

base::Status ProxySupervisor::start_engine() {
  engine_.emplace(
      *loop_, config_.run, files_.uapi,
      [this] {
        engine_ready_ = true;
        serve_when_ready();
      },
      [this](base::Error error) { fail(kOwnFailure, std::move(error)); });
  WARREN_TRY(engine_->start());
  engine_->handle_tun(std::move(engine_packets_));
  return {};
}

// --- the command ---

void ProxySupervisor::serve_when_ready() {
  if (!engine_ready_ || !stack_ready_ || serving_ || done_) return;
  serving_ = true;
  if (base::Status served = serve(); !served) fail(kOwnFailure, std::move(served).error());
}

base::Status ProxySupervisor::serve() {
  WARREN_TRY(tell_state());
  const std::string at = "warren:" + password_ + "@" + listens_.to_string();
  const ProxyUrls urls{.socks = "socks5h://" + at, .http = "http://" + at};
  if (config_.on_serving) config_.on_serving(urls);
  if (config_.run.argv.empty()) return {};
  CommandOptions options;
  options.argv = config_.run.argv;
  options.environment = environment_for(config_, urls);
  options.preserve_fds = config_.run.preserve_fds;
  options.confined = false;
  options.die_with_parent = true;
  WARREN_TRY_ASSIGN(StartedCommand started, start_command(options));
  if (started.why) {
    fail(started.exit_code, std::move(*started.why));
    return {};
  }
  command_ = started.pid;
  return {};
}

base::Status ProxySupervisor::tell_state() {
  WARREN_TRY_ASSIGN(const std::uint64_t started, os::process_start_time(getpid()));
  std::string addresses;
  for (const base::Prefix& address : config_.run.addresses) {
    addresses += (addresses.empty() ? "" : ",") + address.to_string();
  }
  return write_state(files_.state, {{"schema", "1"},
                                    {"kind", "proxy"},
                                    {"name", config_.run.name},
                                    {"profile", config_.run.profile},
                                    {"pid", std::to_string(getpid())},
                                    {"start_time", std::to_string(started)},
                                    {"init", std::to_string(stack_->pid)},
                                    {"public_key", config_.run.public_key.base64()},
                                    {"addresses", addresses},
                                    {"uapi", files_.uapi},
                                    {"since", std::to_string(os::wall_now().seconds())},
                                    {"net", "up"}});
}

void ProxySupervisor::handle_signals() {
  signals_->handle(command_ != 0);
  if (command_ == 0) return;
  int status = 0;
  if (waitpid(command_, &status, WNOHANG) != command_) return;
  command_ = 0;
  done_ = true;
  end_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void ProxySupervisor::pass_on(int signal) {
  if (command_ != 0) {
    kill(command_, signal);
    return;
  }
  const bool ends = signal == SIGINT || signal == SIGTERM || signal == SIGHUP || signal == SIGQUIT;
  if (!ends || done_) return;
  done_ = true;
  end_.exit_code = serving_ && config_.run.argv.empty() ? 0 : 128 + signal;
}

void ProxySupervisor::fail(int exit_code, base::Error error) {
  if (!end_.why && !done_) end_ = {.exit_code = exit_code, .why = std::move(error)};
  done_ = true;
}

/// Only where the proxy failed: a command would wait for it in vain.
void ProxySupervisor::stop_command() {
  if (command_ == 0) return;
  kill(command_, SIGTERM);
  kill(command_, SIGCONT);
  const base::Instant deadline = os::now() + kStopFarewell;
  // Its end makes the signals' descriptor readable.
  while (command_ != 0 && os::now() < deadline) {
    std::ignore = loop_->run_once(deadline);
  }
  if (command_ == 0) return;
  kill(command_, SIGKILL);
  waitpid(command_, nullptr, 0);
}

RunEnd ProxySupervisor::run() {
  base::Status started = start();
  if (!started) fail(kOwnFailure, std::move(started).error());
  while (!done_) {
    if (base::Status turned = loop_->run_once(std::nullopt); !turned) {
      fail(kOwnFailure, std::move(turned).error());
    }
  }
  RunEnd end = std::move(end_);
  if (loop_) stop_command();
  engine_.reset();
  if (stack_) {
    std::ignore = os::send_signal(stack_->pidfd, SIGKILL);
    std::ignore = os::wait_for(*stack_);
  }
  lock_.reset();
  crypto::wipe({reinterpret_cast<std::uint8_t*>(password_.data()), password_.size()});
  return end;
}

}  // namespace

base::Result<std::string> stack_program() {
  return own_program("WARREN_STACK", "warren-stack",
                     "install warren-stack beside warren, or set WARREN_STACK to its path");
}

RunEnd run_proxy(ProxyConfig config) { return ProxySupervisor(std::move(config)).run(); }

}  // namespace warren::netns
