// UdpPort: a worker's pair of UDP sockets, batches in and out.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "engine/count.hpp"
#include "engine/limits.hpp"
#include "node/batch.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "os/udp.hpp"
#include "wire/packet.hpp"

namespace warren::engine {

class UdpPort {
 public:
  struct Handlers {
    /// Gets each received batch; may move its packets out.
    std::move_only_function<void(std::span<node::Datagram>)> received;
    /// A socket that was full has room: call flush().
    std::move_only_function<void()> writable;
  };
  struct Counters {
    Count sent;             ///< datagrams and trains that went out
    Count received;         ///< datagrams and trains
    Count trains_sent;      ///< of `sent`
    Count trains_received;  ///< of `received`
    Count trains_split;     ///< went out datagram by datagram: the device takes no trains
    Count refused;          ///< the kernel would not send them (no route, too large …)
    Count no_room;          ///< how often a socket was full
    Count overflow;         ///< lost, because too many waited for room
    Count no_socket;        ///< no socket of their family
    Count no_buffer;        ///< received while no packet slot was free
    Count errors;           ///< errors that the kernel reported on a socket (ECONNREFUSED …)
  };

  /// `loop` and `pool` outlive this.
  UdpPort(os::Loop& loop, wire::PacketPool& pool, Handlers handlers);
  ~UdpPort();
  UdpPort(const UdpPort&) = delete;
  UdpPort& operator=(const UdpPort&) = delete;

  /// Takes new sockets (either may be absent) in place of the old ones; what was pending is lost.
  [[nodiscard]] base::Status replace(os::Fd v4, os::Fd v6, std::uint16_t port);
  void close();
  [[nodiscard]] bool is_open() const { return port_ != 0; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// What both sockets can.
  [[nodiscard]] const os::UdpOffloads& offloads() const { return offloads_; }
  [[nodiscard]] const os::Fd& v4() const { return lanes_[0].socket; }
  [[nodiscard]] const os::Fd& v6() const { return lanes_[1].socket; }

  /// Queues a datagram or train; goes out with flush(), or when the socket has room.  HOT PATH
  void enqueue(node::Datagram datagram);
  void flush();
  /// Some socket is full: read no more from the tun until `writable`.
  [[nodiscard]] bool is_blocked() const { return lanes_[0].blocked || lanes_[1].blocked; }
  [[nodiscard]] bool has_pending() const;
  /// Forgets what waits for room and belongs to a peer of which `is_gone` is true; how many.
  std::size_t drop_pending(const std::function<bool(const node::Owner&)>& is_gone);
  /// Since the last call a batch was received that filled every slot: more may wait in a socket.
  [[nodiscard]] bool take_behind() {
    const bool v4 = std::exchange(lanes_[0].behind, false);
    const bool v6 = std::exchange(lanes_[1].behind, false);
    return v4 || v6;
  }
  /// Receives what still waits in the sockets, in batches, until there is none or `at_most`
  /// batches.
  void drain_sockets(std::size_t at_most);
  /// Gives unused packets back to the pool.
  void release_spares();
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Lane {
    os::Fd socket;
    std::vector<node::Datagram> queue;  // [head, size) waits
    std::size_t head = 0;
    bool blocked = false;           // waits for room
    bool behind = false;            // the last batch filled every slot
    os::Loop::TimerId resting = 0;  // the timer of a pause, 0: none
  };
  void handle_ready(Lane& lane, os::Ready ready);
  void handle_writable(Lane& lane);
  /// False when none waited.
  bool receive(Lane& lane);
  void drop_one(Lane& lane);
  void flush(Lane& lane);
  /// The first `datagrams` of the queue (in part when their trains are taken apart) as items.
  struct Prepared {
    std::size_t items = 0;
    std::size_t datagrams = 0;
  };
  [[nodiscard]] Prepared prepare(const Lane& lane);
  /// Removes what has gone; true when all of `prepared` has.
  bool finish(Lane& lane, const Prepared& prepared, const os::SendOutcome& outcome);
  void make_room(Lane& lane);
  void block(Lane& lane, bool no_progress);
  void unblock(Lane& lane);
  void reset(Lane& lane);

  os::Loop& loop_;
  wire::PacketPool& pool_;
  Handlers handlers_;
  std::array<Lane, 2> lanes_;
  std::uint16_t port_ = 0;
  os::UdpOffloads offloads_;
  bool woken_ = false;  // within Handlers::writable
  std::size_t slots_wanted_ = kTrainBatch;
  std::optional<base::Instant> trains_again_;  // until then trains are sent as single datagrams
  Counters counters_;
  std::array<wire::Packet, kUdpBatch> spares_;
  std::array<os::UdpReceived, kUdpBatch> slots_;
  std::array<node::Datagram, kUdpBatch> batch_;
  std::array<os::UdpToSend, os::kUdpBatchMax> to_send_;
};

}  // namespace warren::engine
