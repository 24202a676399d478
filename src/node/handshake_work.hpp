// HandshakeWork: the public-key work of one handshake, done beside the node and its lock, as
// Outgoing and Incoming do the cryptography of a batch.
//
//   Node::advance ─▶ compute ─▶ Node::advance ─▶ … until Node::advance says that there is no more
//
// Between two steps the node may change in any way: what was computed is taken over only if the
// peer, its pre-shared key, our private key and the handshake itself are still what they were.
#pragma once

#include <memory>

#include "base/random.hpp"

namespace warren::node {

/// One worker's. Belongs to one thread. Holds keys only from the advance() that gives it something
/// to do until the one that takes the result, and wipes them.
class HandshakeWork {
 public:
  /// `random` outlives this and is used by compute() only.
  explicit HandshakeWork(base::RandomSource& random);
  ~HandshakeWork();
  HandshakeWork(const HandshakeWork&) = delete;
  HandshakeWork& operator=(const HandshakeWork&) = delete;

  /// One step: one to three X25519 operations.
  void compute();
  /// No work was begun that Node::advance has not taken back: nothing secret is held.
  [[nodiscard]] bool is_idle() const;

 private:
  friend class Node;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warren::node
