// One callback after a while, on the daemon's Asio context.
#pragma once

#include <functional>
#include <memory>

#include "base/time.hpp"

namespace boost::asio {
class io_context;
}

namespace warren::gateway {

class DelayTimer {
 public:
  explicit DelayTimer(boost::asio::io_context& io) : io_(io) {}
  ~DelayTimer() { cancel(); }
  DelayTimer(const DelayTimer&) = delete;
  DelayTimer& operator=(const DelayTimer&) = delete;

  /// Calls `handler` once; replaces what was set before.
  void set(base::Duration delay, std::function<void()> handler);
  void cancel();
  [[nodiscard]] bool is_set() const { return state_ != nullptr; }

 private:
  struct State;
  boost::asio::io_context& io_;
  std::shared_ptr<State> state_;
};

}  // namespace warren::gateway
