// Channel: the session program's end of the socket to `warren run`.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "ipc/anyconnect.hpp"
#include "os/fd.hpp"

namespace warren::app {

/// One thread waits for the other end's words, another sends and waits for answers. When the other
/// end is gone, so is this process, at the latest after kFarewell.
class Channel {
 public:
  explicit Channel(os::Fd socket) : socket_(std::move(socket)) {}

  /// Waits for one message; for the time before listen().
  [[nodiscard]] base::Result<ipc::AnyConnectMessage> receive();
  [[nodiscard]] base::Status send(const ipc::AnyConnectMessage& message);

  /// Reads from now on, on a thread that lives as long as the process. `command` is where
  /// libopenconnect reads its commands.
  void listen(int command);
  /// From now on the end is told to libopenconnect, which logs out first.
  void begin_main_loop();

  /// Asks and waits; before listen() too.
  [[nodiscard]] base::Result<std::string> ask(const ipc::AnyConnectMessage& question);
  /// Waits for the tun; none when the other end says that this is the end.
  [[nodiscard]] os::Fd wait_for_tun();

 private:
  void read_on();
  void handle(ipc::AnyConnectMessage message, std::vector<os::Fd> descriptors);
  void end();

  os::Fd socket_;
  int command_ = -1;  ///< -1: nobody listens yet
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> answers_;
  os::Fd tun_;
  bool in_main_loop_ = false;
  bool ending_ = false;
};

}  // namespace warren::app
