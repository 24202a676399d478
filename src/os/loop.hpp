// Loop: a single-threaded epoll loop with timers, signals and children, for the engine and the
// runner. (The daemon uses Asio.)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/result.hpp"
#include "base/time.hpp"
#include "os/fd.hpp"

namespace warren::os {

/// What a descriptor is ready for.
struct Ready {
  bool readable = false;
  bool writable = false;
  bool hangup = false;  ///< EPOLLHUP, EPOLLRDHUP or EPOLLERR
};

class Loop {
 public:
  using ReadyHandler = std::move_only_function<void(Ready)>;
  using TimerHandler = std::move_only_function<void()>;

  [[nodiscard]] static base::Result<std::unique_ptr<Loop>> create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Calls `handler` whenever the descriptor is ready (level-triggered). The loop does not own the
  /// descriptor; `forget` it before closing it. `want_write` may be changed later.
  [[nodiscard]] base::Status watch(int descriptor, ReadyHandler handler, bool want_write = false);
  [[nodiscard]] base::Status set_want_write(int descriptor, bool want_write);
  /// Without it the descriptor is not reported as readable, nor when its other end has finished
  /// sending: for a reader that has something else to do first.
  [[nodiscard]] base::Status set_want_read(int descriptor, bool want_read);
  /// Safe inside any handler, the descriptor's own included.
  void forget(int descriptor);

  /// One-shot timer; safe to set again inside its handler. Identified by the returned number.
  using TimerId = std::uint64_t;
  TimerId at(base::Instant when, TimerHandler handler);
  void cancel(TimerId timer);

  /// Runs until stop(); a stop() that came before ends it at once. Returns an Error only when epoll
  /// itself fails.
  [[nodiscard]] base::Status run();
  /// One round: waits at most until `deadline` (nullopt: until something happens).
  [[nodiscard]] base::Status run_once(std::optional<base::Instant> deadline);
  void stop();

 private:
  Loop() = default;
  struct Watch;
  [[nodiscard]] base::Status change(int descriptor, bool want_read, bool want_write);
  [[nodiscard]] base::Result<int> wait(void* events, std::optional<base::Instant> deadline);
  [[nodiscard]] base::Status set_alarm(base::Instant due);
  void clear_alarm();
  void run_due_timers();
  Fd epoll_;
  Fd alarm_;                               // a timer descriptor on CLOCK_BOOTTIME
  std::optional<base::Instant> alarm_at_;  // what it is set to
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  std::uint32_t next_generation_ = 1;
  std::map<std::pair<base::Instant, TimerId>, TimerHandler> timers_;
  std::unordered_map<TimerId, base::Instant> timer_dues_;  // for cancel()
  TimerId next_timer_ = 1;
  bool stopping_ = false;
};

}  // namespace warren::os
