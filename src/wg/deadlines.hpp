// Which peer has to be woken next: a binary heap with one entry at most per peer, so that no timer
// ever scans all peers and nothing allocates once the peers exist.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "wg/index_table.hpp"

namespace warren::wg {

class Deadlines {
 public:
  /// Wakes `peer` at `at` at the latest: an earlier entry of the peer stays. A peer woken too early
  /// simply enters its later deadline then; this keeps the common case (a deadline that moves
  /// further away with every packet) free of work.
  void wake_by(PeerId peer, base::Instant at);
  void remove(PeerId peer);
  [[nodiscard]] std::optional<base::Instant> next() const;
  /// Takes a peer whose time has come.
  [[nodiscard]] std::optional<PeerId> take_due(base::Instant now);
  [[nodiscard]] std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    base::Instant at;
    PeerId peer;
  };
  static constexpr std::uint32_t kAbsent = ~std::uint32_t{0};

  void place(std::size_t position, Entry entry);
  void sift_up(std::size_t position);
  void sift_down(std::size_t position);
  void remove_at(std::size_t position);

  std::vector<Entry> heap_;
  std::vector<std::uint32_t> position_;  ///< by peer
};

}  // namespace warren::wg
