// Theory of operation
//
// Up to three acceptors, each a coroutine that spawns one coroutine per connection; all run on the
// caller's io_context, that is on the daemon's one thread, so nothing here is locked and a handler
// may call control directly. What outlives a coroutine's suspension is held by `Shared`, which
// every coroutine keeps alive; it also knows each open connection, so that `stop` can close them
// all. After `stop` no handler runs: coroutines find `stopped` set and end.
//
// A connection passes these gates, in this order:
//   API (unix socket):   connection limit → peer credentials (one 403 answer for others) → requests
//   enrolment (TLS):     connection limit → limit per source → rate of connections per source
//                        → TLS 1.3 handshake → rate of enrolments per source (429) → requests
//   administration (TLS): as enrolment, with limits of its own; each request proves a token
// A member that has proved its key on a connection, and a holder of a token, gives its place among
// the strangers back (places.hpp); a member that waits does so behind a gate of its own
// (waiting.hpp). Every wait for the peer has a deadline. Before a
// connection with unread input is closed, a little of it is read and dropped, so that the refusal
// reaches the peer instead of a reset.
//
// Whoever asks for events gets them (events.hpp) until the connection closes.
//
// Deliberately not here: HTTP/2, static files.

#include "server/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <unistd.h>

#include "os/fd.hpp"
#include "os/unix_socket.hpp"
#include "server/administration.hpp"
#include "server/enrolment.hpp"
#include "server/shared.hpp"
#include "server/tls_listener.hpp"

namespace warren::server {
namespace {

constexpr base::Duration kAcceptPause = std::chrono::milliseconds(100);  // out of descriptors

base::Result<os::PeerCredentials> credentials_of(int socket) {
  os::Fd borrowed(socket);
  auto credentials = os::peer_credentials(borrowed);
  static_cast<void>(borrowed.release());
  return credentials;
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
  const Entry entry(shared->api_open, {}, [&stream] { stream.close(); });
  base::Result<std::string> actor = base::make_error(base::ErrorKind::Internal, "");
  if (auto peer = credentials_of(stream.socket().native_handle())) {
    actor = shared->access.check(*peer);
  } else {
    actor = std::move(peer).error();
  }
  const Answer answer = [&](Request request) -> asio::awaitable<Response> {
    co_return answer_api(*shared, actor, std::move(request));
  };
  std::optional<EventWish> events;
  co_await converse(stream, shared->options.limits, answer, events);
  if (events) {
    const EventStream feed{.control = shared->control,
                           .limits = shared->options.limits,
                           .listeners = shared->listeners,
                           .asker = *actor,
                           .wish = *events,
                           .may_go_on = [&] { return !shared->stopped; }};
    co_await send_events(stream, feed);
  }
  co_await drain(stream);
}

bool has_room(Connections& open, std::size_t limit, const Local::socket&) {
  return open.size() < limit;
}
bool has_room(Connections& strangers, std::size_t limit, const tcp::socket& newcomer) {
  if (strangers.size() < limit) return true;
  beast::error_code error;
  const tcp::endpoint remote = newcomer.remote_endpoint(error);
  return !error && strangers.make_room(source_of(address_of(remote)));
}

/// Accepts until stopped. `serve` makes the coroutine of one connection.
template <typename Acceptor, typename Serve>
asio::awaitable<void> accept_all(SharedPtr shared, Acceptor& acceptor, Connections& open,
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
    if (!has_room(open, limit, socket)) continue;  // closes it
    asio::co_spawn(acceptor.get_executor(), serve(shared, std::move(socket)), asio::detached);
  }
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
  control.on_record([shared = shared.get()] {
    shared->listeners.wake();
    shared->distant_listeners.wake();
  });
  const bool enrols = !shared->options.enrol_listen.empty();
  const bool administers = !shared->options.admin_listen.empty();
  // The port first: a refusal must not replace the socket file.
  if (enrols) {
    WARREN_TRY(listen_on(shared->enrol_acceptor, "enrolments", shared->options.enrol_listen));
  }
  if (administers) {
    WARREN_TRY(listen_on(shared->admin_acceptor, "administration", shared->options.admin_listen));
  }
  if (enrols || administers) WARREN_TRY(renew_certificate(*shared));
  WARREN_TRY(listen_for_api(*shared));
  asio::co_spawn(io,
                 accept_all(shared, shared->api_acceptor, shared->api_open, limits.api_connections,
                            &serve_api),
                 asio::detached);
  if (enrols) {
    asio::co_spawn(io,
                   accept_all(shared, shared->enrol_acceptor, shared->enrol_places.strangers,
                              limits.enrol_connections, &serve_enrolment),
                   asio::detached);
  }
  if (administers) {
    asio::co_spawn(io,
                   accept_all(shared, shared->admin_acceptor, shared->admin_places.strangers,
                              limits.admin_connections, &serve_administration),
                   asio::detached);
  }
  if (enrols || administers) {
    asio::co_spawn(io, keep_certificate_fresh(shared), asio::detached);
  }
  auto impl = std::make_unique<Impl>();
  impl->shared = std::move(shared);
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::enrol_port() const { return port_of(impl_->shared->enrol_acceptor); }
std::uint16_t Server::admin_port() const { return port_of(impl_->shared->admin_acceptor); }

void Server::stop() {
  Shared& shared = *impl_->shared;
  if (std::exchange(shared.stopped, true)) return;
  beast::error_code ignored;
  if (shared.api_acceptor.is_open()) ::unlink(shared.options.socket_path.c_str());
  static_cast<void>(shared.api_acceptor.close(ignored));
  static_cast<void>(shared.enrol_acceptor.close(ignored));
  static_cast<void>(shared.admin_acceptor.close(ignored));
  static_cast<void>(shared.renewal.cancel(ignored));
  shared.api_open.close_all();
  shared.enrol_places.close_all();
  shared.admin_places.close_all();
  shared.control.on_change(nullptr);
  shared.control.on_record(nullptr);
  shared.listeners.wake();
  shared.distant_listeners.wake();
  shared.waiting.wake_all();
}

}  // namespace warren::server
