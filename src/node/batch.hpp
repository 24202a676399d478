// Outgoing and Incoming: what one worker does with one batch, in three steps of which only the
// outer two touch the node. The middle one, nearly all of the time, is cutting and cryptography on
// the worker's own memory, so that several workers share a Node under one lock that is held for
// microseconds per batch.
//
//   tun ─▶ Outgoing::add ─▶ Node::plan ─▶ Outgoing::seal ─▶ trains() ─▶ UDP
//   UDP ─▶ Incoming::add ─▶ Node::identify ─▶ Incoming::open ─▶ Node::accept ─▶ packets() ─▶ tun
//
// A train is several datagrams to one remote back to back in one buffer, all of one size but the
// last, which may be shorter: what UDP_SEGMENT sends and UDP_GRO receives in one system call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "wire/offload.hpp"
#include "wire/packet.hpp"

namespace warren::node {

/// ECN codepoint and DSCP travel in the outer header: the low two bits are ECN.
using TrafficClass = std::uint8_t;

/// Whose a datagram is that a shell keeps waiting: see Node::has.
struct Owner {
  std::uint32_t slot = 0;
  std::uint64_t serial = 0;  ///< never used again; 0: nobody's
  bool operator==(const Owner&) const = default;
};

/// A datagram, or a train of them, received from or to be sent to `remote`.
struct Datagram {
  wire::Packet packet;
  base::Endpoint remote;
  TrafficClass traffic_class = 0;  ///< outer TOS / traffic class
  /// 0: one datagram. Otherwise a train of datagrams of this size, the last of which may be
  /// shorter.
  std::uint16_t segment_size = 0;
  /// Where it was received, or is to be sent from; unknown: the system chooses.
  base::LocalAddress local{};
  Owner owner{};  ///< of what is to be sent
};

/// Bounds of a train: UDP_SEGMENT's.
inline constexpr std::size_t kMaxTrainSegments = 64;
inline constexpr std::size_t kMaxTrainBytes = 65507;

/// One worker's packets on their way out. Belongs to one thread; its packets come from and go back
/// to that thread's pool, which must outlive it. Everything is reused: nothing allocates once
/// traffic has flowed.
class Outgoing {
 public:
  /// Trains have at most `max_segments` datagrams (1..kMaxTrainSegments): 1 where the socket has no
  /// UDP_SEGMENT.
  explicit Outgoing(wire::PacketPool& pool, std::size_t max_segments = kMaxTrainSegments);
  ~Outgoing();
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  /// From the next seal() on: the socket refused a train, or takes them again.
  void set_max_segments(std::size_t max_segments);
  /// A packet or super-packet as the tun gave it (without its vnet header).  HOT PATH
  void add(wire::Packet packet, const wire::Offload& offload);
  [[nodiscard]] bool empty() const;
  /// After Node::plan: cuts, frames and seals. Packets of one peer that follow each other share a
  /// train where sizes and traffic class allow; per peer, the order of trains and within them is
  /// the order of add().  HOT PATH
  void seal();
  /// What is to be sent, in this order; the caller may move the packets out.
  [[nodiscard]] std::span<Datagram> trains();
  /// Packets that were lost for want of a slot while sealing, since the last call.
  [[nodiscard]] std::uint64_t take_lost();
  /// Ends the batch: forgets everything, releases keys.
  void clear();
  /// How many session keys the batch keeps alive, for tests and figures.
  [[nodiscard]] std::size_t held_keys() const;

 private:
  friend class Node;
  struct State;
  std::unique_ptr<State> state_;
};

/// One worker's datagrams on their way in.
class Incoming {
 public:
  Incoming();
  ~Incoming();
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  /// A datagram or train as the socket gave it.  HOT PATH
  void add(Datagram datagram);
  [[nodiscard]] bool empty() const;
  /// After Node::identify: not only handshake messages and what was dropped.
  [[nodiscard]] bool carries_data() const;
  /// After Node::identify: decrypts in place.  HOT PATH
  void open();
  /// After Node::accept: the inner packets in their order, trimmed to their IP length. They lie in
  /// the buffers that were added; valid, and free to be changed, until clear().
  [[nodiscard]] std::span<const base::MutableBytes> packets() const;
  /// Ends the batch: releases buffers and keys.
  void clear();
  /// How many session keys the batch keeps alive, for tests and figures.
  [[nodiscard]] std::size_t held_keys() const;

 private:
  friend class Node;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warren::node
