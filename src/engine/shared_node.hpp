// SharedNode: the one Node of an engine, used by all its workers, one at a time.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "base/log.hpp"
#include "engine/hints_keeper.hpp"
#include "engine/limits.hpp"
#include "node/node.hpp"
#include "os/clock.hpp"
#include "wire/packet.hpp"

namespace warren::engine {

/// Thread-safe. A worker holds it for the short steps around a batch, never per packet and never
/// while it does cryptography or system calls.
class SharedNode {
 public:
  /// Exclusive use, from lock() to the end of its life. What it hands out by reference or pointer
  /// must not outlive it, the packets of poll_datagram included.
  class Access {
   public:
    node::Node* operator->() { return &shared_.node_; }
    [[nodiscard]] HintsKeeper& hints() { return shared_.hints_; }
    /// Takes note of what the node has to tell: hints, log. Before datagrams are sent: a timestamp
    /// is remembered first.
    void handle_events();
    /// Ends the exclusive use, and only then says what handle_events() found worth a line.
    ~Access();
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    friend class SharedNode;
    explicit Access(SharedNode& shared) : shared_(shared), hold_(shared.mutex_) {}
    SharedNode& shared_;
    std::unique_lock<std::mutex> hold_;
    std::vector<node::Event> to_say_;
  };

  /// `log` outlives this and takes lines from several threads.
  SharedNode(const node::Node::Options& options, base::Log& log)
      : log_(log), pool_(kMaxPacketBytes, kNodeSlots), node_(deferring(options), random_, pool_) {}

  [[nodiscard]] Access lock() { return Access(*this); }

  /// How often peers, or the sessions of all of them, were removed. A worker that has waiting
  /// datagrams from before the last removal looks whose they are (Node::has).
  [[nodiscard]] std::uint64_t removals() const { return removals_.load(); }
  void count_removal() { removals_.fetch_add(1); }
  /// Gives the memory of an idle node back.
  void trim();

 private:
  /// Workers make handshakes without the lock.
  static node::Node::Options deferring(node::Node::Options options) {
    options.defer_initiations = true;
    return options;
  }
  void save_hints(const base::PublicKey& peer);
  void say(const node::Event& event);

  base::Log& log_;
  std::mutex mutex_;
  os::SystemRandom random_;
  wire::PacketPool pool_;
  node::Node node_;
  HintsKeeper hints_;
  std::atomic<std::uint64_t> removals_ = 0;
};

}  // namespace warren::engine
