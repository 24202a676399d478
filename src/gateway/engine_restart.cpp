// What a NetworkEngine does when its process ends: see network_engine.cpp.
#include <algorithm>
#include <csignal>

#include "gateway/limits.hpp"
#include "gateway/network_engine.hpp"
#include "os/clock.hpp"
#include "os/process.hpp"

namespace warren::gateway {

using base::ErrorKind;
using base::LogLevel;
using base::make_error;
using control::EngineState;

void NetworkEngine::handle_channel() {
  if (opener_.handle_readable()) return;
  // The channel is over. An engine that closed it is about to end; one that broke the protocol is
  // ended, for it can no longer be served.
  channel_watch_.stop();
  opener_.detach();
  if (!process_.pidfd) return;
  const auto ended = os::wait_readable(process_.pidfd, kEngineStop);
  if (ended && *ended) return;  // handle_exit follows
  say(LogLevel::Error, "the engine gave up its opener channel: it is replaced");
  if (auto status = os::send_signal(process_.pidfd, SIGKILL); !status)
    say(LogLevel::Error, status.error().message);
}

void NetworkEngine::handle_exit() {
  std::string how = "ended";
  if (ours_) {
    if (const auto code = os::try_wait(process_); code)
      how += *code > 128 ? " by signal " + std::to_string(*code - 128)
                         : " with code " + std::to_string(*code);
  }
  const bool stable = os::now() - started_ >= kStableAfter;
  failures_ = stable ? 1 : failures_ + 1;
  say(LogLevel::Error, "engine process " + std::to_string(process_.pid) + " " + how);
  forget_process();
  state_ = EngineState::Restarting;
  if (failures_ <= kFastRestarts)
    restart();
  else
    restart_later();
}

void NetworkEngine::restart() {
  restart_timer_.cancel();
  if (auto status = launch(); !status) {
    say(LogLevel::Error, status.error().message);
    ++failures_;
    restart_later();
  }
}

void NetworkEngine::restart_later() {
  const unsigned doublings = failures_ > kFastRestarts ? failures_ - kFastRestarts - 1 : 0;
  base::Duration pause = kFirstBackoff;
  for (unsigned i = 0; i < doublings && pause < kMaxBackoff; ++i) pause *= 2;
  restart_timer_.set(std::min(pause, kMaxBackoff), [this] { restart(); });
}

base::Status NetworkEngine::ensure_running() {
  if (process_.pidfd) {
    WARREN_TRY_ASSIGN(const bool ended, os::wait_readable(process_.pidfd, base::Duration::zero()));
    if (ended) handle_exit();
  }
  if (state_ == EngineState::Running) return {};
  return make_error(ErrorKind::Unavailable, "the engine of network " + network_ + " does not run",
                    "it is started again by itself; its messages are in " + files_.log);
}

base::Status NetworkEngine::end_process(base::Duration patience) {
  if (!process_.pidfd) return {};
  WARREN_TRY_ASSIGN(bool ended, os::wait_readable(process_.pidfd, patience));
  if (!ended) {
    if (auto status = os::send_signal(process_.pidfd, SIGKILL);
        !status && status.error().os_errno != ESRCH)
      return status;
    WARREN_TRY_ASSIGN(ended, os::wait_readable(process_.pidfd, kEngineStop));
  }
  if (!ended)
    return make_error(ErrorKind::Failed,
                      "process " + std::to_string(process_.pid) + " does not end");
  if (ours_) (void)os::try_wait(process_);
  return {};
}

void NetworkEngine::forget_process() {
  channel_watch_.stop();
  process_watch_.stop();
  opener_.detach();
  process_ = {};
  ours_ = false;
}

}  // namespace warren::gateway
