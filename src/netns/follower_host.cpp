#include "netns/follower_host.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>

#include "netns/close_others.hpp"
#include "netns/control.hpp"
#include "os/clock.hpp"
#include "os/unix_socket.hpp"

// Theory of operation. Asking a gateway means TLS, name lookups and waits of a minute, and the
// supervisor may wait for nothing: so it is done by a fork of it that has its key, one socket and
// no other descriptor. One that was killed is replaced, a little later each time; what it had told
// is told once more, which changes nothing. One that ended by itself has said all there is to say.

namespace warren::netns {

namespace {

constexpr base::Duration kPauseAfterEnd = std::chrono::seconds(1);

}  // namespace

void take_peers(const RunNews& news, std::vector<ipc::UapiPeer>& peers) {
  for (ipc::UapiPeer& peer : peers) {
    const auto now = std::ranges::find(news.peers, peer.public_key, &ipc::UapiPeer::public_key);
    if (now == news.peers.end()) continue;
    if (now->endpoint) peer.endpoint = now->endpoint;
    if (!now->allowed_ips.empty()) peer.allowed_ips = now->allowed_ips;
  }
}

FollowerHost::~FollowerHost() {
  loop_.cancel(restart_);
  if (!child_.pidfd) return;
  static_cast<void>(os::send_signal(child_.pidfd, SIGKILL));
  static_cast<void>(os::wait_for(child_));
  forget();
}

void FollowerHost::forget() {
  if (socket_) loop_.forget(socket_.get());
  if (child_.pidfd) loop_.forget(child_.pidfd.get());
  socket_.reset();
  child_ = {};
}

base::Status FollowerHost::start() {
  if (!config_.follower) return {};
  WARREN_TRY_ASSIGN(auto pair, os::unix_pair(os::UnixType::SeqPacket));
  const pid_t supervisor = getpid();
  const pid_t pid = fork();
  if (pid < 0) return base::os_error("create a process that follows the gateway");
  if (pid == 0) be_follower(supervisor, std::move(pair.second));
  child_.pid = pid;
  WARREN_TRY_ASSIGN(child_.start_time, os::process_start_time(pid));
  WARREN_TRY_ASSIGN(child_.pidfd, os::open_pidfd(pid, child_.start_time));
  socket_ = std::move(pair.first);
  WARREN_TRY(socket_.set_nonblocking());
  WARREN_TRY(loop_.watch(socket_.get(), [this](os::Ready) { handle_message(); }));
  return loop_.watch(child_.pidfd.get(), [this](os::Ready) { handle_end(); });
}

void FollowerHost::be_follower(pid_t supervisor, os::Fd socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != supervisor) _exit(kOwnFailure);
  setsid();  // a terminal's signals are not for it
  close_others({socket.get()});
  config_.engine = ipc::UapiSet{};
  config_.follower->follow(socket);
  _exit(0);
}

void FollowerHost::handle_message() {
  auto message = os::receive_message(socket_, kMaxFollowerMessage);
  if (!message && message.error().os_errno == EAGAIN) return;
  if (!message || message->closed) {
    loop_.forget(socket_.get());  // its pidfd says the rest
    socket_.reset();
    return;
  }
  heard_(config_.follower->read(message->bytes));
}

void FollowerHost::handle_end() {
  // What it said last may wait behind its end.
  while (socket_ && os::wait_readable(socket_, base::Duration(0)).value_or(false)) {
    handle_message();
  }
  const int code = os::wait_for(child_).value_or(kOwnFailure);
  forget();
  if (code == 0) return;
  std::ignore = ends_.add(os::now());
  restart_ = loop_.at(os::now() + kPauseAfterEnd + ends_.pause(), [this] {
    restart_ = 0;
    std::ignore = start();  // without it the run goes on as it is
  });
}

}  // namespace warren::netns
