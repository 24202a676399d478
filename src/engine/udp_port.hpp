// UdpPort: the engine's pair of UDP sockets, batches in and out.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <vector>

#include "engine/limits.hpp"
#include "node/node.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "os/udp.hpp"
#include "wire/packet.hpp"

namespace warren::engine {

/// The local address to answer each remote from: direct-mapped, so bounded; a forgotten remote
/// leaves the choice to the kernel.
class SourceCache {
 public:
  void put(const base::Endpoint& remote, const os::LocalAddress& local);
  [[nodiscard]] os::LocalAddress get(const base::Endpoint& remote) const;
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    base::Endpoint remote;
    os::LocalAddress local;
  };
  std::vector<Entry> entries_;  // allocated when first needed
};

class UdpPort {
 public:
  using Input = std::move_only_function<void(std::span<node::Datagram>)>;
  struct Counters {
    std::uint64_t refused = 0;    ///< the kernel would not send them (no route, too large …)
    std::uint64_t overflow = 0;   ///< the pending queue was full
    std::uint64_t no_socket = 0;  ///< no socket of their family
    std::uint64_t no_buffer = 0;  ///< received while no packet slot was free
  };

  /// `loop` and `pool` outlive this. `input` gets each received batch and consumes its packets.
  UdpPort(os::Loop& loop, wire::PacketPool& pool, Input input);
  ~UdpPort();
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  /// Takes new sockets (either may be absent) in place of the old ones; what was pending is lost.
  [[nodiscard]] base::Status replace(os::Fd v4, os::Fd v6, std::uint16_t port);
  [[nodiscard]] bool is_open() const { return port_ != 0; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const os::Fd& v4() const { return lanes_[0].socket; }
  [[nodiscard]] const os::Fd& v6() const { return lanes_[1].socket; }

  /// Queues one datagram; goes out with flush(), or when the socket has room.  HOT PATH
  void enqueue(node::Datagram datagram);
  void flush();
  /// The host's addresses changed.
  void forget_sources() { sources_.clear(); }
  /// Gives unused packets back to the pool.
  void release_spares();
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Lane {
    os::Fd socket;
    std::vector<node::Datagram> queue;  // [head, size) waits
    std::size_t head = 0;
    bool blocked = false;  // waits for the socket to be writable
  };
  void handle_ready(Lane& lane, os::Ready ready);
  void receive(Lane& lane);
  void drop_one(Lane& lane);
  void flush(Lane& lane);
  void set_blocked(Lane& lane, bool blocked);

  os::Loop& loop_;
  wire::PacketPool& pool_;
  Input input_;
  std::array<Lane, 2> lanes_;
  std::uint16_t port_ = 0;
  SourceCache sources_;
  Counters counters_;
  std::array<wire::Packet, kUdpBatch> spares_;
  std::array<os::UdpReceived, kUdpBatch> slots_;
  std::array<node::Datagram, kUdpBatch> batch_;
  std::array<os::UdpToSend, kUdpBatch> to_send_;
};

}  // namespace warren::engine
