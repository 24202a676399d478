// All peers, by slot and by public key.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.hpp"
#include "wg/peer.hpp"
#include "wg/tag_table.hpp"

namespace warren::wg {

/// Adding, finding and removing cost O(1) on average (see TagTable for the worst case).
class PeerTable {
 public:
  /// With `random` the hash of public keys is keyed: whoever may choose the keys of many peers, or
  /// sends handshakes with keys of his choice, cannot make them meet in one place.
  explicit PeerTable(std::size_t limit, base::RandomSource* random = nullptr);

  /// A new peer; nullptr when the table is full. The key must not be there yet.
  [[nodiscard]] Peer* add(const base::PublicKey& key, base::Duration cookie_lifetime);
  void remove(PeerId id);
  [[nodiscard]] Peer* find(const base::PublicKey& key) const;
  /// Needs an id of a peer that is there.
  [[nodiscard]] Peer& at(PeerId id) const;
  /// The peer if it is there, and if it is the one of this serial.
  [[nodiscard]] Peer* find(PeerId id, std::uint64_t serial) const;
  /// What was queued for the peer is no longer its own.
  void renew_serial(Peer& peer) { peer.serial = next_serial_++; }
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }

  /// Calls `visit(Peer&)` for every peer, in slot order. `visit` may remove the peer it is given.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (const auto& slot : slots_) {
      if (slot) visit(*slot);
    }
  }
  /// The same for the peers of `count` slots from `first` on; the slot to go on with, or nullopt at
  /// the end. `visit` may remove the peer it is given. Peers may come and go between calls: one
  /// that stays is visited once.
  template <typename Visit>
  [[nodiscard]] std::optional<std::size_t> for_slots(std::size_t first, std::size_t count,
                                                     Visit visit) const {
    const std::size_t end = std::min(slots_.size(), first + count);
    for (std::size_t slot = first; slot < end; ++slot) {
      if (slots_[slot]) visit(*slots_[slot]);
    }
    if (end >= slots_.size()) return std::nullopt;
    return end;
  }

 private:
  [[nodiscard]] std::uint32_t tag_of(const base::PublicKey& key) const;

  std::size_t limit_;
  std::array<std::uint64_t, 4> hash_key_;
  std::vector<std::unique_ptr<Peer>> slots_;
  std::vector<PeerId> free_;
  TagTable by_key_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace warren::wg
