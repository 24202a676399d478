// One TCP connection from outside, tied to one inside.
#pragma once

#include <poll.h>

#include <cstdint>
#include <vector>

#include "netns/socket_address.hpp"
#include "os/fd.hpp"

namespace warren::netns {

class TcpRelay {
 public:
  /// `inside` is not connected yet; `targets` are tried in order until one accepts.
  TcpRelay(os::Fd client, os::Fd inside, std::vector<SocketAddress> targets);
  /// What to wait for: two entries, the client's and the inside's.
  void add_polls(std::vector<pollfd>& polls) const;
  /// Moves what can be moved, given the two entries. False: the connection is over.
  [[nodiscard]] bool handle(const pollfd& client, const pollfd& inside);

  [[nodiscard]] bool is_connected() const { return connected_; }
  /// Once the program is gone: what to wait for until all that it said is passed on.
  [[nodiscard]] pollfd last_poll() const;
  /// Passes it on; false when that was all.
  [[nodiscard]] bool pass_last();

 private:
  struct Direction {
    std::vector<std::uint8_t> waiting;  ///< read and not written yet
    std::size_t written = 0;
    bool ended = false;      ///< the source has sent all
    bool shut_down = false;  ///< and the destination knows
  };
  [[nodiscard]] bool connect_next();
  [[nodiscard]] bool move(Direction& way, const os::Fd& from, const os::Fd& to);

  os::Fd client_;
  os::Fd inside_;
  std::vector<SocketAddress> targets_;
  std::size_t next_target_ = 0;
  bool connected_ = false;
  Direction inwards_;
  Direction outwards_;
};

}  // namespace warren::netns
