// Theory of operation
//
// Time is cut into ticks. The number of a tick is written in digits of six bits, and `tick_` is the
// last tick that was opened. An entry lies in the level of the highest digit in which its tick
// differs from `tick_`, in the slot which that digit names. So every entry of a level comes before
// all entries of the levels above it, within a level the slots are in order, and the first occupied
// slot of the lowest occupied level (two bit scans) holds the earliest entry. To go on means to
// open that slot: `tick_` moves to its first tick, and its entries move down, each at least one
// level. Entries of the tick that is open, a few milliseconds of peers, lie in a small binary heap,
// which gives their exact order.
//
// Empty slots cost nothing: after a jump of a year the first occupied slot is opened, and nothing
// in between is looked at. `tick_` follows only what is taken, so it may lie far behind the clock;
// an entry then starts in a higher level than necessary and is moved more often, seven times at
// most. The most that one call does is to open a slot with everybody in it: some nanoseconds for
// each.
#include "wg/deadlines.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace warren::wg {

Deadlines::Deadlines() = default;

std::uint64_t Deadlines::tick_of(base::Instant at) {
  return at.ns < 0 ? 0 : static_cast<std::uint64_t>(at.ns) >> kTickBits;
}

void Deadlines::wake_by(PeerId peer, base::Instant at) {
  if (peer.value >= entries_.size()) entries_.resize(peer.value + 1);
  Entry& entry = entries_[peer.value];
  if (entry.place != kAbsent) {
    if (at >= entry.at) return;
    leave(peer.value);
  }
  entry.at = at;
  enter(peer.value);
}

void Deadlines::remove(PeerId peer) {
  if (peer.value < entries_.size() && entries_[peer.value].place != kAbsent) leave(peer.value);
}

std::optional<base::Instant> Deadlines::next() const {
  if (!heap_.empty()) return entries_[heap_.front()].at;
  const auto slot = first_slot();
  if (!slot) return std::nullopt;
  return slots_[*slot].earliest;
}

std::optional<PeerId> Deadlines::take_due(base::Instant now) {
  while (heap_.empty()) {
    const auto slot = first_slot();
    if (!slot || slots_[*slot].earliest > now) return std::nullopt;
    open(*slot);
  }
  const std::uint32_t peer = heap_.front();
  if (entries_[peer].at > now) return std::nullopt;
  leave(peer);
  return PeerId{peer};
}

std::optional<std::size_t> Deadlines::first_slot() const {
  for (std::size_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    return level * kSlots + static_cast<std::size_t>(std::countr_zero(occupied_[level]));
  }
  return std::nullopt;
}

/// Puts a peer that is nowhere where its deadline belongs.
void Deadlines::enter(std::uint32_t peer) {
  Entry& entry = entries_[peer];
  ++size_;
  const std::uint64_t tick = tick_of(entry.at);
  if (tick <= tick_) {
    entry.place = kInHeap;
    heap_.push_back(peer);
    return heap_up(heap_.size() - 1);
  }
  const unsigned highest = 63U - static_cast<unsigned>(std::countl_zero(tick ^ tick_));
  const unsigned level = highest / kLevelBits;
  const unsigned digit = (tick >> (level * kLevelBits)) & (kSlots - 1);
  const std::size_t number = std::size_t{level} * kSlots + digit;
  Slot& slot = slots_[number];
  const std::uint64_t bit = std::uint64_t{1} << digit;
  slot.earliest = (occupied_[level] & bit) != 0 ? std::min(slot.earliest, entry.at) : entry.at;
  occupied_[level] |= bit;
  entry.place = static_cast<std::uint16_t>(number);
  entry.previous = kNone;
  entry.next = std::exchange(slot.first, peer);
  if (entry.next != kNone) entries_[entry.next].previous = peer;
}

void Deadlines::leave(std::uint32_t peer) {
  Entry& entry = entries_[peer];
  --size_;
  const std::uint16_t place = std::exchange(entry.place, kAbsent);
  if (place == kInHeap) return heap_remove(entry.previous);
  Slot& slot = slots_[place];
  if (entry.next != kNone) entries_[entry.next].previous = entry.previous;
  (entry.previous != kNone ? entries_[entry.previous].next : slot.first) = entry.next;
  if (slot.first == kNone) occupied_[place / kSlots] &= ~(std::uint64_t{1} << (place % kSlots));
}

/// Moves time to the beginning of the first occupied slot, and its entries further down.
void Deadlines::open(std::size_t number) {
  const auto level = static_cast<unsigned>(number / kSlots);
  const std::uint64_t digit = number % kSlots;
  const unsigned shift = level * kLevelBits;
  tick_ = (tick_ >> (shift + kLevelBits) << (shift + kLevelBits)) | (digit << shift);
  occupied_[level] &= ~(std::uint64_t{1} << digit);
  std::uint32_t peer = std::exchange(slots_[number].first, kNone);
  while (peer != kNone) {
    const std::uint32_t next = entries_[peer].next;
    --size_;
    enter(peer);
    peer = next;
  }
}

void Deadlines::heap_place(std::size_t position, std::uint32_t peer) {
  heap_[position] = peer;
  entries_[peer].previous = static_cast<std::uint32_t>(position);
}

void Deadlines::heap_up(std::size_t position) {
  const std::uint32_t peer = heap_[position];
  while (position != 0) {
    const std::size_t parent = (position - 1) / 2;
    if (!earlier(peer, heap_[parent])) break;
    heap_place(position, heap_[parent]);
    position = parent;
  }
  heap_place(position, peer);
}

void Deadlines::heap_down(std::size_t position) {
  const std::uint32_t peer = heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && earlier(heap_[child + 1], heap_[child])) ++child;
    if (!earlier(heap_[child], peer)) break;
    heap_place(position, heap_[child]);
    position = child;
  }
  heap_place(position, peer);
}

void Deadlines::heap_remove(std::size_t position) {
  const std::uint32_t last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  heap_place(position, last);
  heap_up(position);
  heap_down(entries_[last].previous);
}

}  // namespace warren::wg
