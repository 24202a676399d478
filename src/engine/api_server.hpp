// ApiServer: the standard userspace API on its listening socket.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
  /// Appends the answer to `get`, without its errno line.
  virtual void write_status(std::string& out) = 0;
  /// Applies the whole request or nothing; 0 or an errno.
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
    ipc::UapiFramer framer;
    std::string out;
    std::size_t sent = 0;
    bool closing = false;  // when `out` is sent
    ~Connection() { ipc::wipe_text(out); }
  };
  ApiServer(os::Loop& loop, os::Fd listener, ApiTarget& target);
  void accept();
  void handle_ready(std::uint64_t id, os::Ready ready);
  /// False when the connection is to be closed.
  [[nodiscard]] bool receive(Connection& connection);
  void answer(Connection& connection, ipc::UapiFramer::Request request);
  [[nodiscard]] bool send(Connection& connection);
  void close(std::uint64_t id);

  os::Loop& loop_;
  os::Fd listener_;
  ApiTarget& target_;
  std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;  // oldest first
  std::uint64_t next_id_ = 1;
};

}  // namespace warren::engine
