// Server-sent events: the audit, record by record, for whoever listens. Internal to server.
//
// A stream has no queue: the audit on disk is one. Each stream knows the last record that it sent,
// sends what is behind it, and sleeps until more is recorded; one whose peer reads slowly lags
// behind and costs no memory, and one that comes back (Last-Event-ID) goes on where it was. A
// sleeping stream says a word now and then, to notice that nobody listens any more, and looks
// whether its asker may still know: a token that was deleted wakes every stream, since that is a
// record, too.
#pragma once

#include <functional>
#include <set>
#include <string>

#include <boost/asio/steady_timer.hpp>

#include "api/json.hpp"
#include "control/control.hpp"
#include "server/http.hpp"

namespace warren::server {

class EventListeners {
 public:
  /// Returns when something was recorded, or `at_most` has passed.
  asio::awaitable<void> wait(asio::any_io_executor executor, base::Duration at_most) {
    asio::steady_timer timer(executor, at_most);
    sleepers_.insert(&timer);
    co_await timer.async_wait(kAwait);
    sleepers_.erase(&timer);
  }
  void wake() {
    for (asio::steady_timer* timer : sleepers_) timer->cancel();
  }

  std::size_t streams = 0;  ///< open ones

 private:
  std::set<asio::steady_timer*> sleepers_;  ///< in the frames of the coroutines that sleep
};

struct EventStream {
  control::Control& control;
  const Limits& limits;
  EventListeners& listeners;
  EventWish wish;
  std::function<bool()> may_go_on;
};

/// The text of some events, those of the wished network; `after` becomes the last one's number.
[[nodiscard]] base::Result<std::string> next_events(const EventStream& stream, std::uint64_t& after,
                                                    bool& more);
/// The head of the answer, and of the stream, which says behind which record it begins.
[[nodiscard]] std::string event_stream_head(std::uint64_t after);
[[nodiscard]] std::string event_stream_refusal(unsigned version);

template <typename Stream>
asio::awaitable<bool> send_text(Stream& stream, const Limits& limits, std::string text) {
  beast::get_lowest_layer(stream).expires_after(limits.write_timeout);
  auto [error, size] = co_await asio::async_write(stream, asio::buffer(text), kAwait);
  co_return !error;
}

/// Sends events until the peer is gone or may not have them any more; the caller closes, and keeps
/// `events` until then.
template <typename Stream>
asio::awaitable<void> send_events(Stream& stream, const EventStream& events) {
  if (events.listeners.streams >= events.limits.event_streams) {
    co_await send_text(stream, events.limits, event_stream_refusal(11));
    co_return;
  }
  struct Count {
    explicit Count(std::size_t& counted) : count(counted) { ++count; }
    ~Count() { --count; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    std::size_t& count;
  } const count(events.listeners.streams);
  const auto span = events.control.audit_span();
  if (!span) co_return;
  std::uint64_t after = events.wish.after.value_or(span->last);
  if (!co_await send_text(stream, events.limits, event_stream_head(after))) co_return;
  while (events.may_go_on()) {
    bool more = false;
    base::Result<std::string> text = next_events(events, after, more);
    if (!text) co_return;
    if (text->empty() && !more) {
      co_await events.listeners.wait(stream.get_executor(), events.limits.event_pause);
      if (!events.may_go_on()) co_return;
      text = next_events(events, after, more);
      if (!text) co_return;
      if (text->empty() && !more) text = std::string(": still here\n\n");
    }
    if (!text->empty() && !co_await send_text(stream, events.limits, std::move(*text))) co_return;
  }
}

}  // namespace warren::server
