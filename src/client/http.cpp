// Theory of operation
//
// Beast has deadlines only for asynchronous operations, so an exchange is a coroutine on an
// io_context of its own, run to its end by the calling thread. No state survives an exchange.
//
// The pinned exchange replaces certificate verification as a whole by one comparison: the SHA-256
// of the presented key's SPKI against the pin. TLS 1.3 proves possession of that key before the
// client sends its first byte of application data, so the secret in the request reaches nobody
// else. Name, dates and issuer of the certificate mean nothing here (a member's clock may be off).
//
// Looking up the name is the one step without a deadline of ours: getaddrinfo cannot be stopped,
// and resolv.conf bounds it.
#include "client/http.hpp"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "client/limits.hpp"
#include "pki/identity.hpp"

namespace warren::client {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Local = asio::local::stream_protocol;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// Calls `tick` until `over`.
asio::awaitable<void> keep_ticking(const std::function<base::Duration()>& tick,
                                   asio::steady_timer& timer, const bool& over) {
  while (!over) {
    timer.expires_after(tick());
    co_await timer.async_wait(kAwait);
  }
}

/// Hands the body over as it comes; `first` of it came with the header.
template <typename Stream>
asio::awaitable<beast::error_code> take_body(Stream& stream, const HttpRequest& request,
                                             std::string_view first) {
  asio::steady_timer timer(stream.get_executor());
  bool over = false;
  if (request.tick) {
    asio::co_spawn(stream.get_executor(), keep_ticking(request.tick, timer, over), asio::detached);
  }
  beast::error_code error;
  std::array<char, 16384> piece;
  bool wanted = first.empty() || request.take(first);
  while (wanted && !error) {
    std::size_t size = 0;
    beast::get_lowest_layer(stream).expires_after(kEventSilence);
    std::tie(error, size) = co_await stream.async_read_some(asio::buffer(piece), kAwait);
    if (size > 0) wanted = request.take(std::string_view(piece.data(), size));
  }
  over = true;
  timer.cancel();
  // The ticks end before the frame that they look into.
  co_await asio::post(stream.get_executor(), asio::use_awaitable);
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) error = {};
  co_return error;
}

/// Sends the request and reads the whole answer; the stream's deadline is set by the caller.
template <typename Stream>
asio::awaitable<beast::error_code> ask(Stream& stream, const HttpRequest& request,
                                       const std::string& host, std::size_t max_bytes,
                                       HttpAnswer& answer) {
  http::request<http::string_body> message(http::string_to_verb(request.method), request.target,
                                           11);
  message.set(http::field::host, host);
  message.set(http::field::user_agent, "warren/" WARREN_VERSION);
  message.set(http::field::accept, "application/json");
  message.keep_alive(false);
  if (!request.body.empty()) message.set(http::field::content_type, "application/json");
  if (!request.authorization.empty()) {
    message.set(http::field::authorization, request.authorization);
  }
  message.body() = request.body;
  message.prepare_payload();
  auto [error, size] = co_await http::async_write(stream, message, kAwait);
  // A server that refuses early has answered although it did not read everything: look.
  const beast::error_code write_error = error;
  beast::flat_buffer buffer;
  buffer.reserve(kReadAtOnce);  // otherwise it is filled 512 bytes at a time
  http::response_parser<http::empty_body> head;
  head.body_limit(max_bytes);
  if (request.take) {
    std::tie(error, size) = co_await http::async_read_header(stream, buffer, head, kAwait);
    if (error) co_return write_error ? write_error : error;
    answer.status = head.get().result_int();
    if (answer.status == 200) {
      const auto data = buffer.data();
      co_return co_await take_body(stream, request,
                                   {static_cast<const char*>(data.data()), data.size()});
    }
  }
  http::response_parser<http::string_body> parser(std::move(head));
  parser.body_limit(max_bytes);
  std::tie(error, size) = co_await http::async_read(stream, buffer, parser, kAwait);
  if (error) co_return write_error ? write_error : error;
  answer.status = parser.get().result_int();
  const auto wait = base::parse_number(parser.get()[http::field::retry_after], 0, UINT32_MAX);
  answer.retry_after_s = static_cast<std::uint32_t>(wait.value_or(0));
  answer.body = std::move(parser.get().body());
  co_return beast::error_code{};
}

bool was_closed(const beast::error_code& error) {
  return error == http::error::end_of_stream || error == http::error::partial_message ||
         error == asio::ssl::error::stream_truncated || error == asio::error::eof ||
         error == asio::error::connection_reset || error == asio::error::broken_pipe;
}

std::string reason(const beast::error_code& error) {
  if (error == beast::error::timeout) return "no answer in time";
  if (was_closed(error)) return "the connection was closed before the answer";
  return error.message();
}

base::Error daemon_error(const std::string& path, const beast::error_code& error, bool connected) {
  if (error == asio::error::access_denied) {
    return base::make_error(base::ErrorKind::NotPermitted, "open " + path + ": permission denied",
                            "run this as root, or join the group 'warren': usermod -aG warren "
                            "USER (and log in again)");
  }
  if (!connected) {
    return base::make_error(base::ErrorKind::Unavailable,
                            "the daemon is not running (" + path + ": " + error.message() + ")",
                            "start it: warren daemon (or: systemctl start warren)");
  }
  return base::make_error(base::ErrorKind::Unavailable, "ask the daemon: " + reason(error),
                          "look at the daemon's log");
}

asio::awaitable<void> run_unix(const std::string& path, const HttpRequest& request,
                               base::Duration timeout, base::Result<HttpAnswer>& result) {
  beast::basic_stream<Local> stream(co_await asio::this_coro::executor);
  stream.expires_after(timeout);
  auto [error] = co_await stream.async_connect(Local::endpoint(path), kAwait);
  if (error) {
    result = daemon_error(path, error, false);
    co_return;
  }
  HttpAnswer answer;
  error = co_await ask(stream, request, "warren", kMaxAnswerBytes, answer);
  if (error) {
    result = daemon_error(path, error, true);
  } else {
    result = std::move(answer);
  }
}

// --- pinned ---

struct PinCheck {
  std::array<std::uint8_t, 32> expected{};
  bool mismatch = false;
};

int verify_pin(X509_STORE_CTX* store, void* argument) {
  auto& check = *static_cast<PinCheck*>(argument);
  check.mismatch = true;
  X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == nullptr) return 0;
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return 0;
  std::vector<std::uint8_t> der(static_cast<std::size_t>(size));
  std::uint8_t* end = der.data();
  if (i2d_X509(certificate, &end) != size) return 0;
  const auto pin = pki::certificate_pin(der.data(), der.size());
  check.mismatch = !pin || *pin != check.expected;
  return check.mismatch ? 0 : 1;
}

base::Error pin_error(const PinnedGateway& gateway) {
  const base::HostPort& at = gateway.at;
  if (gateway.administration) {
    return base::make_error(
        base::ErrorKind::NotPermitted,
        at.host + " port " + std::to_string(at.port) +
            " has another key than the gateway that was added here: nothing was sent to it",
        "check that nobody sits in between; if the gateway was set up anew, delete this remote and "
        "add it again with a new token");
  }
  return base::make_error(
      base::ErrorKind::NotPermitted,
      at.host + " port " + std::to_string(at.port) + " is not the gateway that made this token",
      "its key differs: check that nobody sits in between; if the gateway was set up anew, ask for "
      "a new token");
}

enum class Outcome { Answered, TryNext, Refused };

struct PinnedRequest {
  const MakeRequest& make;
  base::Duration answer_timeout;
};

/// Opens the socket with its mark; without one the connect opens it.
beast::error_code open_marked(tcp::socket& socket, const tcp::endpoint& to, std::uint32_t mark) {
  beast::error_code error;
  if (mark == 0) return error;
  static_cast<void>(socket.open(to.protocol(), error));
  if (error) return error;
  if (::setsockopt(socket.native_handle(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) {
    error.assign(errno, boost::system::system_category());
  }
  return error;
}

pki::Binding binding_of(SSL* connection) {
  pki::Binding binding{};
  const std::string_view label = pki::kMemberExporter;
  if (SSL_export_keying_material(connection, binding.data(), binding.size(), label.data(),
                                 label.size(), nullptr, 0, 0) != 1) {
    binding = {};
  }
  return binding;
}

/// One address: connect, prove the key, ask.
asio::awaitable<Outcome> ask_address(asio::ssl::context& tls, PinCheck& check,
                                     const tcp::endpoint& address, const PinnedGateway& gateway,
                                     const PinnedRequest& request, bool& sent,
                                     base::Result<HttpAnswer>& result) {
  const std::string where = (gateway.administration ? "administer " : "enrol at ") +
                            address.address().to_string() + " port " +
                            std::to_string(address.port()) + ": ";
  asio::ssl::stream<beast::tcp_stream> stream(beast::tcp_stream(co_await asio::this_coro::executor),
                                              tls);
  stream.next_layer().expires_after(kConnectTimeout);
  beast::error_code error = open_marked(stream.next_layer().socket(), address, gateway.mark);
  if (!error) std::tie(error) = co_await stream.next_layer().async_connect(address, kAwait);
  const bool connected = !error;
  if (connected) {
    stream.next_layer().expires_after(kHandshakeTimeout);
    std::tie(error) = co_await stream.async_handshake(asio::ssl::stream_base::client, kAwait);
  }
  if (check.mismatch) {
    result = pin_error(gateway);
    co_return Outcome::Refused;
  }
  if (error) {
    result = base::make_error(base::ErrorKind::Unavailable, where + reason(error),
                              "check the network, and that the gateway's daemon runs");
    if (connected && was_closed(error)) result.error().os_errno = ECONNRESET;
    co_return Outcome::TryNext;
  }
  sent = true;
  stream.next_layer().expires_after(request.answer_timeout);
  HttpAnswer answer;
  error = co_await ask(stream, request.make(binding_of(stream.native_handle())), gateway.at.host,
                       gateway.max_answer, answer);
  if (error) {
    result =
        base::make_error(base::ErrorKind::Unavailable, where + reason(error),
                         gateway.administration ? "look what was done before you try again"
                                                : "try again: the token stays valid for this key");
    co_return Outcome::Refused;
  }
  result = std::move(answer);
  co_return Outcome::Answered;
}

asio::awaitable<void> run_pinned(asio::ssl::context& tls, PinCheck& check,
                                 const std::vector<tcp::endpoint>& addresses,
                                 const PinnedGateway& gateway, const PinnedRequest& request,
                                 bool& sent, base::Result<HttpAnswer>& result) {
  for (const tcp::endpoint& address : addresses) {
    const Outcome outcome =
        co_await ask_address(tls, check, address, gateway, request, sent, result);
    if (outcome != Outcome::TryNext) co_return;
  }
}

base::Result<std::vector<tcp::endpoint>> look_up(asio::io_context& io, const base::HostPort& at) {
  beast::error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(at.host, std::to_string(at.port),
                                      asio::ip::resolver_base::numeric_service, error);
  if (error) {
    return base::make_error(base::ErrorKind::Unavailable,
                            "look up the gateway's name " + at.host + ": " + error.message(),
                            "check the network and the host's DNS");
  }
  std::vector<tcp::endpoint> addresses;
  for (const auto& entry : found) {
    if (addresses.size() < kMaxAddresses) addresses.push_back(entry.endpoint());
  }
  return addresses;
}

}  // namespace

base::Result<HttpAnswer> exchange_unix(const std::string& socket_path, const HttpRequest& request,
                                       base::Duration timeout) {
  // sun_path is what the kernel takes; Asio would throw.
  if (socket_path.empty() || socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return base::make_error(base::ErrorKind::Invalid,
                            "the socket path '" + socket_path + "' has no usable length",
                            "choose a shorter --run-dir");
  }
  asio::io_context io(1);
  base::Result<HttpAnswer> result = base::make_error(base::ErrorKind::Internal, "no answer");
  asio::co_spawn(io, run_unix(socket_path, request, timeout, result), asio::detached);
  io.run();
  return result;
}

base::Result<HttpAnswer> exchange_pinned(const PinnedGateway& gateway, const HttpRequest& request,
                                         bool& sent) {
  return exchange_pinned(
      gateway, [&request](const pki::Binding&) { return request; }, sent, kEnrolTimeout);
}

base::Result<HttpAnswer> exchange_pinned(const PinnedGateway& gateway, const MakeRequest& make,
                                         bool& sent, base::Duration answer_timeout) {
  sent = false;
  asio::io_context io(1);
  WARREN_TRY_ASSIGN(const auto addresses, look_up(io, gateway.at));
  SSL_CTX* raw = SSL_CTX_new(TLS_client_method());
  if (raw == nullptr || SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) != 1) {
    SSL_CTX_free(raw);
    return base::make_error(base::ErrorKind::Internal, "make a TLS context");
  }
  PinCheck check{.expected = gateway.pin};
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(raw, &verify_pin, &check);
  asio::ssl::context tls(raw);
  base::Result<HttpAnswer> result = base::make_error(
      base::ErrorKind::Unavailable, "the name " + gateway.at.host + " has no address");
  const PinnedRequest request{.make = make, .answer_timeout = answer_timeout};
  asio::co_spawn(io, run_pinned(tls, check, addresses, gateway, request, sent, result),
                 asio::detached);
  io.run();
  return result;
}

base::Result<std::vector<base::IpAddress>> look_up(const base::HostPort& at) {
  asio::io_context io(1);
  WARREN_TRY_ASSIGN(const auto endpoints, look_up(io, at));
  std::vector<base::IpAddress> addresses;
  for (const tcp::endpoint& endpoint : endpoints) {
    const auto address = endpoint.address();
    addresses.push_back(address.is_v4() ? base::IpAddress::v4(address.to_v4().to_bytes())
                                        : base::IpAddress::v6(address.to_v6().to_bytes()));
  }
  return addresses;
}

std::string percent_encode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kHex[byte >> 4]);
    out.push_back(kHex[byte & 15]);
  }
  return out;
}

}  // namespace warren::client
