// ApiServer: the standard userspace API on its listening socket.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "ipc/uapi.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"

namespace warren::engine {

/// What the API talks to.
class ApiTarget {
 public:
  virtual ~ApiTarget() = default;
  /// Appends the interface's part of the answer to `get`.
  virtual void write_interface(std::string& out) = 0;
  /// Appends a page of peers, from where the last call said (at first 0), and says where to go on;
  /// nullopt at the end.
  [[nodiscard]] virtual std::optional<std::size_t> write_peers(std::size_t from,
                                                               std::string& out) = 0;
  /// Applies a piece of a `set` (see ipc::UapiStream), the whole piece or nothing of it; 0 or an
  /// errno.
  virtual int apply(const ipc::UapiSet& set) = 0;
};

class ApiServer {
 public:
  /// `loop` and `target` outlive this.
  [[nodiscard]] static base::Result<std::unique_ptr<ApiServer>> create(os::Loop& loop,
                                                                       os::Fd listener,
                                                                       ApiTarget& target);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;
  [[nodiscard]] const os::Fd& listener() const { return listener_; }

 private:
  struct Connection {
    os::Fd socket;
    ipc::UapiStream in;
    bool unread = false;  // `in` may have more pieces
    int error = 0;        // of the pieces of the set that is being read
    std::string out;
    std::size_t sent = 0;
    std::optional<std::size_t> next_page;  // of the get that is being answered
    bool closing = false;                  // when `out` is sent
    [[nodiscard]] bool is_busy() const { return unread || next_page || !out.empty(); }
    ~Connection() { ipc::wipe_text(out); }
  };
  ApiServer(os::Loop& loop, os::Fd listener, ApiTarget& target);
  void accept();
  void handle_ready(std::uint64_t id, os::Ready ready);
  // Each is false when the connection is to be closed.
  [[nodiscard]] bool receive(Connection& connection);
  [[nodiscard]] bool send(Connection& connection);
  [[nodiscard]] bool set_interest(const Connection& connection);
  /// Handles what was received until there is something to say.
  void work(Connection& connection);
  void handle(Connection& connection, const ipc::UapiStream::Piece& piece);
  void close(std::uint64_t id);

  os::Loop& loop_;
  os::Fd listener_;
  ApiTarget& target_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;  // oldest first
  std::uint64_t next_id_ = 1;
};

}  // namespace warren::engine
