// One HTTP/1.1 conversation over a stream, as a coroutine. Internal to server: it shows Asio and
// Beast, so only the listeners' .cpp files include it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "server/limits.hpp"
#include "server/router.hpp"

// g++ 12 inlines one half of Asio's frame allocation, and then takes the pair for a mismatch.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace warren::server {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;

inline constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
using Answer = std::function<asio::awaitable<Response>(Request request)>;

/// What a reader's error deserves: a status to answer with, or 0 to close without a word.
[[nodiscard]] unsigned refusal_status(const beast::error_code& error);
[[nodiscard]] http::response<http::string_body> to_message(const Response& response,
                                                           unsigned version, bool keep_alive);
/// What a handler sees of a message.
[[nodiscard]] Request to_request(http::request<http::string_body>&& message);
/// The answer to a request that could not be read.
[[nodiscard]] Response unreadable(unsigned status);

using Parser = http::request_parser<http::string_body>;

/// Reads one request into `parser`: true when it is whole. Otherwise the refusal (if the peer
/// deserves one) is sent and the connection must be closed.
template <typename Stream>
asio::awaitable<bool> read_request(Stream& stream, beast::flat_buffer& buffer, Parser& parser,
                                   const Limits& limits) {
  beast::get_lowest_layer(stream).expires_after(limits.read_timeout);
  auto [error, size] = co_await http::async_read_header(stream, buffer, parser, kAwait);
  if (!error) {
    // The one interim answer that clients wait for (curl, with a larger body).
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
      co_await http::async_write(stream, go_on, kAwait);
    }
    std::tie(error, size) = co_await http::async_read(stream, buffer, parser, kAwait);
  }
  unsigned status = refusal_status(error);
  if (!error && parser.get().version() == 11 && parser.get()[http::field::host].data() == nullptr) {
    status = 400;  // RFC 9112, section 3.2
  }
  if (!error && status == 0) co_return true;
  if (status != 0) {
    auto refusal = to_message(unreadable(status), 11, false);
    beast::get_lowest_layer(stream).expires_after(limits.write_timeout);
    co_await http::async_write(stream, refusal, kAwait);
  }
  co_return false;
}

/// Answers requests until the peer closes, errs, is too slow, or has had enough of them; or until
/// it is to get `events`, which are then the caller's to send. The caller closes the stream.
template <typename Stream>
asio::awaitable<void> converse(Stream& stream, const Limits& limits, const Answer& answer,
                               std::optional<EventWish>& events) {
  beast::flat_buffer buffer(limits.header_bytes + limits.body_bytes);
  for (std::uint32_t served = 0; served < limits.requests_per_connection; ++served) {
    Parser parser;
    parser.header_limit(limits.header_bytes);
    parser.body_limit(limits.body_bytes);
    if (!co_await read_request(stream, buffer, parser, limits)) co_return;

    auto request = parser.release();
    const bool keep_alive = request.keep_alive() && served + 1 < limits.requests_per_connection;
    const unsigned version = request.version();
    Response response = co_await answer(to_request(std::move(request)));
    if (response.events) {
      events = std::move(response.events);
      co_return;
    }
    auto message = to_message(response, version, keep_alive);
    const std::chrono::seconds long_answer(message.body().size() / limits.slowest_reader);
    beast::get_lowest_layer(stream).expires_after(limits.write_timeout + long_answer);
    auto [error, size] = co_await http::async_write(stream, message, kAwait);
    if (error || !keep_alive) co_return;
  }
}

}  // namespace warren::server
