// Which peer a local index belongs to. Indices are random, so that they tell nothing about how many
// peers there are, and unique among those in use (whitepaper section 5.4.2, I_i).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "base/random.hpp"
#include "wg/messages.hpp"
#include "wg/tag_table.hpp"

namespace warren::wg {

/// A peer's slot in the peer table.
struct PeerId {
  std::uint32_t value = 0;
  auto operator<=>(const PeerId&) const = default;
};

class IndexTable;

/// Holds one index until it dies. The table outlives its leases.
class IndexLease {
 public:
  IndexLease() = default;
  IndexLease(IndexTable& table, Index index) : table_(&table), index_(index) {}
  IndexLease(IndexLease&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), index_(other.index_) {}
  IndexLease& operator=(IndexLease&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(index_, other.index_);
    return *this;
  }
  ~IndexLease();

  [[nodiscard]] Index index() const { return index_; }

 private:
  IndexTable* table_ = nullptr;
  Index index_ = 0;
};

/// A flat table; indices are random, so that they are their own hash. What strangers ask for does
/// not enter it.
class IndexTable {
 public:
  [[nodiscard]] IndexLease lease(PeerId peer, base::RandomSource& random) {
    for (;;) {
      const Index index = random.u32();
      if (find(index)) continue;
      owners_.insert(index, peer.value);
      return {*this, index};
    }
  }
  /// HOT PATH
  [[nodiscard]] std::optional<PeerId> find(Index index) const {
    const auto found = owners_.find(index, [](std::uint32_t) { return true; });
    if (!found) return std::nullopt;
    return PeerId{*found};
  }
  [[nodiscard]] std::size_t size() const { return owners_.size(); }

 private:
  friend class IndexLease;
  void end_lease(Index index) { owners_.erase(index, find(index)->value); }

  TagTable owners_;
};

inline IndexLease::~IndexLease() {
  if (table_ != nullptr) table_->end_lease(index_);
}

}  // namespace warren::wg
