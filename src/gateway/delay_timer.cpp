#include "gateway/delay_timer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace warren::gateway {

struct DelayTimer::State {
  explicit State(boost::asio::io_context& io) : timer(io) {}
  boost::asio::steady_timer timer;
  bool cancelled = false;
};

void DelayTimer::set(base::Duration delay, std::function<void()> handler) {
  cancel();
  auto state = std::make_shared<State>(io_);
  state_ = state;
  state->timer.expires_after(delay);
  state->timer.async_wait(
      [this, state, handler = std::move(handler)](const boost::system::error_code& error) {
        if (error || state->cancelled) return;  // `this` may be gone
        state_.reset();
        handler();
      });
}

void DelayTimer::cancel() {
  if (!state_) return;
  state_->cancelled = true;
  state_->timer.cancel();
  state_.reset();
}

}  // namespace warren::gateway
