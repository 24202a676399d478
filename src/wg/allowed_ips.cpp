// The trie: a node holds a prefix that is a proper prefix of both children's. A node without an
// owner exists only to branch, so it has two children; remove() restores that. Nodes live in blocks
// that never move and name each other by number.
#include "wg/allowed_ips.hpp"

#include <algorithm>
#include <bit>

namespace warren::wg {

namespace {

unsigned common_bits(Key32 a, Key32 b) {
  return static_cast<unsigned>(std::countl_zero(a.bits ^ b.bits));
}

unsigned common_bits(Key128 a, Key128 b) {
  const std::uint64_t high = a.high ^ b.high;
  if (high != 0) return static_cast<unsigned>(std::countl_zero(high));
  return 64 + static_cast<unsigned>(std::countl_zero(a.low ^ b.low));
}

unsigned bit_at(Key32 key, unsigned index) { return key.bits >> (31 - index) & 1; }

unsigned bit_at(Key128 key, unsigned index) {
  return static_cast<unsigned>((index < 64 ? key.high >> (63 - index) : key.low >> (127 - index)) &
                               1);
}

Key32 key32_of(const base::IpAddress& address) {
  return {base::ByteReader(address.bytes()).u32_be()};
}

Key128 key128_of(const base::IpAddress& address) {
  base::ByteReader reader(address.bytes());
  const std::uint64_t high = reader.u64_be();
  return {.high = high, .low = reader.u64_be()};
}

base::IpAddress address_of(Key32 key) { return base::IpAddress::v4(key.bits); }

base::IpAddress address_of(Key128 key) {
  std::array<std::uint8_t, 16> bytes;
  base::ByteWriter(bytes).u64_be(key.high).u64_be(key.low);
  return base::IpAddress::v6(bytes);
}

template <typename Key>
constexpr unsigned kBits = sizeof(Key) * 8;

}  // namespace

template <typename Key>
PrefixTrie<Key>::NodeIndex PrefixTrie<Key>::make(Key key, unsigned length) {
  if (free_ == kNone) {
    auto first = static_cast<NodeIndex>(blocks_.size() << kBlockBits);
    blocks_.push_back(std::make_unique<Node[]>(std::size_t{kBlockMask} + 1));
    for (NodeIndex at = first + kBlockMask + 1; at-- > first;) {
      node(at).child[0] = std::exchange(free_, at);
    }
  }
  const NodeIndex index = free_;
  free_ = node(index).child[0];
  node(index) = Node{.key = key, .length = static_cast<std::uint8_t>(length)};
  ++used_;
  return index;
}

/// Puts the node, which nobody has, on the owner's list.
template <typename Key>
void PrefixTrie<Key>::give(NodeIndex at, PeerId owner) {
  if (owner.value >= first_of_.size()) first_of_.resize(owner.value + 1, kNone);
  NodeIndex& first = first_of_[owner.value];
  Node& given = node(at);
  given.owner = owner.value;
  given.previous = kNone;
  given.next = std::exchange(first, at);
  if (given.next != kNone) node(given.next).previous = at;
}

template <typename Key>
void PrefixTrie<Key>::take(NodeIndex at) {
  Node& taken = node(at);
  if (taken.next != kNone) node(taken.next).previous = taken.previous;
  (taken.previous != kNone ? node(taken.previous).next : first_of_[taken.owner]) = taken.next;
  taken.owner = kNobody;
}

template <typename Key>
void PrefixTrie<Key>::insert(Key key, unsigned length, PeerId owner) {
  NodeIndex* link = &root_;
  unsigned common = 0;
  while (*link != kNone) {
    Node& at = node(*link);
    common = std::min({common_bits(at.key, key), unsigned{at.length}, length});
    if (common < at.length || at.length == length) break;
    link = &at.child[bit_at(key, at.length)];
  }
  const NodeIndex below = *link;
  if (below != kNone && node(below).length == length && common == length) {
    if (node(below).owner != kNobody) take(below);
    return give(below, owner);
  }
  const NodeIndex leaf = make(key, length);
  give(leaf, owner);
  *link = leaf;
  if (below == kNone) return;
  NodeIndex above = leaf;
  if (common < length) {
    above = make(key, common);
    node(above).child[bit_at(key, common)] = leaf;
    *link = above;
  }
  node(above).child[bit_at(node(below).key, common)] = below;
}

template <typename Key>
bool PrefixTrie<Key>::remove(Key key, unsigned length, PeerId owner) {
  NodeIndex* parent = nullptr;
  NodeIndex* link = &root_;
  while (*link != kNone) {
    Node& at = node(*link);
    if (at.length > length || common_bits(at.key, key) < at.length) return false;
    if (at.length == length) break;
    parent = link;
    link = &at.child[bit_at(key, at.length)];
  }
  if (*link == kNone || node(*link).owner != owner.value) return false;
  take(*link);
  free_if_useless(link);
  if (parent != nullptr) free_if_useless(parent);
  return true;
}

/// Takes the node at `link` out if it has no owner and does not branch.
template <typename Key>
void PrefixTrie<Key>::free_if_useless(NodeIndex* link) {
  const NodeIndex index = *link;
  Node& useless = node(index);
  if (useless.owner != kNobody) return;
  if (useless.child[0] != kNone && useless.child[1] != kNone) return;
  *link = useless.child[0] != kNone ? useless.child[0] : useless.child[1];
  useless.child[0] = std::exchange(free_, index);
  --used_;
}

template <typename Key>
void PrefixTrie<Key>::remove_all(PeerId owner) {
  if (owner.value >= first_of_.size()) return;
  while (first_of_[owner.value] != kNone) {
    const Node& first = node(first_of_[owner.value]);
    remove(first.key, first.length, owner);
  }
}

// HOT PATH
template <typename Key>
std::optional<PeerId> PrefixTrie<Key>::lookup(Key key) const {
  std::uint32_t best = kNobody;
  NodeIndex index = root_;
  while (index != kNone) {
    const Node& at = node(index);
    if (common_bits(at.key, key) < at.length) break;
    if (at.owner != kNobody) best = at.owner;
    if (at.length == kBits<Key>) break;
    index = at.child[bit_at(key, at.length)];
  }
  if (best == kNobody) return std::nullopt;
  return PeerId{best};
}

template class PrefixTrie<Key32>;
template class PrefixTrie<Key128>;

void AllowedIps::insert(const base::Prefix& prefix, PeerId owner) {
  const base::IpAddress network = prefix.network().address;
  if (network.is_v4()) {
    v4_.insert(key32_of(network), prefix.length, owner);
  } else {
    v6_.insert(key128_of(network), prefix.length, owner);
  }
}

void AllowedIps::remove(const base::Prefix& prefix, PeerId owner) {
  const base::IpAddress network = prefix.network().address;
  if (network.is_v4()) {
    v4_.remove(key32_of(network), prefix.length, owner);
  } else {
    v6_.remove(key128_of(network), prefix.length, owner);
  }
}

void AllowedIps::remove_all(PeerId owner) {
  v4_.remove_all(owner);
  v6_.remove_all(owner);
}

std::optional<PeerId> AllowedIps::lookup(const base::IpAddress& address) const {
  return address.is_v4() ? v4_.lookup(key32_of(address)) : v6_.lookup(key128_of(address));
}

std::vector<base::Prefix> AllowedIps::of(PeerId owner) const {
  std::vector<base::Prefix> prefixes;
  const auto collect = [&](auto key, unsigned length) {
    prefixes.push_back({address_of(key), static_cast<std::uint8_t>(length)});
  };
  v4_.for_each_of(owner, collect);
  v6_.for_each_of(owner, collect);
  std::ranges::sort(prefixes);
  return prefixes;
}

}  // namespace warren::wg
