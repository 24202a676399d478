// OpenerChannel: the engine's end of the opener protocol.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "engine/limits.hpp"
#include "ipc/opener.hpp"
#include "os/fd.hpp"

namespace warren::engine {

class OpenerChannel {
 public:
  struct Answer {
    ipc::OpenerBody body;
    std::vector<os::Fd> descriptors;
  };

  OpenerChannel() = default;
  explicit OpenerChannel(os::Fd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_); }
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  void close() { socket_.reset(); }

  /// Asks and waits for the answer, at most `patience`. Error: os_errno is ENOTCONN without an
  /// opener, ETIMEDOUT without an answer. Notices that arrive meanwhile wait for poll_notice.
  [[nodiscard]] base::Result<Answer> ask(const ipc::OpenerBody& question,
                                         base::Duration patience = kOpenerAnswer);
  /// Sends a notice of ours.
  [[nodiscard]] base::Status notify(const ipc::OpenerBody& body,
                                    const std::vector<const os::Fd*>& descriptors);
  /// Reads what waits, without blocking. False when the opener is gone (the socket is closed then).
  bool handle_readable();
  [[nodiscard]] std::optional<ipc::OpenerBody> poll_notice();

 private:
  /// One message; nullopt when it was a notice or a late answer. Closes the socket at its end.
  std::optional<Answer> receive(std::uint32_t wanted_sequence);

  os::Fd socket_;
  std::uint32_t sequence_ = 0;
  std::deque<ipc::OpenerBody> notices_;
};

}  // namespace warren::engine
