// Theory of operation
//
// One epoll instance, level-triggered. Each watch has a generation; the event carries descriptor
// and generation, so an event that was already fetched for a descriptor which a handler then
// forgot, closed and got back under the same number is recognised as stale and dropped. A running
// handler is kept alive by a second reference: it may forget itself.
//
// Timers are an ordered map of (due, id). A round runs those that were due and set before the
// round's timers began, in the order of their due times, so a handler that sets itself again in the
// past cannot starve the descriptors. epoll's own timeout does not count suspended time, so the
// loop waits without one, and a timer descriptor on CLOCK_BOOTTIME wakes it: what became due while
// the host was suspended runs at once when it wakes up. The descriptor is set only to an earlier
// time than it is set to already: to be woken once too early costs less than a system call per
// change.
#include "os/loop.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <tuple>

#include "os/clock.hpp"

namespace warren::os {

using base::os_error;

namespace {

constexpr int kEventsPerRound = 64;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;
/// Tags the alarm: watches begin with generation 1.
constexpr std::uint64_t kAlarmTag = 0;

std::uint32_t interest(bool want_read, bool want_write) {
  return (want_read ? EPOLLIN | EPOLLRDHUP : 0U) | (want_write ? EPOLLOUT : 0U);
}

std::uint64_t tag(int descriptor, std::uint32_t generation) {
  return std::uint64_t{generation} << 32 | static_cast<std::uint32_t>(descriptor);
}

Ready ready_of(std::uint32_t events) {
  return {.readable = (events & EPOLLIN) != 0,
          .writable = (events & EPOLLOUT) != 0,
          .hangup = (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0};
}

}  // namespace

struct Loop::Watch {
  ReadyHandler handler;
  std::uint32_t generation = 0;
  bool want_read = true;
  bool want_write = false;
};

base::Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<Loop> loop(new Loop());
  loop->epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!loop->epoll_) return os_error("create an epoll instance");
  loop->alarm_ = Fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!loop->alarm_) return os_error("create a timer descriptor");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kAlarmTag}};
  if (epoll_ctl(loop->epoll_.get(), EPOLL_CTL_ADD, loop->alarm_.get(), &event) < 0)
    return os_error("watch a timer descriptor");
  return loop;
}

Loop::~Loop() = default;

base::Status Loop::watch(int descriptor, ReadyHandler handler, bool want_write) {
  const std::uint32_t generation = next_generation_++;
  epoll_event event{.events = interest(true, want_write),
                    .data = {.u64 = tag(descriptor, generation)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) < 0)
    return os_error("watch descriptor " + std::to_string(descriptor));
  watches_[descriptor] = std::make_shared<Watch>(
      Watch{.handler = std::move(handler), .generation = generation, .want_write = want_write});
  return {};
}

base::Status Loop::set_want_write(int descriptor, bool want_write) {
  const auto found = watches_.find(descriptor);
  return change(descriptor, found == watches_.end() || found->second->want_read, want_write);
}

base::Status Loop::set_want_read(int descriptor, bool want_read) {
  const auto found = watches_.find(descriptor);
  return change(descriptor, want_read, found != watches_.end() && found->second->want_write);
}

base::Status Loop::change(int descriptor, bool want_read, bool want_write) {
  const auto found = watches_.find(descriptor);
  if (found == watches_.end()) return os_error("change a watch", ENOENT);
  Watch& watch = *found->second;
  if (watch.want_read == want_read && watch.want_write == want_write) return {};
  epoll_event event{.events = interest(want_read, want_write),
                    .data = {.u64 = tag(descriptor, watch.generation)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) < 0)
    return os_error("change the watch of descriptor " + std::to_string(descriptor));
  watch.want_read = want_read;
  watch.want_write = want_write;
  return {};
}

void Loop::forget(int descriptor) {
  if (watches_.erase(descriptor) == 0) return;
  // Fails only when the descriptor was closed already, which removed it too.
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

Loop::TimerId Loop::at(base::Instant when, TimerHandler handler) {
  const TimerId id = next_timer_++;
  timers_.emplace(std::pair(when, id), std::move(handler));
  timer_dues_.emplace(id, when);
  return id;
}

void Loop::cancel(TimerId timer) {
  const auto due = timer_dues_.find(timer);
  if (due == timer_dues_.end()) return;
  timers_.erase({due->second, timer});
  timer_dues_.erase(due);
}

void Loop::run_due_timers() {
  if (timers_.empty()) return;
  const base::Instant at = now();
  const TimerId first_of_next_round = next_timer_;
  for (auto next = timers_.begin(); next != timers_.end() && next->first.first <= at;) {
    if (next->first.second >= first_of_next_round) {
      ++next;
      continue;
    }
    auto timer = timers_.extract(next);
    timer_dues_.erase(timer.key().second);
    timer.mapped()();
    next = timers_.begin();  // the handler may have changed anything
  }
}

base::Status Loop::set_alarm(base::Instant due) {
  if (alarm_at_ && *alarm_at_ <= due) return {};
  const itimerspec at{
      .it_interval = {},
      .it_value = {.tv_sec = due.ns / kNsPerSecond, .tv_nsec = due.ns % kNsPerSecond}};
  if (timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &at, nullptr) < 0)
    return os_error("set a timer");
  alarm_at_ = due;
  return {};
}

void Loop::clear_alarm() {
  std::uint64_t expirations = 0;
  std::ignore = ::read(alarm_.get(), &expirations, sizeof expirations);
  alarm_at_.reset();
}

base::Result<int> Loop::wait(void* events, std::optional<base::Instant> deadline) {
  if (!timers_.empty()) {
    const base::Instant due = timers_.begin()->first.first;
    deadline = deadline ? std::min(*deadline, due) : due;
  }
  const bool is_due = deadline && *deadline <= now();
  if (deadline && !is_due) WARREN_TRY(set_alarm(*deadline));
  const int count =
      epoll_wait(epoll_.get(), static_cast<epoll_event*>(events), kEventsPerRound, is_due ? 0 : -1);
  if (count >= 0) return count;
  if (errno == EINTR) return 0;
  return os_error("wait for events");
}

base::Status Loop::run_once(std::optional<base::Instant> deadline) {
  epoll_event events[kEventsPerRound];
  WARREN_TRY_ASSIGN(const int count, wait(events, deadline));
  for (int i = 0; i < count; ++i) {
    const std::uint64_t tagged = events[i].data.u64;
    if (tagged == kAlarmTag) {
      clear_alarm();
      continue;
    }
    const auto found = watches_.find(static_cast<int>(tagged & 0xffff'ffff));
    if (found == watches_.end() || found->second->generation != tagged >> 32) continue;
    const std::shared_ptr<Watch> running = found->second;
    running->handler(ready_of(events[i].events));
  }
  run_due_timers();
  return {};
}

base::Status Loop::run() {
  while (!stopping_) WARREN_TRY(run_once(std::nullopt));
  stopping_ = false;
  return {};
}

void Loop::stop() { stopping_ = true; }

}  // namespace warren::os
