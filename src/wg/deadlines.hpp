// Which peer has to be woken next: a hierarchical timer wheel with one entry at most per peer, so
// that no timer ever scans all peers and nothing allocates once the peers exist.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "wg/index_table.hpp"

namespace warren::wg {

/// Entering, moving and removing cost O(1); a peer is moved at most once per level until it is due,
/// whatever the clock jumps over. Nothing is rounded: peers come out in the order of their
/// deadlines, never before them.
class Deadlines {
 public:
  Deadlines();

  /// Wakes `peer` at `at` at the latest: an earlier entry of the peer stays. A peer woken too early
  /// simply enters its later deadline then; this keeps the common case (a deadline that moves
  /// further away with every packet) free of work.
  void wake_by(PeerId peer, base::Instant at);
  void remove(PeerId peer);
  /// The earliest deadline; or, when the peer that had it was removed or woken earlier, possibly
  /// that moment still: take_due() then finds nothing, and next() is later than the moment.
  [[nodiscard]] std::optional<base::Instant> next() const;
  /// Takes a peer whose time has come. `now` never goes back.
  [[nodiscard]] std::optional<PeerId> take_due(base::Instant now);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  /// Level 0 has slots of 2^21 ns (2 ms), each further level slots 64 times as long; seven levels
  /// span all of time.
  static constexpr unsigned kTickBits = 21;
  static constexpr unsigned kLevelBits = 6;
  static constexpr unsigned kLevels = 7;
  static constexpr unsigned kSlots = 1U << kLevelBits;
  static_assert(kTickBits + kLevels * kLevelBits == 63);

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint16_t kAbsent = 0xffff;
  static constexpr std::uint16_t kInHeap = 0xfffe;

  struct Entry {
    base::Instant at;
    std::uint32_t next = kNone;      ///< in its slot
    std::uint32_t previous = kNone;  ///< in its slot; in the heap: the position there
    std::uint16_t place = kAbsent;   ///< a slot's number, kAbsent or kInHeap
  };
  struct Slot {
    std::uint32_t first = kNone;
    base::Instant earliest;  ///< no entry is earlier
  };

  [[nodiscard]] static std::uint64_t tick_of(base::Instant at);
  [[nodiscard]] std::optional<std::size_t> first_slot() const;
  void enter(std::uint32_t peer);
  void leave(std::uint32_t peer);
  void open(std::size_t slot);

  [[nodiscard]] bool earlier(std::uint32_t a, std::uint32_t b) const {
    return entries_[a].at < entries_[b].at;
  }
  void heap_place(std::size_t position, std::uint32_t peer);
  void heap_up(std::size_t position);
  void heap_down(std::size_t position);
  void heap_remove(std::size_t position);

  std::vector<Entry> entries_;  ///< by peer
  std::array<Slot, std::size_t{kLevels} * kSlots> slots_{};
  std::array<std::uint64_t, kLevels> occupied_{};
  std::uint64_t tick_ = 0;           ///< the last tick that was opened
  std::vector<std::uint32_t> heap_;  ///< peers due in that tick or before
  std::size_t size_ = 0;
};

}  // namespace warren::wg
