#include "netns/anyconnect_host.hpp"

#include <signal.h>

#include <algorithm>

#include "crypto/secret.hpp"
#include "netns/limits.hpp"
#include "os/clock.hpp"
#include "os/unix_socket.hpp"

// Theory of operation
//
//   logged in ── tun offered ──> up ── the process ends, whatever the reason ──> pause
//        ^                                                                         │
//        └────────── a new process: cookie of the session, else a new login <──────┘
//
// Every loss goes this one way, be it a killed process, a server that restarts, or a host without
// an uplink. The tun stays; its packets wait, then are dropped. A run ends for its tunnel only when
// the server refuses to log it in again (kMaxRefusedLogins times), when sessions break as soon as
// they are up (as with engines), or when the first one never comes up. An untrusted certificate in
// between is a reason to wait: it may be the portal of the network the host has roamed to.
//
// Questions of later logins are answered from what the first one kept. A new one, or one that comes
// a second time, cannot be answered here: that login counts as refused.

namespace warren::netns {

namespace {

using base::ErrorKind;
using base::make_error;
using ipc::AnyConnectMessage;
using ipc::AnyConnectType;

bool same_network(const ipc::AnyConnectSession& a, const ipc::AnyConnectSession& b) {
  return a.addresses == b.addresses && a.includes == b.includes && a.excludes == b.excludes &&
         a.mtu == b.mtu && a.dns_servers == b.dns_servers && a.dns_search == b.dns_search;
}

}  // namespace

AnyConnectHost::AnyConnectHost(os::Loop& loop, AnyConnectRun& run, Events events)
    : loop_(loop), run_(run), events_(std::move(events)), process_(std::move(run.process)) {}

AnyConnectHost::~AnyConnectHost() {
  loop_.cancel(timer_);
  if (process_.socket) loop_.forget(process_.socket.get());
  if (process_.child.pidfd) loop_.forget(process_.child.pidfd.get());
  process_.end();
}

base::Status AnyConnectHost::start() {
  const bool lives = process_.socket && !os::wait_readable(process_.child.pidfd, {}).value_or(true);
  if (lives) return watch();
  // It waited for long, in a run that began without a tunnel, and its server did not.
  process_ = {};
  has_session_ = false;
  return restart();
}

base::Status AnyConnectHost::watch() {
  WARREN_TRY(process_.socket.set_nonblocking());
  WARREN_TRY(loop_.watch(process_.socket.get(), [this](os::Ready) { handle_message(); }));
  WARREN_TRY(loop_.watch(process_.child.pidfd.get(), [this](os::Ready) { handle_end(); }));
  return {};
}

void AnyConnectHost::handle_tun(os::Fd tun) {
  tun_ = std::move(tun);
  offer_tun();
}

void AnyConnectHost::offer_tun() {
  if (!tun_ || !has_session_ || !process_.socket) return;
  const auto bytes = ipc::write_anyconnect({.type = AnyConnectType::Tun, .fields = {}});
  static_cast<void>(os::send_message(process_.socket, *bytes, {&tun_}));
}

base::Status AnyConnectHost::restart() {
  AnyConnectMessage start = run_.start;
  start.add("cookie", run_.session.cookie);
  auto process = AnyConnectProcess::start(run_.program, start);
  start.wipe();
  if (!process) return std::move(process).error();
  process_ = std::move(*process);
  WARREN_TRY(watch());
  timer_ = loop_.at(os::now() + kSessionStart, [this] {
    timer_ = 0;
    static_cast<void>(os::send_signal(process_.child.pidfd, SIGKILL));  // its end says the rest
  });
  return {};
}

void AnyConnectHost::give_up(base::Error error) {
  if (auto failed = std::exchange(events_.failed, nullptr)) failed(std::move(error));
}

void AnyConnectHost::notice(const std::string& text) {
  if (run_.notice) run_.notice(text);
}

// --- what the process says ---

void AnyConnectHost::handle_message() {
  auto raw = os::receive_message(process_.socket, ipc::kMaxAnyConnectMessage);
  if (!raw && raw.error().os_errno == EAGAIN) return;
  if (!raw || raw->closed) {
    loop_.forget(process_.socket.get());  // its pidfd says the rest
    return;
  }
  auto message = ipc::parse_anyconnect(raw->bytes);
  base::Status handled = message ? handle(*message) : base::Status(message.error());
  if (handled) return;
  why_ = std::move(handled).error();
  static_cast<void>(os::send_signal(process_.child.pidfd, SIGKILL));
}

base::Status AnyConnectHost::handle(AnyConnectMessage& message) {
  switch (message.type) {
    case AnyConnectType::Question:
      return answer(message);
    case AnyConnectType::Session: {
      base::Status taken = take_session(message);
      message.wipe();
      return taken;
    }
    case AnyConnectType::Up:
      return take_up(message);
    case AnyConnectType::Notice:
      notice(message.get("text"));
      return {};
    case AnyConnectType::Failure:
      why_ = ipc::parse_failure(message);
      return {};
    default:
      return make_error(ErrorKind::Internal, "warren-openconnect sent an unknown message");
  }
}

base::Status AnyConnectHost::answer(const AnyConnectMessage& question) {
  const auto kept = run_.answers.find(question.get("key"));
  if (kept == run_.answers.end() || question.get("attempt") != "1") {
    const std::string said = question.get("message");
    return make_error(
        ErrorKind::NotPermitted,
        "the AnyConnect server refuses to log in again" + (said.empty() ? "" : ": " + said),
        "it may want a password of one use; start a new run");
  }
  AnyConnectMessage reply{.type = AnyConnectType::Answer, .fields = {}};
  reply.add("text", kept->second);
  WARREN_TRY_ASSIGN(auto bytes, ipc::write_anyconnect(reply));
  reply.wipe();
  base::Status sent = os::send_message(process_.socket, bytes);
  crypto::wipe(bytes);
  return sent;
}

base::Status AnyConnectHost::take_session(const AnyConnectMessage& message) {
  WARREN_TRY_ASSIGN(ipc::AnyConnectSession session, ipc::parse_session(message));
  const bool same = same_network(session, run_.session);
  run_.session = std::move(session);
  has_session_ = true;
  if (!same) events_.changed();
  offer_tun();
  return {};
}

base::Status AnyConnectHost::take_up(const AnyConnectMessage& message) {
  const auto mtu = base::parse_number(message.get("mtu"), kMinSessionMtu, UINT16_MAX);
  if (!mtu) return make_error(ErrorKind::Invalid, "the AnyConnect server has an impossible MTU");
  if (*mtu != run_.session.mtu) {
    run_.session.mtu = static_cast<std::uint32_t>(*mtu);
    events_.changed();
  }
  loop_.cancel(std::exchange(timer_, 0));
  const bool was_up = std::exchange(up_, true);
  failures_ = refusals_ = 0;
  why_.reset();
  if (std::exchange(told_lost_, false)) notice("the tunnel is up again");
  ever_up_ = true;
  if (!was_up) events_.turned(true);
  if (auto configured = std::exchange(events_.configured, nullptr)) configured();
  return {};
}

// --- its end ---

void AnyConnectHost::drop() {
  loop_.cancel(std::exchange(timer_, 0));
  loop_.forget(process_.socket.get());
  loop_.forget(process_.child.pidfd.get());
  static_cast<void>(os::try_wait(process_.child));
  process_ = {};
  has_session_ = false;
}

void AnyConnectHost::handle_end() {
  while (os::wait_readable(process_.socket, base::Duration(0)).value_or(false)) {
    auto raw = os::receive_message(process_.socket, ipc::kMaxAnyConnectMessage);
    if (!raw || raw->closed) break;
    auto message = ipc::parse_anyconnect(raw->bytes);
    if (message && message->type == AnyConnectType::Failure) why_ = ipc::parse_failure(*message);
  }
  drop();
  const base::Error why =
      why_.value_or(make_error(ErrorKind::Failed, "warren-openconnect ended unexpectedly"));
  why_.reset();
  if (!ever_up_) return give_up(base::Error(why).within("start the tunnel"));
  if (std::exchange(up_, false)) {
    if (ends_.add(os::now()) >= kMaxEngineEnds) {
      return give_up(base::Error(why).within("the tunnel breaks as soon as it is up"));
    }
    events_.turned(false);
  }
  if (why.kind == ErrorKind::NotPermitted && ++refusals_ >= kMaxRefusedLogins) return give_up(why);
  if (failures_ == 1) {  // the first attempt mends most losses without a word
    notice("the tunnel is down: " + why.message + "; trying again");
    told_lost_ = true;
  }
  const auto pause =
      std::min(kSessionPause * static_cast<std::int64_t>(failures_), kSessionPauseMax);
  ++failures_;
  timer_ = loop_.at(os::now() + pause, [this] {
    timer_ = 0;
    if (base::Status again = restart(); !again) give_up(std::move(again).error());
  });
}

}  // namespace warren::netns
