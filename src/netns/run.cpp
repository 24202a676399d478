#include "netns/run.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "netns/control.hpp"
#include "netns/engine_host.hpp"
#include "netns/init.hpp"
#include "netns/limits.hpp"
#include "netns/runtime_dir.hpp"
#include "os/loop.hpp"
#include "os/process.hpp"
#include "os/signals.hpp"
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
// Signals: those that a process sends us are passed to the command. Those that the terminal sends
// reach the command's process group by themselves and are not passed on, or they would arrive
// twice. SIGTSTP stops us too, so that the shell sees the job stopped; SIGCONT continues both.

namespace warren::netns {

namespace {

constexpr int kOwnFailure = 125;
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
  void handle_signals();
  void pass_on(int signal);
  void stop_with_terminal(bool sent_by_process);
  void handle_init_message();
  void handle_init_end();
  void handle_status_client();
  void answer_status_client(const ControlMessage& message);
  void fail(int exit_code, base::Error error);

  RunConfig config_;
  RunFiles files_;
  std::optional<RunLock> lock_;
  std::optional<os::SignalQueue> signals_;
  std::unique_ptr<os::Loop> loop_;
  os::Child init_;
  os::Fd init_control_;
  std::optional<EngineHost> engine_;
  os::Fd status_listener_;
  std::deque<os::Fd> status_clients_;  ///< in the order of their OpenEcho
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
  WARREN_TRY_ASSIGN(RunLock lock,
                    RunLock::acquire(config_.runtime_dir, config_.name, config_.public_key));
  lock_.emplace(std::move(lock));
  WARREN_TRY_ASSIGN(signals_,
                    os::SignalQueue::create({SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2,
                                             SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE}));
  WARREN_TRY(start_init());
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  engine_.emplace(
      *loop_, config_, files_.uapi, [this] { go(); },
      [this](base::Error error) { fail(kOwnFailure, std::move(error)); });
  WARREN_TRY(watch_all());
  return engine_->start();
}

base::Status Supervisor::watch_all() {
  WARREN_TRY_ASSIGN(status_listener_,
                    os::unix_listen(os::UnixType::SeqPacket, files_.control, 0600));
  WARREN_TRY(loop_->watch(signals_->descriptor(), [this](os::Ready) { handle_signals(); }));
  WARREN_TRY(loop_->watch(init_control_.get(), [this](os::Ready) { handle_init_message(); }));
  WARREN_TRY(loop_->watch(init_.pidfd.get(), [this](os::Ready) { handle_init_end(); }));
  return loop_->watch(status_listener_.get(), [this](os::Ready) { handle_status_client(); });
}

void Supervisor::fail(int exit_code, base::Error error) {
  if (!end_.why) end_ = {.exit_code = exit_code, .why = std::move(error)};
  done_ = true;
}

void Supervisor::go() {
  base::Status told = tell_state();
  if (told) told = send_control(init_control_, Control::Go);
  if (!told) fail(kOwnFailure, std::move(told).error());
}

base::Status Supervisor::tell_state() {
  WARREN_TRY_ASSIGN(const std::uint64_t started, os::process_start_time(getpid()));
  std::string addresses;
  for (const base::Prefix& address : config_.addresses) {
    addresses += (addresses.empty() ? "" : ",") + address.to_string();
  }
  RunState state = {{"schema", "1"},
                    {"name", config_.name},
                    {"profile", config_.profile},
                    {"pid", std::to_string(getpid())},
                    {"start_time", std::to_string(started)},
                    {"init", std::to_string(init_.pid)},
                    {"public_key", config_.public_key.base64()},
                    {"addresses", addresses},
                    {"uapi", files_.uapi},
                    {"control", files_.control}};
  if (config_.echo_target) state["echo_target"] = config_.echo_target->to_string();
  return write_state(files_.state, state);
}

// --- signals ---

void Supervisor::pass_on(int signal) {
  static_cast<void>(send_control(init_control_, Control::Signal, {std::to_string(signal)}));
}

void Supervisor::stop_with_terminal(bool sent_by_process) {
  if (sent_by_process) pass_on(SIGTSTP);
  kill(getpid(), SIGSTOP);
  pass_on(SIGCONT);  // we run again
}

void Supervisor::handle_signals() {
  signalfd_siginfo info;
  while (read(signals_->descriptor(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    const bool sent_by_process = info.ssi_code <= 0;  // else by the kernel for a terminal
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGTSTP) {
      stop_with_terminal(sent_by_process);
    } else if ((sent_by_process || !command_runs_) && signal != SIGPIPE) {
      pass_on(signal);
    }
  }
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
      engine_->handle_tun(std::move(message->descriptor));
      return;
    case Control::Failure: {
      Failure failure = read_failure(*message);
      return fail(failure.exit_code, std::move(failure.error));
    }
    case Control::Started:
      command_runs_ = true;
      return;
    case Control::EchoSocket:
      return answer_status_client(*message);
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

// --- status ---

void Supervisor::handle_status_client() {
  auto client = os::unix_accept(status_listener_);
  if (!client || status_clients_.size() >= kMaxStatusClients) return;  // closing it says no
  if (!send_control(init_control_, Control::OpenEcho)) return;
  status_clients_.push_back(std::move(*client));
}

void Supervisor::answer_status_client(const ControlMessage& message) {
  if (status_clients_.empty()) return;
  const os::Fd client = std::move(status_clients_.front());
  status_clients_.pop_front();
  const os::Fd* socket = message.descriptor ? &message.descriptor : nullptr;
  static_cast<void>(send_control(client, Control::EchoSocket, message.fields, socket));
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
  engine_.reset();
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
