// Worker: one thread's share of an engine: a queue of the tun, a pair of UDP sockets, and the
// buffers for one batch in each direction.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "engine/count.hpp"
#include "engine/shared_node.hpp"
#include "engine/udp_port.hpp"
#include "node/batch.hpp"
#include "os/fd.hpp"
#include "os/loop.hpp"
#include "os/tun.hpp"
#include "wire/coalescer.hpp"
#include "wire/packet.hpp"

namespace warren::engine {

/// All of it belongs to the thread of its loop, but for epoch() and counters().
class Worker {
 public:
  struct Counters {
    Count tun_reads;        ///< packets and super-packets from the tun
    Count tun_read_bytes;   ///< of them
    Count tun_writes;       ///< packets and super-packets to the tun
    Count tun_packets;      ///< packets in these
    Count tun_full;         ///< lost: the tun's queue was full or its link down
    Count tun_no_buffer;    ///< lost: read from the tun while no packet slot was free
    Count tun_malformed;    ///< lost: the tun's header makes no sense
    Count tun_pauses;       ///< how often the tun was not read because a socket was full
    Count no_buffer;        ///< lost: no packet slot was free for what was to be sent
    Count pending_dropped;  ///< lost: waited for room in a socket when their peer was removed
  };
  struct Handlers {
    /// The tun cannot be read any more; called once.
    std::move_only_function<void(base::Error)> tun_gone;
    /// Nothing was carried for kIdleAfter; this worker has given its packet memory back.
    std::move_only_function<void()> idle;
    /// The first packet after that.
    std::move_only_function<void()> busy;
  };

  /// `loop` and `shared` outlive this.
  Worker(os::Loop& loop, SharedNode& shared, Handlers handlers);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Begins to read a tun; `offloads` as its opener found them.
  [[nodiscard]] base::Status set_tun(os::Fd tun, os::TunOffloads offloads);
  [[nodiscard]] const os::Fd& tun() const { return tun_; }
  [[nodiscard]] const os::TunOffloads& offloads() const { return offloads_; }
  /// Writes what it opens to this queue of the same tun from now on; it must stay open until
  /// another is set. Its own, unless told: the kernel gives a flow's packets to the queue that it
  /// was last written to, so whoever reads that queue seals the other direction.
  void set_output(const os::Fd& queue) { output_ = &queue; }
  /// As UdpPort::replace.
  [[nodiscard]] base::Status set_sockets(os::Fd v4, os::Fd v6, std::uint16_t port);
  [[nodiscard]] const UdpPort& udp() const { return udp_; }
  /// Carries what waits in the tun's queue and the sockets, and closes them.
  void detach();

  /// Sends what the node has to say by itself (after a configuration change or a notice), handles
  /// some waiting handshakes, and sets the timer.
  void drain();

  /// Odd while a batch is in work. Whoever removed a peer (SharedNode::count_removal after the
  /// node's change) and then sees every worker's epoch even, or changed, knows that none of its
  /// packets can leave any more.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(); }
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  /// From construction to destruction a batch is in work.
  class Batch {
   public:
    explicit Batch(Worker& worker);
    ~Batch();
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

   private:
    Worker& worker_;
  };

  void handle_tun();
  /// One batch; false when nothing waited or the tun is gone.
  bool carry_from_tun();
  /// Reads a batch into outgoing_.
  void read_tun();
  void add_from_tun(wire::Packet packet, std::size_t size);
  void drop_from_tun();
  void send_outgoing();
  void handle_received(std::span<node::Datagram> batch);
  void write_incoming();
  void write_coalesced(const wire::Coalesced& packet);
  void handle_writable();
  void handle_timer();
  void drop_pending();
  void finish_batch();
  /// At most so many of those that wait; the public-key work is done without the lock.
  void work_on_handshakes(std::size_t at_most);
  /// Copies what the node wants to send, so that it is sent without the lock; notes its deadline.
  void collect(SharedNode::Access& node);
  /// Sends that, and what did not fit into one collect().
  void send_collected();
  void flush();
  void pause_tun();
  void resume_tun();
  void arm_timer();
  void note_activity();
  void handle_idle();

  os::Loop& loop_;
  SharedNode& shared_;
  Handlers handlers_;
  wire::PacketPool pool_;
  UdpPort udp_;
  os::Fd tun_;
  const os::Fd* output_ = &tun_;
  os::TunOffloads offloads_;
  bool tun_paused_ = false;

  node::Outgoing outgoing_;
  node::Incoming incoming_;
  os::SystemRandom random_;
  node::HandshakeWork handshake_{random_};
  std::optional<wire::Coalescer> coalescer_;
  std::vector<base::Bytes> pieces_;
  std::vector<node::Datagram> collected_;

  std::atomic<std::uint64_t> epoch_ = 0;
  std::uint64_t removals_seen_ = 0;
  std::optional<base::Instant> due_;    // the node's deadline, as of the last collect()
  std::optional<base::Instant> armed_;  // what the timer is set to
  os::Loop::TimerId timer_ = 0;
  bool more_output_ = false;  // the node has more than collect() took
  bool more_handshakes_ = false;
  bool drain_scheduled_ = false;
  bool data_since_handshakes_ = false;
  base::Instant handshakes_ended_{};
  bool active_ = false;               // a packet since the idle timer was set
  os::Loop::TimerId idle_timer_ = 0;  // 0: idle
  Counters counters_;
};

}  // namespace warren::engine
