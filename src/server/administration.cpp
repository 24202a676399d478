// Every request carries its token; nothing is remembered from one to the next, so that a deleted
// one is refused from the next request on, on a connection that is open already too, and its event
// streams end when the deletion is recorded.
//
// A wrong secret costs: the answer comes late, and after some of them a source is not even looked
// at for a while, right secret or not. 128 random bits need no more than that; it is there to keep
// the guessing out of the log and the processor.
#include "server/administration.hpp"

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"
#include "os/clock.hpp"

namespace warren::server {
namespace {

/// The secret of "Authorization: Bearer SECRET"; nullopt for anything else.
std::optional<std::vector<std::uint8_t>> bearer_secret(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.size() <= kScheme.size()) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char lower =
        header[i] >= 'A' && header[i] <= 'Z' ? static_cast<char>(header[i] + 32) : header[i];
    if (lower != kScheme[i]) return std::nullopt;
  }
  header.remove_prefix(kScheme.size());
  return base::parse_base64url(header);
}

Response without_token() {
  return error_response(
      401, base::make_error(base::ErrorKind::NotPermitted, "this needs a token",
                            "send Authorization: Bearer SECRET; `warren token create` makes one"));
}

/// One connection of somebody who says he administers.
class Visitor {
 public:
  Visitor(SharedPtr shared, TlsStream& stream, const base::IpAddress& address)
      : shared_(std::move(shared)),
        stream_(stream),
        address_(address),
        source_(source_of(address)),
        place_(shared_->admin_places, source_, shared_->options.limits.admin_connections_per_source,
               [this] { stream_.next_layer().close(); }) {}
  [[nodiscard]] bool granted() const { return place_.granted(); }
  [[nodiscard]] const base::IpAddress& source() const { return source_; }

  asio::awaitable<Response> answer(Request request) {
    if (shared_->stopped) co_return stopping();
    if (!shared_->failure_rate.allow(source_, os::now())) co_return too_many();
    if (recognise(request)) co_return serve(request);
    // Bounded: a source is not even looked at after some of them.
    shared_->log.write(base::LogLevel::Warning, "server",
                       "a request without a good token from " + address_.to_string());
    co_await pause();
    co_return without_token();
  }
  /// Whose last request it was.
  [[nodiscard]] std::string token() const { return known_ ? known_->token : std::string(); }
  /// Whoever asked last may still see what it sees.
  [[nodiscard]] bool may_go_on() const {
    return !shared_->stopped && known_ && shared_->control.is_valid(*known_);
  }

 private:
  /// Finds out who asks; what failed counts.
  bool recognise(Request& request) {
    known_.reset();
    const auto secret = bearer_secret(request.authorization);
    if (!secret) return false;
    auto found = shared_->control.find_administrator(*secret);
    if (!found) return false;
    request.scope = {.is_local = false, .network = {}, .read_only = found->read_only};
    if (found->network) request.scope.network = shared_->control.network_name(*found->network);
    request.actor = "token " + found->token + " from " + address_.to_string();
    known_ = std::move(*found);
    shared_->failure_rate.give_back(source_);
    if (!std::exchange(counted_out_, true)) shared_->admin_connection_rate.give_back(source_);
    const Limits& limits = shared_->options.limits;
    place_.become_known(known_->token, limits.connections_per_token, limits.holder_connections);
    return true;
  }

  Response serve(const Request& request) {
    const auto key = base::IpAddress::from_bytes(base::Bytes(known_->secret_hash).first(16));
    if (!shared_->token_rate.allow(*key, os::now())) {
      return error_response(
          429, base::make_error(base::ErrorKind::Unavailable, "too many requests with this token",
                                "try again in a second"));
    }
    Response response = shared_->api.handle(request);
    shared_->log.write(base::LogLevel::Debug, "server",
                       request.method + " " + request.target.substr(0, 200) + " by " +
                           request.actor + ": " + std::to_string(response.status));
    return response;
  }

  asio::awaitable<void> pause() {
    asio::steady_timer timer(stream_.get_executor(), shared_->options.limits.failure_delay);
    co_await timer.async_wait(kAwait);
  }

  SharedPtr shared_;
  TlsStream& stream_;
  base::IpAddress address_;
  base::IpAddress source_;
  Place place_;
  std::optional<control::Administrator> known_;
  bool counted_out_ = false;  ///< its connection is not a stranger's
};

}  // namespace

asio::awaitable<void> serve_administration(SharedPtr shared, tcp::socket socket) {
  beast::error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) co_return;
  const std::shared_ptr<asio::ssl::context> tls = shared->tls;
  TlsStream stream(beast::tcp_stream(std::move(socket)), *tls);
  Visitor visitor(shared, stream, address_of(remote));
  if (!visitor.granted()) co_return;
  if (!shared->admin_connection_rate.allow(visitor.source(), os::now())) co_return;
  stream.next_layer().expires_after(shared->options.limits.handshake_timeout);
  std::tie(error) = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) co_return;
  const Answer answer = [&visitor](Request request) { return visitor.answer(std::move(request)); };
  std::optional<EventWish> events;
  co_await converse(stream, shared->options.limits, answer, events);
  if (events) {
    const EventStream feed{.control = shared->control,
                           .limits = shared->options.limits,
                           .listeners = shared->distant_listeners,
                           .asker = visitor.token(),
                           .wish = *events,
                           .may_go_on = [&visitor] { return visitor.may_go_on(); }};
    co_await send_events(stream, feed);
  }
  stream.next_layer().expires_after(kDrainTimeout);
  co_await stream.async_shutdown(kAwait);
  co_await drain(stream.next_layer());
}

}  // namespace warren::server
