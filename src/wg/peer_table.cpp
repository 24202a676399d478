#include "wg/peer_table.hpp"

#include "base/assert.hpp"

namespace warren::wg {

Peer* PeerTable::add(const base::PublicKey& key, base::Duration cookie_lifetime) {
  WARREN_ASSERT(!by_key_.contains(key));
  if (by_key_.size() >= limit_) return nullptr;
  PeerId id{static_cast<std::uint32_t>(slots_.size())};
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  slots_[id.value] = std::make_unique<Peer>(id, next_serial_++, key, cookie_lifetime);
  by_key_.emplace(key, id);
  return slots_[id.value].get();
}

void PeerTable::remove(PeerId id) {
  by_key_.erase(at(id).public_key);
  slots_[id.value].reset();
  free_.push_back(id);
}

Peer* PeerTable::find(const base::PublicKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : &at(found->second);
}

Peer& PeerTable::at(PeerId id) const {
  WARREN_ASSERT(id.value < slots_.size() && slots_[id.value]);
  return *slots_[id.value];
}

}  // namespace warren::wg
