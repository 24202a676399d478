// All peers, by slot and by public key.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "wg/peer.hpp"

namespace warren::wg {

class PeerTable {
 public:
  explicit PeerTable(std::size_t limit) : limit_(limit) {}

  /// A new peer; nullptr when the table is full. The key must not be there yet.
  [[nodiscard]] Peer* add(const base::PublicKey& key, base::Duration cookie_lifetime);
  void remove(PeerId id);
  [[nodiscard]] Peer* find(const base::PublicKey& key) const;
  /// Needs an id of a peer that is there.
  [[nodiscard]] Peer& at(PeerId id) const;
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }

  /// Calls `visit(Peer&)` for every peer, in slot order. `visit` may remove the peer it is given.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& slot : slots_) {
      if (slot) visit(*slot);
    }
  }

 private:
  std::size_t limit_;
  std::vector<std::unique_ptr<Peer>> slots_;
  std::vector<PeerId> free_;
  std::unordered_map<base::PublicKey, PeerId> by_key_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace warren::wg
