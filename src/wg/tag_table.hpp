// TagTable: which value belongs to a 32-bit tag, as one flat array: no allocation per entry, one
// cache line per look-up. Tags must be spread evenly (random, or a keyed hash); several entries
// may have the same tag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/assert.hpp"

namespace warren::wg {

/// Linear probing with a load between 1/16 and 5/8. Adding and removing cost O(1) on average; when
/// the load leaves that range, one call copies the whole array (8 bytes a place: about a
/// millisecond for 100,000 entries).
class TagTable {
 public:
  static constexpr std::uint32_t kNoValue = ~std::uint32_t{0};

  /// `value` is not kNoValue. Whether the pair is there already is the caller's business.
  void insert(std::uint32_t tag, std::uint32_t value) {
    WARREN_ASSERT(value != kNoValue);
    if ((size_ + 1) * 8 > entries_.size() * 5) resize(entries_.empty() ? 16 : entries_.size() * 2);
    put({tag, value});
    ++size_;
  }
  /// The value with this tag for which `matches(value)` is true.  HOT PATH
  template <typename Matches>
  [[nodiscard]] std::optional<std::uint32_t> find(std::uint32_t tag, Matches matches) const {
    if (entries_.empty()) return std::nullopt;
    for (std::size_t at = tag & mask_; entries_[at].value != kNoValue; at = (at + 1) & mask_) {
      if (entries_[at].tag == tag && matches(entries_[at].value)) return entries_[at].value;
    }
    return std::nullopt;
  }
  /// The pair is there.
  void erase(std::uint32_t tag, std::uint32_t value) {
    std::size_t hole = tag & mask_;
    while (entries_[hole].tag != tag || entries_[hole].value != value) {
      WARREN_ASSERT(entries_[hole].value != kNoValue);
      hole = (hole + 1) & mask_;
    }
    close(hole);
    --size_;
    if (entries_.size() > 16 && size_ * 16 < entries_.size()) resize(entries_.size() / 4);
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint32_t tag = 0;
    std::uint32_t value = kNoValue;
  };

  void put(Entry entry) {
    std::size_t at = entry.tag & mask_;
    while (entries_[at].value != kNoValue) at = (at + 1) & mask_;
    entries_[at] = entry;
  }
  /// Moves back what was pushed past the hole, so that no tombstone is needed.
  void close(std::size_t hole) {
    for (std::size_t at = (hole + 1) & mask_; entries_[at].value != kNoValue;
         at = (at + 1) & mask_) {
      const std::size_t home = entries_[at].tag & mask_;
      if (((at - home) & mask_) < ((at - hole) & mask_)) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole].value = kNoValue;
  }
  void resize(std::size_t places) {
    const std::vector<Entry> old = std::exchange(entries_, std::vector<Entry>(places));
    mask_ = places - 1;
    for (const Entry& entry : old) {
      if (entry.value != kNoValue) put(entry);
    }
  }

  std::vector<Entry> entries_;  ///< a power of two of them
  std::size_t mask_ = 0;
  std::size_t size_ = 0;
};

}  // namespace warren::wg
