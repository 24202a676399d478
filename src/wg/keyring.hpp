// The sessions of one peer: the current one, the previous one for packets still on their way, and
// the next one, which a responder has made and which its first received message confirms
// (whitepaper section 6.3).
#pragma once

#include <memory>

#include "wg/index_table.hpp"
#include "wg/session.hpp"

namespace warren::wg {

/// A session with the hold on its index.
struct Keypair {
  IndexLease lease;
  Session session;
};

class Keyring {
 public:
  /// Takes a session in: an initiator's is usable at once, a responder's waits for confirmation.
  void install(std::unique_ptr<Keypair> fresh);
  /// Makes the next session the current one if `received` is it. True when it did.
  bool confirm(const Session& received);
  /// The session to send with, if any; it may be too old.
  [[nodiscard]] Session* current() { return current_ ? &current_->session : nullptr; }
  [[nodiscard]] const Session* current() const { return current_ ? &current_->session : nullptr; }
  /// The session with this local index.
  [[nodiscard]] Session* find(Index local);
  [[nodiscard]] bool empty() const { return !current_ && !previous_ && !next_; }
  /// Wipes all keys.
  void clear();

 private:
  std::unique_ptr<Keypair> previous_;
  std::unique_ptr<Keypair> current_;
  std::unique_ptr<Keypair> next_;
};

}  // namespace warren::wg
