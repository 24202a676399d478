// Theory of operation
//
// Requests and answers of any size pass through in pieces: a `set` is applied while it comes in, a
// `get` is answered a page of peers at a time, whenever the client has taken the page before. So a
// connection holds one piece of input and one page of output, and each turn of the loop does a
// bounded piece of work, with packets served in between.
//
// While a request is being handled or its answer waits to be read, nothing further is read: a
// client that only sends is stopped by its full socket. A set of which a piece was refused is read
// to its end and then answered with that errno; a request that cannot be parsed is answered at once
// and ends the connection. Buffers held keys: they are wiped.
#include "engine/api_server.hpp"

#include <array>

#include "crypto/secret.hpp"
#include "engine/limits.hpp"
#include "os/stream.hpp"
#include "os/unix_socket.hpp"

namespace warren::engine {

ApiServer::ApiServer(os::Loop& loop, os::Fd listener, ApiTarget& target)
    : loop_(loop), listener_(std::move(listener)), target_(target) {}

base::Result<std::unique_ptr<ApiServer>> ApiServer::create(os::Loop& loop, os::Fd listener,
                                                           ApiTarget& target) {
  std::unique_ptr<ApiServer> server(new ApiServer(loop, std::move(listener), target));
  ApiServer* const self = server.get();
  WARREN_TRY(server->listener_.set_nonblocking());
  WARREN_TRY(loop.watch(server->listener_.get(), [self](os::Ready) { self->accept(); }));
  return server;
}

ApiServer::~ApiServer() {
  while (!connections_.empty()) close(connections_.begin()->first);
  loop_.forget(listener_.get());
}

void ApiServer::accept() {
  auto socket = os::unix_accept(listener_);
  if (!socket) return;
  if (connections_.size() == kMaxApiConnections) close(connections_.begin()->first);
  const std::uint64_t id = next_id_++;
  auto connection = std::make_unique<Connection>();
  connection->socket = std::move(*socket);
  const auto handler = [this, id](os::Ready ready) { handle_ready(id, ready); };
  if (!loop_.watch(connection->socket.get(), handler)) return;
  connections_.emplace(id, std::move(connection));
}

void ApiServer::close(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  loop_.forget(found->second->socket.get());
  connections_.erase(found);
}

void ApiServer::handle_ready(std::uint64_t id, os::Ready ready) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& connection = *found->second;
  bool alive = true;
  if (!connection.is_busy() && (ready.readable || ready.hangup)) alive = receive(connection);
  if (alive) work(connection);
  if (alive && !connection.out.empty()) alive = send(connection);
  if (!alive || !set_interest(connection)) close(id);
}

bool ApiServer::receive(Connection& connection) {
  std::array<std::uint8_t, kApiReadBytes> room;
  const auto got = os::read_some(connection.socket, room);
  if (!got || !*got) return false;
  const std::size_t size = **got;
  connection.in.add(std::string_view(reinterpret_cast<const char*>(room.data()), size));
  crypto::wipe(base::MutableBytes(room).first(size));
  connection.unread = true;
  return true;
}

void ApiServer::work(Connection& connection) {
  if (connection.next_page && connection.out.empty()) {
    connection.next_page = target_.write_peers(*connection.next_page, connection.out);
    if (!connection.next_page) ipc::write_uapi_end(connection.out, 0);
  }
  while (connection.unread && connection.out.empty() && !connection.next_page) {
    const auto piece = connection.in.poll();
    if (!piece) {
      ipc::write_uapi_end(connection.out, piece.error().os_errno);
      connection.closing = true;
      connection.unread = false;
    } else if (*piece) {
      handle(connection, **piece);
    } else {
      connection.unread = false;
    }
  }
}

void ApiServer::handle(Connection& connection, const ipc::UapiStream::Piece& piece) {
  if (piece.is_get) {
    target_.write_interface(connection.out);
    connection.next_page = 0;
    return;
  }
  if (connection.error == 0) connection.error = target_.apply(*piece.set);
  if (piece.last) ipc::write_uapi_end(connection.out, std::exchange(connection.error, 0));
}

bool ApiServer::send(Connection& connection) {
  const auto rest = base::as_bytes(connection.out).subspan(connection.sent);
  const auto sent = os::write_some(connection.socket, rest);
  if (!sent) return false;
  connection.sent += *sent;
  if (connection.sent < connection.out.size()) return true;
  ipc::wipe_text(connection.out);
  connection.sent = 0;
  return !connection.closing;
}

bool ApiServer::set_interest(const Connection& connection) {
  const int descriptor = connection.socket.get();
  const bool busy = connection.is_busy();
  return loop_.set_want_read(descriptor, !busy) && loop_.set_want_write(descriptor, busy);
}

}  // namespace warren::engine
