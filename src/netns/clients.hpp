// The programs that ask a run for something over a SEQPACKET socket with a path.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/result.hpp"
#include "netns/control.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"

namespace warren::netns {

/// Listens, reads one request per connection, and keeps the connection until it is answered.
class Clients {
 public:
  using Ask = std::move_only_function<void()>;

  /// `loop` outlives this. `ask_echo` (may be empty) and `ask_net` are called for each request;
  /// one answer_echo answers the oldest waiting client, one answer_net all of them.
  Clients(os::Loop& loop, Ask ask_echo, Ask ask_net)
      : loop_(loop), ask_echo_(std::move(ask_echo)), ask_net_(std::move(ask_net)) {}
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  [[nodiscard]] base::Status listen(const std::string& path);
  /// An EchoSocket message from init.
  void answer_echo(const ControlMessage& message);
  /// The tunnel is up, or why not.
  void answer_net(const base::Status& result);

 private:
  void handle_client();
  void handle_request(int descriptor);

  os::Loop& loop_;
  Ask ask_echo_;
  Ask ask_net_;
  os::Fd listener_;
  std::unordered_map<int, os::Fd> unread_;  ///< connected, their request not read yet
  std::deque<os::Fd> echo_clients_;         ///< in the order of their requests
  std::deque<os::Fd> net_clients_;
};

/// What a client says and hears: sends the request, waits for the answer within `wait`.
[[nodiscard]] base::Result<ControlMessage> ask_run(const std::string& path, Control request,
                                                   base::Duration wait);

}  // namespace warren::netns
