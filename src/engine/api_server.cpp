// Theory of operation
//
// Each connection collects bytes until a request is whole, answers it, and may send the next; a
// request that cannot be parsed is answered with its errno and ends the connection. Answers wait in
// the connection until the client has read them; no further request is read meanwhile. Buffers held
// keys: they are wiped.
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
  if (connection.out.empty() && (ready.readable || ready.hangup)) alive = receive(connection);
  if (alive && !connection.out.empty()) alive = send(connection);
  if (!alive) close(id);
}

bool ApiServer::receive(Connection& connection) {
  std::array<std::uint8_t, 16384> room;
  const auto got = os::read_some(connection.socket, room);
  if (!got || !*got) return false;
  const std::size_t size = **got;
  const auto status = connection.framer.handle_bytes(
      std::string_view(reinterpret_cast<const char*>(room.data()), size));
  crypto::wipe(base::MutableBytes(room).first(size));
  while (!connection.closing) {
    auto request = connection.framer.poll_request();
    if (!request) break;
    answer(connection, std::move(*request));
  }
  if (!status && !connection.closing) {
    ipc::write_uapi_end(connection.out, status.error().os_errno);
    connection.closing = true;
  }
  return true;
}

void ApiServer::answer(Connection& connection, ipc::UapiFramer::Request request) {
  int error = 0;
  if (request.kind == ipc::UapiFramer::Kind::Get) {
    if (request.body.empty()) {
      target_.write_status(connection.out);
    } else {
      error = EINVAL;
      connection.closing = true;
    }
  } else {
    const auto set = ipc::parse_uapi_set(request.body);
    error = set ? target_.apply(*set) : set.error().os_errno;
    connection.closing = !set;
  }
  ipc::wipe_text(request.body);
  ipc::write_uapi_end(connection.out, error);
}

bool ApiServer::send(Connection& connection) {
  const auto rest = base::as_bytes(connection.out).subspan(connection.sent);
  const auto sent = os::write_some(connection.socket, rest);
  if (!sent) return false;
  connection.sent += *sent;
  if (connection.sent < connection.out.size()) {
    return loop_.set_want_write(connection.socket.get(), true).has_value();
  }
  ipc::wipe_text(connection.out);
  connection.sent = 0;
  if (connection.closing) return false;
  return loop_.set_want_write(connection.socket.get(), false).has_value();
}

}  // namespace warren::engine
