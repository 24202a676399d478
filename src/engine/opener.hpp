// Opener: the privileged end of the opener protocol, for whoever starts an engine.
#pragma once

#include <functional>
#include <optional>

#include "base/result.hpp"
#include "ipc/opener.hpp"
#include "os/fd.hpp"
#include "os/tun.hpp"

namespace warren::engine {

/// Answers one engine. Holds duplicates of what it hands out, so that a mark can be changed later;
/// of what it opens for further workers it keeps nothing.
class Opener {
 public:
  struct Resources {
    os::Fd tun;
    os::Fd api_listener;
    os::Fd extension;  ///< may be empty
    os::Fd hints;      ///< may be empty
    std::string interface_name;
    std::uint16_t mtu = 1420;
    bool exit_with_opener = true;
    os::TunOffloads tun_offloads{};
    /// More than 1: the tun takes further queues, `open_queue` opens one, and the UDP port is
    /// shared with the workers' sockets.
    std::uint8_t max_workers = 1;
    std::function<base::Result<os::Fd>()> open_queue{};
  };

  /// `socket` is our end of a SEQPACKET pair; the other is the engine's descriptor 3.
  Opener(os::Fd socket, Resources resources)
      : socket_(std::move(socket)), resources_(std::move(resources)) {}

  [[nodiscard]] int descriptor() const { return socket_.get(); }
  /// True once the engine has greeted and got its descriptors.
  [[nodiscard]] bool greeted() const { return greeted_; }
  /// Reads one message and answers it. False when the engine is gone; an Error when it breaks the
  /// protocol (end it then).
  [[nodiscard]] base::Result<bool> handle_readable();
  [[nodiscard]] base::Status notify(const ipc::OpenerBody& notice);

 private:
  [[nodiscard]] base::Status answer(const ipc::OpenerMessage& question);
  [[nodiscard]] base::Status greet(std::uint32_t sequence);
  [[nodiscard]] base::Status open_udp(std::uint32_t sequence, const ipc::OpenUdp& wanted);
  [[nodiscard]] base::Status open_worker(std::uint32_t sequence, const ipc::OpenWorker& wanted);
  [[nodiscard]] int set_mark(std::uint32_t mark);

  os::Fd socket_;
  Resources resources_;
  os::Fd v4_;
  os::Fd v6_;
  std::uint16_t port_ = 0;  ///< of the sockets; 0: none are open
  bool greeted_ = false;
};

}  // namespace warren::engine
