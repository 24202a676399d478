#include "wg/deadlines.hpp"

namespace warren::wg {

void Deadlines::wake_by(PeerId peer, base::Instant at) {
  if (peer.value >= position_.size()) position_.resize(peer.value + 1, kAbsent);
  const std::uint32_t position = position_[peer.value];
  if (position == kAbsent) {
    heap_.push_back({at, peer});
    position_[peer.value] = static_cast<std::uint32_t>(heap_.size() - 1);
    sift_up(heap_.size() - 1);
  } else if (at < heap_[position].at) {
    heap_[position].at = at;
    sift_up(position);
  }
}

void Deadlines::remove(PeerId peer) {
  if (peer.value >= position_.size() || position_[peer.value] == kAbsent) return;
  remove_at(position_[peer.value]);
}

std::optional<base::Instant> Deadlines::next() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().at;
}

std::optional<PeerId> Deadlines::take_due(base::Instant now) {
  if (heap_.empty() || heap_.front().at > now) return std::nullopt;
  const PeerId peer = heap_.front().peer;
  remove_at(0);
  return peer;
}

void Deadlines::place(std::size_t position, Entry entry) {
  heap_[position] = entry;
  position_[entry.peer.value] = static_cast<std::uint32_t>(position);
}

void Deadlines::sift_up(std::size_t position) {
  const Entry entry = heap_[position];
  while (position != 0) {
    const std::size_t parent = (position - 1) / 2;
    if (heap_[parent].at <= entry.at) break;
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, entry);
}

void Deadlines::sift_down(std::size_t position) {
  const Entry entry = heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].at < heap_[child].at) ++child;
    if (entry.at <= heap_[child].at) break;
    place(position, heap_[child]);
    position = child;
  }
  place(position, entry);
}

void Deadlines::remove_at(std::size_t position) {
  position_[heap_[position].peer.value] = kAbsent;
  const Entry last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  place(position, last);
  sift_up(position);
  sift_down(position_[last.peer.value]);
}

}  // namespace warren::wg
