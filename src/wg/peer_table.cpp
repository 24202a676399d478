#include "wg/peer_table.hpp"

#include "base/assert.hpp"

namespace warren::wg {

PeerTable::PeerTable(std::size_t limit, base::RandomSource* random)
    : limit_(limit),
      // Without a random source: the first fractional digits of pi.
      hash_key_{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89} {
  if (random == nullptr) return;
  for (std::uint64_t& word : hash_key_) word = random->u64();
}

Peer* PeerTable::add(const base::PublicKey& key, base::Duration cookie_lifetime) {
  WARREN_ASSERT(find(key) == nullptr);
  if (size() >= limit_) return nullptr;
  PeerId id{static_cast<std::uint32_t>(slots_.size())};
  if (free_.empty()) {
    slots_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  slots_[id.value] = std::make_unique<Peer>(id, next_serial_++, key, cookie_lifetime);
  by_key_.insert(tag_of(key), id.value);
  return slots_[id.value].get();
}

void PeerTable::remove(PeerId id) {
  by_key_.erase(tag_of(at(id).public_key), id.value);
  slots_[id.value].reset();
  free_.push_back(id);
}

Peer* PeerTable::find(const base::PublicKey& key) const {
  const auto found = by_key_.find(
      tag_of(key), [&](std::uint32_t slot) { return slots_[slot]->public_key == key; });
  return found ? slots_[*found].get() : nullptr;
}

Peer& PeerTable::at(PeerId id) const {
  WARREN_ASSERT(id.value < slots_.size() && slots_[id.value]);
  return *slots_[id.value];
}

Peer* PeerTable::find(PeerId id, std::uint64_t serial) const {
  if (id.value >= slots_.size()) return nullptr;
  Peer* peer = slots_[id.value].get();
  return peer != nullptr && peer->serial == serial ? peer : nullptr;
}

/// Two multiplications of 64 by 64 bits, each folded: a multilinear hash, whose collisions depend
/// on the key.
std::uint32_t PeerTable::tag_of(const base::PublicKey& key) const {
  std::array<std::uint64_t, 4> words;
  std::memcpy(words.data(), key.bytes.data(), sizeof words);
  __extension__ using Wide = unsigned __int128;
  const auto product = [](std::uint64_t a, std::uint64_t b) {
    const Wide wide = Wide{a} * b;
    return static_cast<std::uint64_t>(wide) ^ static_cast<std::uint64_t>(wide >> 64);
  };
  const std::uint64_t hash = product(words[0] ^ hash_key_[0], words[1] ^ hash_key_[1]) +
                             product(words[2] ^ hash_key_[2], words[3] ^ hash_key_[3]);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

}  // namespace warren::wg
