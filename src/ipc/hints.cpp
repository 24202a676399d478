// Theory of operation
//
// A hash table in memory that outlives its writer. One process writes (the engine); another reads
// only after the writer's end, so no lock is needed, but a write may be cut anywhere. Each slot
// ends in a checksum over the rest, written last: a cut slot does not match and reads as absent. It
// keeps its state byte, so that probing goes on behind it. Erased slots stay as tombstones until
// the slot behind them is free.
#include "ipc/hints.hpp"

#include <algorithm>

namespace warren::ipc {

namespace {

constexpr std::array<std::uint8_t, 8> kMagic = {'W', 'R', 'H', 'I', 'N', 'T', 'S', 0};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderSize = 128;
constexpr std::size_t kSlotSize = 128;
constexpr std::size_t kChecksumAt = 120;
constexpr std::size_t kKeyAt = 8;
/// Slots that a search looks at: a table that is full must not cost a scan per handshake.
constexpr std::size_t kMaxProbes = 128;

constexpr std::uint8_t kFree = 0;
constexpr std::uint8_t kUsed = 1;
constexpr std::uint8_t kErased = 2;

/// FNV-1a, 64 bits: finds torn writes, guards against nobody.
std::uint64_t checksum(base::Bytes bytes) {
  std::uint64_t sum = 0xcbf29ce484222325U;
  for (const std::uint8_t byte : bytes) sum = (sum ^ byte) * 0x100000001b3U;
  return sum;
}

bool is_whole(base::Bytes slot) {
  base::ByteReader in(slot.subspan(kChecksumAt));
  return slot[0] == kUsed && in.u64_le() == checksum(slot.first(kChecksumAt));
}

/// The key first: its first byte already tells most slots apart, the checksum costs 120.
bool is_of(base::Bytes slot, const base::PublicKey& peer) {
  return std::equal(peer.bytes.begin(), peer.bytes.end(), &slot[kKeyAt]) && is_whole(slot);
}

void write_slot(base::MutableBytes slot, const base::PublicKey& peer, const Hint& hint) {
  std::array<std::uint8_t, kSlotSize> image{};
  base::ByteWriter out(image);
  const base::Endpoint endpoint = hint.endpoint.value_or(base::Endpoint{});
  const std::uint8_t family = !hint.endpoint ? 0 : endpoint.address.is_v4() ? 4 : 6;
  const base::Bytes address = endpoint.address.bytes();
  out.u8(kUsed).u8(family).u16_le(endpoint.port).u32_le(endpoint.scope);
  out.bytes(peer.bytes).bytes(address).zeros(16 - address.size());
  out.bytes(hint.last_sent_timestamp).bytes(hint.last_accepted_timestamp);
  out.u64_le(static_cast<std::uint64_t>(hint.last_activity.ns));
  out.zeros(kChecksumAt - out.written());
  out.u64_le(checksum(base::Bytes(image).first(kChecksumAt)));
  std::copy(image.begin(), image.end(), slot.begin());
}

std::optional<Hint> read_slot(base::Bytes slot) {
  base::ByteReader in(slot);
  Hint hint;
  std::ignore = in.u8();
  const std::uint8_t family = in.u8();
  base::Endpoint endpoint;
  endpoint.port = in.u16_le();
  endpoint.scope = in.u32_le();
  std::ignore = in.take(base::PublicKey::kSize);
  const auto address = in.array<16>();
  if (family == 4 || family == 6) {
    const auto parsed =
        base::IpAddress::from_bytes(base::Bytes(address).first(family == 4 ? 4 : 16));
    if (!parsed) return std::nullopt;
    endpoint.address = *parsed;
    hint.endpoint = endpoint;
  } else if (family != 0) {
    return std::nullopt;
  }
  hint.last_sent_timestamp = in.array<12>();
  hint.last_accepted_timestamp = in.array<12>();
  hint.last_activity.ns = static_cast<std::int64_t>(in.u64_le());
  return hint;
}

/// Public keys are uniform: their first bytes are the hash.
std::size_t home_of(const base::PublicKey& peer, std::size_t capacity) {
  base::ByteReader in(peer.bytes);
  return in.u64_le() % capacity;
}

}  // namespace

std::size_t HintsTable::size_for(std::size_t capacity) {
  return kHeaderSize + capacity * kSlotSize;
}

std::size_t HintsTable::capacity_for(std::size_t peers) {
  return std::clamp(2 * peers, kMinHints, kMaxHints);
}

void HintsTable::format(base::MutableBytes memory) {
  base::ByteWriter out(memory);
  const std::size_t capacity = (memory.size() - kHeaderSize) / kSlotSize;
  out.bytes(kMagic).u32_le(kVersion).u32_le(static_cast<std::uint32_t>(capacity));
}

std::optional<HintsTable> HintsTable::open(base::MutableBytes memory) {
  if (memory.size() < kHeaderSize + kSlotSize) return std::nullopt;
  base::ByteReader in(memory);
  const auto magic = in.array<8>();
  const std::uint32_t version = in.u32_le();
  const std::uint32_t capacity = in.u32_le();
  if (magic != kMagic || version != kVersion || size_for(capacity) != memory.size()) {
    return std::nullopt;
  }
  return HintsTable(memory);
}

std::size_t HintsTable::capacity() const { return (memory_.size() - kHeaderSize) / kSlotSize; }

base::MutableBytes HintsTable::slot(std::size_t index) const {
  return memory_.subspan(kHeaderSize + index * kSlotSize, kSlotSize);
}

std::optional<std::size_t> HintsTable::find(const base::PublicKey& peer) const {
  const std::size_t home = home_of(peer, capacity());
  for (std::size_t step = 0; step < std::min(capacity(), kMaxProbes); ++step) {
    const std::size_t index = (home + step) % capacity();
    if (slot(index)[0] == kFree) return std::nullopt;
    if (is_of(slot(index), peer)) return index;
  }
  return std::nullopt;
}

bool HintsTable::put(const base::PublicKey& peer, const Hint& hint) {
  std::optional<std::size_t> index = find(peer);
  const std::size_t home = home_of(peer, capacity());
  for (std::size_t step = 0; !index && step < std::min(capacity(), kMaxProbes); ++step) {
    const std::size_t candidate = (home + step) % capacity();
    if (!is_whole(slot(candidate))) index = candidate;  // free, erased or torn
  }
  if (!index) return false;
  write_slot(slot(*index), peer, hint);
  return true;
}

std::optional<Hint> HintsTable::get(const base::PublicKey& peer) const {
  const auto index = find(peer);
  if (!index) return std::nullopt;
  return read_slot(slot(*index));
}

void HintsTable::erase(const base::PublicKey& peer) {
  const auto found = find(peer);
  if (!found) return;
  std::ranges::fill(slot(*found), std::uint8_t{0});
  std::size_t index = *found;
  if (slot((index + 1) % capacity())[0] != kFree) {
    slot(index)[0] = kErased;
    return;
  }
  // Nothing behind: this slot and the tombstones before it end no probe any more.
  for (index = (index + capacity() - 1) % capacity(); slot(index)[0] == kErased;
       index = (index + capacity() - 1) % capacity()) {
    slot(index)[0] = kFree;
  }
}

}  // namespace warren::ipc
