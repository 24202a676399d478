#include "netns/forwarder_host.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns/close_others.hpp"
#include "netns/control.hpp"
#include "os/clock.hpp"
#include "os/unix_socket.hpp"

// Theory of operation. The process is a fork of the supervisor that keeps the listening sockets and
// its way to init, closes every other descriptor (the tun and the engine's among them) and wipes
// the keys. The supervisor keeps the listening sockets too, so a process that was killed is
// replaced with its ports open all the time; connections through the old one are cut. Each gets a
// socket pair of its own to init: what init still had to say to the old one cannot reach the new
// one.

namespace warren::netns {

ForwarderHost::ForwarderHost(os::Loop& loop, RunConfig& config, const os::Fd& init_control,
                             Failed failed)
    : loop_(loop), config_(config), init_control_(init_control), failed_(std::move(failed)) {}

ForwarderHost::~ForwarderHost() {
  loop_.cancel(restart_);
  if (!child_.pidfd) return;
  loop_.forget(child_.pidfd.get());
  // Init is gone, so it ends by itself, when what the program said last has been passed on.
  const base::Duration most = kForwarderFarewell + kForwarderFarewell / 4;
  const bool ended = os::wait_readable(child_.pidfd, most).value_or(false);
  if (!ended) static_cast<void>(os::send_signal(child_.pidfd, SIGKILL));
  static_cast<void>(os::wait_for(child_));
}

base::Status ForwarderHost::start() {
  if (config_.exposures.empty()) return {};
  for (const Exposure& exposure : config_.exposures) {
    WARREN_TRY_ASSIGN(listeners_.emplace_back(), open_listener(exposure));
  }
  return fork_one();
}

base::Status ForwarderHost::fork_one() {
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  WARREN_TRY(send_control(init_control_, Control::Forwarder, {}, &pair.second));
  const pid_t supervisor = getpid();
  const pid_t pid = fork();
  if (pid < 0) return base::os_error("create a process for the exposed ports");
  if (pid == 0) be_forwarder(supervisor, std::move(pair.first));
  if (base::Status watched = watch_one(pid); !watched) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    child_ = {};
    return watched;
  }
  return {};
}

base::Status ForwarderHost::watch_one(pid_t pid) {
  child_.pid = pid;
  WARREN_TRY_ASSIGN(child_.start_time, os::process_start_time(pid));
  WARREN_TRY_ASSIGN(child_.pidfd, os::open_pidfd(pid, child_.start_time));
  return loop_.watch(child_.pidfd.get(), [this](os::Ready) { handle_end(); });
}

void ForwarderHost::be_forwarder(pid_t supervisor, os::Fd sockets) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != supervisor) _exit(kOwnFailure);
  setsid();  // a terminal's signals are not for it
  std::vector<int> kept = {sockets.get()};
  for (const os::Fd& listener : listeners_) kept.push_back(listener.get());
  close_others(std::move(kept));
  config_.forget_secrets();
  ForwarderConfig forwarding{.exposures = config_.exposures,
                             .listeners = std::move(listeners_),
                             .addresses = {},
                             .sockets = std::move(sockets)};
  for (const base::Prefix& own : config_.addresses) forwarding.addresses.push_back(own.address);
  run_forwarder(std::move(forwarding));
  _exit(0);
}

void ForwarderHost::handle_end() {
  loop_.forget(child_.pidfd.get());
  const int code = os::wait_for(child_).value_or(kOwnFailure);
  child_ = {};
  if (code == 0) return;  // init is gone, and that says the rest
  if (ends_.add(os::now()) >= kMaxEngineEnds) {
    return failed_(base::make_error(base::ErrorKind::Failed,
                                    "the process of the exposed ports ends again and again"));
  }
  restart_ = loop_.at(os::now() + ends_.pause(), [this] {
    restart_ = 0;
    base::Status again = fork_one();
    if (!again && again.error().os_errno != EPIPE) failed_(std::move(again).error());
  });
}

}  // namespace warren::netns
