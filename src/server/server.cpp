// Theory of operation
//
// Two acceptors, each a coroutine that spawns one coroutine per connection; all run on the caller's
// io_context, that is on the daemon's one thread, so nothing here is locked and a handler may call
// control directly. What outlives a coroutine's suspension is held by `Shared`, which every
// coroutine keeps alive; it also knows each open connection, so that `stop` can close them all.
// After `stop` no handler runs: coroutines find `stopped` set and end.
//
// A connection passes these gates, in this order:
//   API (unix socket):   connection limit → peer credentials (one 403 answer for others) → requests
//   enrolment (TLS):     connection limit → limit per source → rate of connections per source
//                        → TLS 1.3 handshake → rate of enrolments per source (429) → requests
// A member that has proved its key on a connection passes the last gate of its own (waiting.hpp)
// and gives its place among the strangers back. Every wait for the peer has a deadline. Before a
// connection with unread input is closed, a little of it is read and dropped, so that the refusal
// reaches the peer instead of a reset.
//
// Deliberately not here: HTTP/2, TLS for administration, static files, events.

#include "server/server.hpp"

#include <map>
#include <optional>
#include <unordered_map>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>

#include <unistd.h>

#include "api/json.hpp"
#include "base/address.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"
#include "os/unix_socket.hpp"
#include "server/access.hpp"
#include "server/http.hpp"
#include "server/rate_limit.hpp"
#include "server/routes.hpp"
#include "server/tls.hpp"
#include "server/waiting.hpp"

namespace warren::server {
namespace {

using asio::ip::tcp;
using Local = asio::local::stream_protocol;
using LocalStream = beast::basic_stream<Local>;
using TlsStream = asio::ssl::stream<beast::tcp_stream>;

constexpr std::size_t kDrainBytes = std::size_t{256} * 1024;  // read and dropped before a close
constexpr base::Duration kDrainTimeout = std::chrono::seconds(1);
constexpr base::Duration kAcceptPause = std::chrono::milliseconds(100);  // out of descriptors

/// Open connections by number, each with the way to close it.
class Connections {
 public:
  std::uint64_t add(std::function<void()> close) {
    open_.emplace(++last_, std::move(close));
    return last_;
  }
  void remove(std::uint64_t id) { open_.erase(id); }
  [[nodiscard]] std::size_t size() const { return open_.size(); }
  void close_all() {
    for (const auto& [id, close] : open_) close();
  }

 private:
  std::map<std::uint64_t, std::function<void()>> open_;
  std::uint64_t last_ = 0;
};

class Entry {
 public:
  Entry(Connections& table, std::function<void()> close)
      : table_(table), id_(table.add(std::move(close))) {}
  ~Entry() { table_.remove(id_); }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  Connections& table_;
  std::uint64_t id_;
};

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
        control(controlled),
        api_acceptor(io),
        enrol_acceptor(io),
        renewal(io) {}

  Options options;
  base::Log& log;
  Access access;
  Router api;
  Router enrol;
  RateLimit connection_rate;
  RateLimit enrolment_rate;
  RateLimit member_rate;
  control::Control& control;
  Waiting waiting;
  Local::acceptor api_acceptor;
  tcp::acceptor enrol_acceptor;
  asio::steady_timer renewal;
  std::shared_ptr<asio::ssl::context> tls;  // replaced at renewal; a connection keeps its own
  Connections api_open;
  Connections enrol_open;
  Connections members_open;
  std::unordered_map<base::IpAddress, std::size_t> open_per_source;
  bool stopped = false;
};
using SharedPtr = std::shared_ptr<Shared>;

base::Result<os::PeerCredentials> credentials_of(int socket) {
  os::Fd borrowed(socket);
  auto credentials = os::peer_credentials(borrowed);
  static_cast<void>(borrowed.release());
  return credentials;
}

base::IpAddress address_of(const tcp::endpoint& endpoint) {
  const auto address = endpoint.address();
  if (address.is_v4()) return base::IpAddress::v4(address.to_v4().to_bytes());
  return source_of(base::IpAddress::v6(address.to_v6().to_bytes()));
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

Response stopping() {
  return error_response(base::make_error(base::ErrorKind::Unavailable, "the daemon is stopping"));
}

Response answer_api(Shared& shared, const base::Result<std::string>& actor, Request request) {
  if (shared.stopped) return stopping();
  Response response;
  if (!actor) {
    response = error_response(actor.error());
  } else {
    request.actor = *actor;
    response = shared.api.handle(request);
  }
  shared.log.write(base::LogLevel::Debug, "server",
                   request.method + " " + request.target.substr(0, 200) + " by " +
                       (actor ? *actor : "a stranger") + ": " + std::to_string(response.status));
  return response;
}

asio::awaitable<void> serve_api(SharedPtr shared, Local::socket socket) {
  LocalStream stream(std::move(socket));
  const Entry entry(shared->api_open, [&stream] { stream.close(); });
  base::Result<std::string> actor = base::make_error(base::ErrorKind::Internal, "");
  if (auto peer = credentials_of(stream.socket().native_handle())) {
    actor = shared->access.check(*peer);
  } else {
    actor = std::move(peer).error();
  }
  const Answer answer = [&](std::string method, std::string target,
                            std::string body) -> asio::awaitable<Response> {
    co_return answer_api(*shared, actor,
                         {.method = std::move(method),
                          .target = std::move(target),
                          .body = std::move(body),
                          .actor = {},
                          .binding = {}});
  };
  co_await converse(stream, shared->options.limits, answer);
  co_await drain(stream);
}

/// Counts a source's open connections; empty when it has too many.
class SourceSlot {
 public:
  SourceSlot(Shared& shared, const base::IpAddress& source) : shared_(shared), source_(source) {
    granted_ =
        shared_.open_per_source[source_]++ < shared_.options.limits.enrol_connections_per_source;
  }
  ~SourceSlot() {
    const auto found = shared_.open_per_source.find(source_);
    if (--found->second == 0) shared_.open_per_source.erase(found);
  }
  SourceSlot(const SourceSlot&) = delete;
  SourceSlot& operator=(const SourceSlot&) = delete;
  [[nodiscard]] bool granted() const { return granted_; }

 private:
  Shared& shared_;
  base::IpAddress source_;
  bool granted_ = false;
};

Response too_many() {
  return error_response(
      429, base::make_error(base::ErrorKind::Unavailable, "too many requests from your address",
                            "try again in a few seconds"));
}

/// What this connection is known by, to both ends and to nobody else.
pki::Binding binding_of(TlsStream& stream) {
  pki::Binding binding{};
  const int made = SSL_export_keying_material(stream.native_handle(), binding.data(),
                                              binding.size(), pki::kMemberExporter.data(),
                                              pki::kMemberExporter.size(), nullptr, 0, 0);
  if (made != 1) binding = {};
  return binding;
}

/// One TLS connection: of a stranger until it has proved to be a member.
class Guest {
 public:
  Guest(SharedPtr shared, TlsStream& stream, const base::IpAddress& source)
      : shared_(std::move(shared)),
        stream_(stream),
        source_(source),
        slot_(std::in_place, *shared_, source) {
    entry_.emplace(shared_->enrol_open, [this] { stream_.next_layer().close(); });
  }
  [[nodiscard]] bool granted() const { return slot_->granted(); }
  asio::awaitable<Response> answer(Request request);

 private:
  asio::awaitable<Response> sync(std::string body);
  void become_member();

  SharedPtr shared_;
  TlsStream& stream_;
  base::IpAddress source_;
  std::optional<SourceSlot> slot_;
  std::optional<Entry> entry_;
};

asio::awaitable<Response> Guest::answer(Request request) {
  if (shared_->stopped) co_return stopping();
  const bool of_member = request.target.starts_with("/v1/member/");
  RateLimit& rate = of_member ? shared_->member_rate : shared_->enrolment_rate;
  if (!rate.allow(source_, os::now())) co_return too_many();
  if (request.method == "POST" && request.target == "/v1/member/sync") {
    co_return co_await sync(std::move(request.body));
  }
  request.binding = binding_of(stream_);
  Response response = shared_->enrol.handle(request);
  // Those who guess are held back, not a batch system that starts a thousand jobs from one address.
  if (response.status == 200 && !of_member) rate.give_back(source_);
  co_return response;
}

void Guest::become_member() {
  if (!slot_) return;
  shared_->connection_rate.give_back(source_);
  slot_.reset();
  entry_.reset();
  entry_.emplace(shared_->members_open, [this] { stream_.next_layer().close(); });
}

asio::awaitable<Response> Guest::sync(std::string body) {
  const auto wanted = api::decode<api::MemberRequest>(body);
  if (!wanted) co_return error_response(wanted.error());
  const auto member = shared_->control.find_member(*wanted, binding_of(stream_));
  if (!member) co_return error_response(member.error());
  become_member();
  const Limits& limits = shared_->options.limits;
  const base::Instant deadline =
      os::now() +
      std::min<base::Duration>(std::chrono::seconds(wanted->wait_s), limits.longest_wait);
  bool replaced = false;
  while (true) {
    auto state = shared_->control.member_state(*member);
    if (!state) co_return error_response(state.error());
    const bool full = shared_->waiting.size() >= limits.waiting_members;
    const bool over = replaced || os::now() >= deadline;
    if (over || full || state->revision != wanted->revision) {
      state->come_back = full && !over;
      co_return Response{.status = 200, .body = api::encode(*state), .allow = {}};
    }
    replaced =
        !co_await shared_->waiting.wait(stream_.get_executor(), *member, deadline - os::now());
    if (shared_->stopped) co_return stopping();
  }
}

asio::awaitable<void> serve_enrolment(SharedPtr shared, tcp::socket socket) {
  beast::error_code error;
  const tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) co_return;
  const base::IpAddress source = address_of(remote);
  const std::shared_ptr<asio::ssl::context> tls = shared->tls;
  TlsStream stream(beast::tcp_stream(std::move(socket)), *tls);
  Guest guest(shared, stream, source);
  if (!guest.granted() || !shared->connection_rate.allow(source, os::now())) co_return;
  stream.next_layer().expires_after(shared->options.limits.handshake_timeout);
  std::tie(error) = co_await stream.async_handshake(asio::ssl::stream_base::server, kAwait);
  if (error) co_return;
  const Answer answer = [&guest](std::string method, std::string target, std::string body) {
    return guest.answer({.method = std::move(method),
                         .target = std::move(target),
                         .body = std::move(body),
                         .actor = {},
                         .binding = {}});
  };
  co_await converse(stream, shared->options.limits, answer);
  stream.next_layer().expires_after(kDrainTimeout);
  co_await stream.async_shutdown(kAwait);
  co_await drain(stream.next_layer());
}

/// Accepts until stopped. `serve` makes the coroutine of one connection.
template <typename Acceptor, typename Serve>
asio::awaitable<void> accept_all(SharedPtr shared, Acceptor& acceptor, const Connections& open,
                                 std::size_t limit, Serve serve) {
  asio::steady_timer pause(acceptor.get_executor());
  while (!shared->stopped) {
    auto [error, socket] = co_await acceptor.async_accept(kAwait);
    if (shared->stopped || error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors, or the peer went away meanwhile
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAwait);
      continue;
    }
    if (open.size() >= limit) continue;  // closes it
    asio::co_spawn(acceptor.get_executor(), serve(shared, std::move(socket)), asio::detached);
  }
}

base::Status renew_certificate(Shared& shared) {
  if (!shared.options.make_certificate) {
    return base::make_error(base::ErrorKind::Internal, "no certificate for the enrolment listener");
  }
  WARREN_TRY_ASSIGN(const std::string certificate, shared.options.make_certificate());
  WARREN_TRY_ASSIGN(TlsContext context,
                    make_tls_context(certificate, shared.options.identity_key_pem));
  shared.tls = std::make_shared<asio::ssl::context>(context.release());
  return {};
}

asio::awaitable<void> keep_certificate_fresh(SharedPtr shared) {
  while (!shared->stopped) {
    shared->renewal.expires_after(shared->options.limits.certificate_renewal);
    auto [error] = co_await shared->renewal.async_wait(kAwait);
    if (error || shared->stopped) co_return;
    if (const base::Status renewed = renew_certificate(*shared); !renewed) {
      shared->log.write(base::LogLevel::Error, "server",
                        "renew the enrolment certificate: " + renewed.error().message);
    }
  }
}

base::Error bind_error(const base::HostPort& at, const beast::error_code& error) {
  const std::string what =
      "listen for enrolments on " + at.host + " port " + std::to_string(at.port) + " (tcp)";
  if (error == asio::error::address_in_use) {
    return base::make_error(base::ErrorKind::Conflict, what + ": the port is taken",
                            "find its owner with: ss -lntp 'sport = :" + std::to_string(at.port) +
                                "', or choose another port in the settings");
  }
  return base::os_error(what, error.value());
}

beast::error_code try_listen(tcp::acceptor& acceptor, const tcp::endpoint& at) {
  beast::error_code error;
  static_cast<void>(acceptor.open(at.protocol(), error));
  if (!error) static_cast<void>(acceptor.set_option(asio::socket_base::reuse_address(true), error));
  if (!error && at.protocol() == tcp::v6()) {
    static_cast<void>(
        acceptor.set_option(asio::ip::v6_only(!at.address().to_v6().is_unspecified()), error));
  }
  if (!error) static_cast<void>(acceptor.bind(at, error));
  if (!error) static_cast<void>(acceptor.listen(asio::socket_base::max_listen_connections, error));
  if (error) {
    beast::error_code ignored;
    static_cast<void>(acceptor.close(ignored));
  }
  return error;
}

base::Status listen_for_enrolments(Shared& shared) {
  const auto at = base::HostPort::parse(shared.options.enrol_listen);
  beast::error_code error;
  const auto address = at ? asio::ip::make_address(at->host, error) : asio::ip::address();
  if (!at || error) {
    return base::make_error(
        base::ErrorKind::Invalid,
        "listen for enrolments on '" + shared.options.enrol_listen + "': not an address and a port",
        "write it as [::]:51800 or 192.0.2.1:51800");
  }
  error = try_listen(shared.enrol_acceptor, {address, at->port});
  const bool no_ipv6 = error == asio::error::address_family_not_supported ||
                       error == beast::error_code(EADDRNOTAVAIL, boost::system::system_category());
  if (no_ipv6 && address.is_v6() && address.is_unspecified()) {
    error = try_listen(shared.enrol_acceptor, {asio::ip::address_v4::any(), at->port});
  }
  if (error) return bind_error(*at, error);
  return {};
}

base::Status listen_for_api(Shared& shared) {
  const std::string& path = shared.options.socket_path;
  WARREN_TRY_ASSIGN(os::Fd listener, os::unix_listen(os::UnixType::Stream, path, 0600));
  WARREN_TRY(shared.access.open_to_group(path));
  beast::error_code error;
  static_cast<void>(shared.api_acceptor.assign(Local(), listener.get(), error));
  if (error) return base::os_error("listen on " + path, error.value());
  static_cast<void>(listener.release());
  return {};
}

}  // namespace

struct Server::Impl {
  SharedPtr shared;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

base::Result<std::unique_ptr<Server>> Server::create(asio::io_context& io,
                                                     control::Control& control, base::Log& log,
                                                     Options options) {
  auto shared = std::make_shared<Shared>(io, control, log, std::move(options));
  const Limits& limits = shared->options.limits;
  control.on_change(
      [waiting = &shared->waiting](auto network, auto peer) { waiting->wake(network, peer); });
  const bool enrols = !shared->options.enrol_listen.empty();
  // The port first: a refusal must not replace the socket file.
  if (enrols) {
    WARREN_TRY(renew_certificate(*shared));
    WARREN_TRY(listen_for_enrolments(*shared));
  }
  WARREN_TRY(listen_for_api(*shared));
  asio::co_spawn(io,
                 accept_all(shared, shared->api_acceptor, shared->api_open, limits.api_connections,
                            &serve_api),
                 asio::detached);
  if (enrols) {
    asio::co_spawn(io,
                   accept_all(shared, shared->enrol_acceptor, shared->enrol_open,
                              limits.enrol_connections, &serve_enrolment),
                   asio::detached);
    asio::co_spawn(io, keep_certificate_fresh(shared), asio::detached);
  }
  auto impl = std::make_unique<Impl>();
  impl->shared = std::move(shared);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::enrol_port() const {
  beast::error_code error;
  const auto at = impl_->shared->enrol_acceptor.local_endpoint(error);
  return error ? std::uint16_t{0} : at.port();
}

void Server::stop() {
  Shared& shared = *impl_->shared;
  if (std::exchange(shared.stopped, true)) return;
  beast::error_code ignored;
  if (shared.api_acceptor.is_open()) ::unlink(shared.options.socket_path.c_str());
  static_cast<void>(shared.api_acceptor.close(ignored));
  static_cast<void>(shared.enrol_acceptor.close(ignored));
  static_cast<void>(shared.renewal.cancel(ignored));
  shared.api_open.close_all();
  shared.enrol_open.close_all();
  shared.members_open.close_all();
  shared.control.on_change(nullptr);
  shared.waiting.wake_all();
}

}  // namespace warren::server
