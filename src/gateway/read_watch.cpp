// The state is shared with the wait in flight: Asio calls a cancelled wait back later, when the
// watch and its owner may be gone. A stopped state has no handler, so nothing is called.
#include "gateway/read_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

namespace warren::gateway {

struct ReadWatch::State {
  explicit State(boost::asio::io_context& io) : descriptor(io) {}

  static void wait(const std::shared_ptr<State>& state) {
    state->descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                 [state](const boost::system::error_code& error) {
                                   if (error || !state->handler) return;
                                   const auto handler = state->handler;  // it may stop the watch
                                   handler();
                                   if (state->handler) wait(state);
                                 });
  }

  boost::asio::posix::stream_descriptor descriptor;
  std::function<void()> handler;
};

ReadWatch::ReadWatch() = default;
ReadWatch::~ReadWatch() { stop(); }

base::Status ReadWatch::start(boost::asio::io_context& io, int descriptor,
                              std::function<void()> handler) {
  stop();
  auto state = std::make_shared<State>(io);
  boost::system::error_code error;
  if (state->descriptor.assign(descriptor, error))
    return base::os_error("watch a descriptor", error.value());
  state->handler = std::move(handler);
  state_ = std::move(state);
  State::wait(state_);
  return {};
}

void ReadWatch::stop() {
  if (!state_) return;
  state_->handler = nullptr;
  state_->descriptor.release();  // ours to watch, not to close
  state_.reset();
}

}  // namespace warren::gateway
