// Members that wait for a change: a long-lived request is a coroutine that sleeps here until its
// time is over or something about it changed. Internal to server.
#pragma once

#include <map>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/time.hpp"
#include "control/control.hpp"
#include "server/http.hpp"

namespace warren::server {

class Waiting {
 public:
  /// Returns when `at_most` has passed, or when it is woken. Of one member the newest request
  /// waits: it ends the wait of the one before, whose asker may be gone. False for that one.
  asio::awaitable<bool> wait(asio::any_io_executor executor, control::Member member,
                             base::Duration at_most) {
    if (const auto before = sleepers_.find(member.peer); before != sleepers_.end()) {
      before->second.timer->cancel();
      sleepers_.erase(before);
    }
    asio::steady_timer timer(executor, at_most);
    sleepers_.emplace(member.peer, Sleeper{.network = member.network, .timer = &timer});
    co_await timer.async_wait(kAwait);
    const auto own = sleepers_.find(member.peer);
    if (own == sleepers_.end() || own->second.timer != &timer) co_return false;
    sleepers_.erase(own);
    co_return true;
  }
  /// One member of a network, or all of them.
  void wake(model::NetworkId network, std::optional<model::PeerId> peer) {
    if (peer) {
      if (const auto one = sleepers_.find(*peer); one != sleepers_.end()) {
        one->second.timer->cancel();
      }
      return;
    }
    for (const auto& [id, sleeper] : sleepers_) {
      if (sleeper.network == network) sleeper.timer->cancel();
    }
  }
  void wake_all() {
    for (const auto& [id, sleeper] : sleepers_) sleeper.timer->cancel();
  }
  [[nodiscard]] std::size_t size() const { return sleepers_.size(); }

 private:
  struct Sleeper {
    model::NetworkId network;
    asio::steady_timer* timer = nullptr;  ///< in the frame of the coroutine that sleeps
  };
  std::map<model::PeerId, Sleeper> sleepers_;
};

}  // namespace warren::server
