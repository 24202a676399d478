// Server-sent events: the audit, record by record, for whoever listens. Internal to server.
//
// A stream has no queue: the audit on disk is one. Each stream knows the last record that it sent,
// sends what is behind it, and sleeps until more is recorded; one whose peer reads slowly lags
// behind and costs no memory, and one that comes back (Last-Event-ID) goes on where it was. One
// that has a long past to look through gives others their turn after each piece of it. A sleeping
// stream says a word at fixed times, whatever happens to others, to notice that nobody listens any
// more, and looks whether its asker may still know: a token that was deleted wakes every stream,
// since that is a record, too.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "api/json.hpp"
#include "control/control.hpp"
#include "os/clock.hpp"
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

  /// An open stream; not granted where there are too many, or too many of who asks.
  class Place {
   public:
    Place(EventListeners& listeners, const std::string& asker, const Limits& limits)
        : listeners_(listeners), asker_(asker) {
      const std::size_t own = listeners_.of_asker_[asker_]++;
      granted_ = listeners_.streams_++ < limits.event_streams && own < limits.event_streams_of_one;
    }
    ~Place() {
      --listeners_.streams_;
      if (--listeners_.of_asker_[asker_] == 0) listeners_.of_asker_.erase(asker_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    [[nodiscard]] bool granted() const { return granted_; }

   private:
    EventListeners& listeners_;
    std::string asker_;
    bool granted_ = false;
  };

 private:
  std::set<asio::steady_timer*> sleepers_;  ///< in the frames of the coroutines that sleep
  std::size_t streams_ = 0;
  std::map<std::string, std::size_t> of_asker_;
};

struct EventStream {
  control::Control& control;
  const Limits& limits;
  EventListeners& listeners;
  std::string asker;
  EventWish wish;
  std::function<bool()> may_go_on;
};

/// The text of some events, those of the wished network; `after` becomes the number of the last one
/// that was looked at, and `more` whether there may be others behind it.
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

/// Sleeps until there are events to send, or a past to look through, or it is time for a word;
/// false when the asker may have no more.
inline asio::awaitable<bool> wait_for_events(asio::any_io_executor executor,
                                             const EventStream& events, std::uint64_t& after,
                                             std::string& text) {
  const base::Instant until = os::now() + events.limits.event_pause;
  while (true) {
    co_await events.listeners.wait(executor, until - os::now());
    bool more = false;
    if (!events.may_go_on()) co_return false;
    auto next = next_events(events, after, more);
    if (!next) co_return false;
    text = std::move(*next);
    if (!text.empty() || more) co_return true;
    if (os::now() < until) continue;
    text = ": still here\n\n";
    co_return true;
  }
}

/// Sends events until the peer is gone or may not have them any more; the caller closes, and keeps
/// `events` until then.
template <typename Stream>
asio::awaitable<void> send_events(Stream& stream, const EventStream& events) {
  const EventListeners::Place place(events.listeners, events.asker, events.limits);
  if (!place.granted()) {
    co_await send_text(stream, events.limits, event_stream_refusal(11));
    co_return;
  }
  const auto span = events.control.audit_span();
  if (!span) co_return;
  std::uint64_t after = events.wish.after.value_or(span->last);
  if (!co_await send_text(stream, events.limits, event_stream_head(after))) co_return;
  while (events.may_go_on()) {
    bool more = false;
    const base::Result<std::string> next = next_events(events, after, more);
    if (!next) co_return;
    std::string text = *next;
    if (text.empty() && !more &&
        !co_await wait_for_events(stream.get_executor(), events, after, text)) {
      co_return;
    }
    if (text.empty()) {
      co_await asio::post(stream.get_executor(), kAwait);
    } else if (!co_await send_text(stream, events.limits, std::move(text))) {
      co_return;
    }
  }
}

}  // namespace warren::server
