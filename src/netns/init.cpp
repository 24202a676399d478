#include "netns/init.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns/clients.hpp"
#include "netns/command.hpp"
#include "netns/control.hpp"
#include "netns/doctor.hpp"
#include "netns/echo.hpp"
#include "netns/etc_mount.hpp"
#include "netns/limits.hpp"
#include "netns/mounts.hpp"
#include "netns/network.hpp"
#include "netns/runs.hpp"
#include "os/clock.hpp"
#include "os/file.hpp"
#include "os/loop.hpp"
#include "os/resident.hpp"
#include "os/signals.hpp"

// Theory of operation
//
// Init is a fork of the supervisor, born as pid 1 of the new namespaces with every capability over
// them and none over the host. It maps one user and one group id onto themselves, so the command
// keeps its identity; sets up mounts and network; passes the tun out; and waits for Go. From then
// on it is a plain init: it reaps, passes on the signals that the supervisor names, opens ICMP
// sockets on request, and ends with the command, whereupon the kernel kills all that is left
// inside.
//
// It dies with its supervisor twice over: by the parent-death signal and by end of file on the
// control socket. Every failure before the command runs is reported there; init never prints.

namespace warren::netns {

namespace {

base::Error explain_clone(int error_number) {
  base::Error error = base::os_error("create the namespaces of the run", error_number);
  switch (error_number) {
    case EPERM:
    case EACCES:
      if (seccomp_refuses_namespaces()) {
        return std::move(error).with_hint(
            "the seccomp filter of a surrounding container refuses it: start that with a profile "
            "that allows clone, unshare, setns and mount; see `warren doctor run`");
      }
      return std::move(error).with_hint(
          "unprivileged user namespaces are off: sysctl kernel.unprivileged_userns_clone=1 "
          "(Debian), or with AppArmor kernel.apparmor_restrict_unprivileged_userns=0; in a "
          "container its seccomp profile must allow clone with CLONE_NEWUSER");
    case ENOSPC:
    case EUSERS:
      return std::move(error).with_hint(
          "the limit of namespaces is reached or 0: raise sysctl user.max_user_namespaces (and "
          "user.max_net_namespaces, user.max_mnt_namespaces, user.max_pid_namespaces)");
    case EINVAL:
      return std::move(error).with_hint("this kernel lacks user or network namespaces");
    default:
      return error;
  }
}

base::Error clone_error(int error_number) {
  base::Error error = explain_clone(error_number);
  if (!error.hint.empty()) error.hint += "; ";
  error.hint += "meanwhile `warren proxy` needs no namespace, but is weaker";
  return error;
}

/// One user and one group, each onto itself. Before the maps exist our ids read as nobody's.
base::Status map_ids(uid_t uid, gid_t gid) {
  const auto same = [](unsigned id) {
    return std::to_string(id) + " " + std::to_string(id) + " 1";
  };
  WARREN_TRY(os::write_existing("/proc/self/setgroups", "deny"));
  WARREN_TRY(os::write_existing("/proc/self/uid_map", same(uid)));
  return os::write_existing("/proc/self/gid_map", same(gid));
}

class Init {
 public:
  Init(RunConfig& config, EtcFiles etc, os::Fd control)
      : config_(config), etc_(std::move(etc)), control_(std::move(control)) {}
  [[noreturn]] void run(uid_t uid, gid_t gid);

 private:
  base::Status prepare(uid_t uid, gid_t gid);
  base::Status wait_for_go();
  base::Result<bool> handle_early_message();
  void handle_request(ControlMessage& message);
  void begin_session() const;
  base::Status serve();
  void handle_control();
  void send_echo_socket();
  void serve_forwarder(os::Fd sockets);
  void watch_forwarder();
  void handle_forwarder();
  void start_net();
  void change(const std::vector<std::string>& fields);
  void change_names(const std::vector<std::string>& fields);
  void reap();
  [[noreturn]] void fail(int exit_code, const base::Error& error);

  RunConfig& config_;
  EtcFiles etc_;
  os::Fd control_;
  os::Fd sockets_;                    ///< of the forwarder
  std::unique_ptr<os::Loop> loop_;    ///< since the command runs
  std::unique_ptr<Clients> clients_;  ///< programs inside
  pid_t command_ = 0;
};

void Init::fail(int exit_code, const base::Error& error) {
  static_cast<void>(send_control(control_, Control::Failure, failure_fields(exit_code, error)));
  _exit(exit_code);
}

base::Status Init::prepare(uid_t uid, gid_t gid) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return base::os_error("watch the supervisor");
  if (base::Status mapped = map_ids(uid, gid); !mapped) {
    return clone_error(mapped.error().os_errno).within(mapped.error().message);
  }
  WARREN_TRY(set_up_mounts({.etc = std::move(etc_),
                            .runtime_directory = config_.runtime_dir,
                            .session_directory = config_.session_dir,
                            .kept = config_.kept,
                            .hidden_sockets = config_.hidden_sockets,
                            .weak_dns = config_.weak_dns,
                            .private_tmp = config_.private_tmp}));
  if (config_.no_net) {
    WARREN_TRY(set_up_loopback().within("set up the run's network"));
    return send_control(control_, Control::Bare);
  }
  WARREN_TRY_ASSIGN(const os::Fd tun, set_up_network(config_).within("set up the run's network"));
  return send_control(control_, Control::Tun, {}, &tun);
}

base::Status Init::wait_for_go() {
  bool gone = false;
  while (!gone) {
    WARREN_TRY_ASSIGN(gone, handle_early_message());
  }
  if (!config_.wait_ready || !config_.echo_target) return {};
  const base::IpAddress& target = *config_.echo_target;
  WARREN_TRY_ASSIGN(const os::Fd socket, open_echo_socket(target.family()));
  const base::Instant deadline = os::now() + *config_.wait_ready;
  while (true) {
    WARREN_TRY_ASSIGN(const auto answered, wait_for_echo(socket, target, deadline, &control_));
    if (answered) return {};
    if (os::now() >= deadline) break;
    WARREN_TRY(handle_early_message());
  }
  return base::make_error(
      base::ErrorKind::Unavailable, "the tunnel is not ready: no echo from " + target.to_string(),
      "check Endpoint, that UDP reaches it, and that both sides know each other's public key");
}

/// Before there is a command. True: Go came. A signal that would end the command ends us.
base::Result<bool> Init::handle_early_message() {
  WARREN_TRY_ASSIGN(ControlMessage message, receive_control(control_));
  if (message.closed) _exit(kOwnFailure);
  handle_request(message);
  if (message.type == Control::Signal && !message.fields.empty()) {
    const auto number =
        static_cast<int>(base::parse_number(message.fields[0], 1, NSIG - 1).value_or(0));
    for (const int fatal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
      if (number == fatal) _exit(128 + number);
    }
  }
  return message.type == Control::Go;
}

void Init::handle_request(ControlMessage& message) {
  switch (message.type) {
    case Control::OpenEcho:
      return send_echo_socket();
    case Control::StartNet:
      return start_net();
    case Control::Forwarder:
      return serve_forwarder(std::move(message.descriptor));
    case Control::Change:
      return change(message.fields);
    case Control::Names:
      return change_names(message.fields);
    case Control::NetUp:
      if (clients_) clients_->answer_net({});
      return;
    case Control::NetFailed:
      if (clients_) clients_->answer_net(read_failure(message).error);
      return;
    default:
      return;
  }
}

void Init::start_net() {
  auto tun = set_up_network(config_).within("set up the run's network");
  if (tun) {
    static_cast<void>(send_control(control_, Control::Tun, {}, &*tun));
  } else {
    const auto fields = failure_fields(kOwnFailure, tun.error());
    static_cast<void>(send_control(control_, Control::NetFailed, fields));
  }
}

/// The server of the tunnel gave another network than before. Where it cannot be had, the program
/// goes on with what it has: its packets go to the tunnel or nowhere.
void Init::change(const std::vector<std::string>& fields) {
  auto now = read_network(fields);
  if (!now) return;
  static_cast<void>(change_network(config_, *now));
  static_cast<RunNetwork&>(config_) = std::move(*now);
}

/// Nobody renames in the run's /etc, so what is bound there stays.
void Init::change_names(const std::vector<std::string>& fields) {
  if (fields.size() != 2) return;
  static_cast<void>(replace_etc({{"resolv.conf", fields[0]}, {"nsswitch.conf", fields[1]}}));
}

/// The forwarder's end of the pair; another one takes the place of one that was killed.
void Init::serve_forwarder(os::Fd sockets) {
  if (loop_ && sockets_) loop_->forget(sockets_.get());
  sockets_ = std::move(sockets);
  watch_forwarder();
}

void Init::watch_forwarder() {
  if (!loop_ || !sockets_) return;
  // Where it cannot be watched, its connections wait in vain; the run is not ended for that.
  static_cast<void>(loop_->watch(sockets_.get(), [this](os::Ready) { handle_forwarder(); }));
}

/// A socket for both families where the kernel has IPv6. The forwarder connects it: it stays in the
/// network namespace that it was made in.
void Init::handle_forwarder() {
  const auto message = receive_control(sockets_);
  if (!message || message->closed) {
    loop_->forget(sockets_.get());
    return sockets_.reset();
  }
  const bool tcp = !message->fields.empty() && message->fields[0] == "tcp";
  const int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  os::Fd opened(socket(AF_INET6, type, 0));
  if (!opened) opened = os::Fd(socket(AF_INET, type, 0));
  if (opened) {
    static_cast<void>(send_control(sockets_, Control::Socket, {}, &opened));
  } else {
    const base::Error error = base::os_error("open a socket inside the run");
    static_cast<void>(send_control(sockets_, Control::Socket, {error.message}));
  }
}

void Init::send_echo_socket() {
  const auto family = config_.echo_target ? config_.echo_target->family() : base::Family::V4;
  const auto socket = open_echo_socket(family);
  if (socket) {
    static_cast<void>(send_control(control_, Control::EchoSocket, {}, &*socket));
  } else {
    static_cast<void>(send_control(control_, Control::EchoSocket, {socket.error().message}));
  }
}

void Init::handle_control() {
  auto message = receive_control(control_);
  if (!message || message->closed) _exit(kOwnFailure);
  handle_request(*message);
  if (message->type != Control::Signal || message->fields.empty()) return;
  const auto number = base::parse_number(message->fields[0], 1, NSIG - 1);
  if (number) kill(command_, static_cast<int>(*number));
}

void Init::reap() {
  int status = 0;
  while (const pid_t ended = waitpid(-1, &status, WNOHANG)) {
    if (ended < 0) return;
    if (ended != command_) continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

/// The handshake goes on while the command is loaded: its first packet does not wait for all of it.
void Init::begin_session() const {
  if (config_.no_net || config_.wait_ready || !config_.echo_target) return;
  const auto socket = open_echo_socket(config_.echo_target->family());
  if (socket) static_cast<void>(send_echo(*socket, *config_.echo_target, 0));
}

base::Status Init::serve() {
  begin_session();
  WARREN_TRY_ASSIGN(loop_, os::Loop::create());
  WARREN_TRY_ASSIGN(os::SignalQueue signals, os::SignalQueue::create({SIGCHLD}));
  clients_ = std::make_unique<Clients>(
      *loop_, nullptr, [this] { static_cast<void>(send_control(control_, Control::AskNet)); });
  // Where the system has no /run, only `warren net up` lacks its way.
  static_cast<void>(clients_->listen(kInsideSocket));
  WARREN_TRY_ASSIGN(const StartedCommand started,
                    start_command({.argv = config_.argv,
                                   .environment = config_.environment,
                                   .preserve_fds = config_.preserve_fds}));
  if (started.why) fail(started.exit_code, *started.why);
  command_ = started.pid;
  WARREN_TRY(send_control(control_, Control::Started));
  watch_forwarder();
  WARREN_TRY(loop_->watch(control_.get(), [this](os::Ready) { handle_control(); }));
  WARREN_TRY(loop_->watch(signals.descriptor(), [&](os::Ready) {
    while (signals.poll()) {
    }
    reap();
  }));
  loop_->at(os::now() + kSettled, [] { os::release_memory(); });
  return loop_->run();
}

void Init::run(uid_t uid, gid_t gid) {
  if (base::Status done = prepare(uid, gid); !done) fail(kOwnFailure, done.error());
  if (base::Status done = wait_for_go(); !done) fail(kOwnFailure, done.error());
  if (base::Status done = serve(); !done) fail(kOwnFailure, done.error());
  _exit(kOwnFailure);
}

}  // namespace

base::Result<InitChild> clone_init() {
  const uid_t uid = geteuid();
  const gid_t gid = getegid();
  int pidfd = -1;
  const unsigned long flags = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID |
                              CLONE_PIDFD | static_cast<unsigned long>(SIGCHLD);
  const long pid = syscall(SYS_clone, flags, nullptr, &pidfd, nullptr, nullptr);
  if (pid < 0) return clone_error(errno);
  if (pid > 0) {
    return InitChild{.child = {.pid = static_cast<pid_t>(pid), .pidfd = os::Fd(pidfd)}};
  }
  return InitChild{.is_init = true, .uid = uid, .gid = gid};
}

void run_init(const InitChild& self, RunConfig& config, EtcFiles etc, os::Fd control) {
  config.forget_secrets();
  Init init(config, std::move(etc), std::move(control));
  init.run(self.uid, self.gid);
}

}  // namespace warren::netns
