// What the listeners' coroutines have in common. Internal to server.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/address.hpp"
#include "control/control.hpp"
#include "server/access.hpp"
#include "server/events.hpp"
#include "server/http.hpp"
#include "server/places.hpp"
#include "server/rate_limit.hpp"
#include "server/routes.hpp"
#include "server/server.hpp"
#include "server/waiting.hpp"

namespace warren::server {

using asio::ip::tcp;
using Local = asio::local::stream_protocol;
using LocalStream = beast::basic_stream<Local>;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

inline constexpr std::size_t kDrainBytes = std::size_t{256} * 1024;  // dropped before a close
inline constexpr base::Duration kDrainTimeout = std::chrono::seconds(1);

struct Shared {
  Shared(asio::io_context& io, control::Control& controlled, base::Log& log_to, Options given)
      : options(std::move(given)),
        log(log_to),
        access(options.group),
        api(api_routes(controlled, options.reload)),
        enrol(enrol_routes(controlled)),
        connection_rate(options.limits.connections_per_second, options.limits.connection_burst,
                        options.limits.tracked_sources),
        enrolment_rate(options.limits.enrolments_per_second, options.limits.enrolment_burst,
                       options.limits.tracked_sources),
        member_rate(options.limits.member_requests_per_second, options.limits.member_request_burst,
                    options.limits.tracked_sources),
        admin_connection_rate(options.limits.admin_connections_per_second,
                              options.limits.admin_connection_burst,
                              options.limits.tracked_sources),
        failure_rate(options.limits.failures_per_second, options.limits.failure_burst,
                     options.limits.tracked_sources),
        token_rate(options.limits.token_requests_per_second, options.limits.token_request_burst,
                   options.limits.tracked_sources),
        control(controlled),
        api_acceptor(io),
        enrol_acceptor(io),
        admin_acceptor(io),
        renewal(io) {}

  Options options;
  base::Log& log;
  Access access;
  Router api;
  Router enrol;
  RateLimit connection_rate;
  RateLimit enrolment_rate;
  RateLimit member_rate;
  RateLimit admin_connection_rate;
  RateLimit failure_rate;
  RateLimit token_rate;  ///< the hash of a token stands for its source
  control::Control& control;
  Waiting waiting;
  EventListeners listeners;          ///< on the unix socket
  EventListeners distant_listeners;  ///< holders of tokens, who take no place of the others
  Local::acceptor api_acceptor;
  tcp::acceptor enrol_acceptor;
  tcp::acceptor admin_acceptor;
  asio::steady_timer renewal;
  std::shared_ptr<asio::ssl::context> tls;  // replaced at renewal; a connection keeps its own
  base::WallTime tls_begins{};
  base::WallTime tls_ends{};
  Connections api_open;
  Places enrol_places;  ///< the known are members
  Places admin_places;  ///< the known are holders of tokens
  bool stopped = false;
};
using SharedPtr = std::shared_ptr<Shared>;

/// What a source is limited by, and shown as.
[[nodiscard]] inline base::IpAddress address_of(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  if (address.is_v4()) return base::IpAddress::v4(address.to_v4().to_bytes());
  if (address.to_v6().is_v4_mapped())
    return source_of(base::IpAddress::v6(address.to_v6().to_bytes()));
  return base::IpAddress::v6(address.to_v6().to_bytes());
}

/// Lets the peer read our last answer before the connection goes.
template <typename Stream>
asio::awaitable<void> drain(Stream& lowest) {
  beast::error_code ignored;
  static_cast<void>(lowest.socket().shutdown(asio::socket_base::shutdown_send, ignored));
  lowest.expires_after(kDrainTimeout);
  std::array<char, 4096> sink;
  for (std::size_t dropped = 0; dropped < kDrainBytes;) {
    auto [error, size] = co_await lowest.async_read_some(asio::buffer(sink), kAwait);
    if (error) break;
    dropped += size;
  }
}

[[nodiscard]] inline Response stopping() {
  return error_response(base::make_error(base::ErrorKind::Unavailable, "the daemon is stopping"));
}

[[nodiscard]] inline Response too_many() {
  return error_response(
      429, base::make_error(base::ErrorKind::Unavailable, "too many requests from your address",
                            "try again in a few seconds"));
}

}  // namespace warren::server
