// The trie: a node holds a prefix that is a proper prefix of both children's. A node without an
// owner exists only to branch, so it has two children; remove() restores that. Nodes live in one
// vector and name each other by position: links are pointers into it only while nothing grows.
#include "wg/allowed_ips.hpp"

#include <algorithm>
#include <bit>

namespace warren::wg {

namespace {

using Key = PrefixTrie::Key;

unsigned common_bits(Key a, Key b) {
  const std::uint64_t high = a.high ^ b.high;
  if (high != 0) return static_cast<unsigned>(std::countl_zero(high));
  return 64 + static_cast<unsigned>(std::countl_zero(a.low ^ b.low));
}

unsigned bit_at(Key key, unsigned index) {
  return static_cast<unsigned>((index < 64 ? key.high >> (63 - index) : key.low >> (127 - index)) &
                               1);
}

Key key_of(const base::IpAddress& address) {
  base::ByteReader reader(address.bytes());
  if (address.is_v4()) return {.high = std::uint64_t{reader.u32_be()} << 32};
  const std::uint64_t high = reader.u64_be();
  return {.high = high, .low = reader.u64_be()};
}

}  // namespace

PrefixTrie::NodeIndex PrefixTrie::make(Key key, unsigned length, std::optional<PeerId> owner) {
  const Node node{.key = key, .length = static_cast<std::uint8_t>(length), .owner = owner};
  if (free_.empty()) {
    nodes_.push_back(node);
    return static_cast<NodeIndex>(nodes_.size() - 1);
  }
  const NodeIndex index = free_.back();
  free_.pop_back();
  nodes_[index] = node;
  return index;
}

void PrefixTrie::insert(Key key, unsigned length, PeerId owner) {
  const NodeIndex leaf = make(key, length, owner);
  const NodeIndex spare = make(key, 0, std::nullopt);  // both made before links are taken
  bool leaf_used = true;
  bool spare_used = false;
  NodeIndex* link = &root_;
  unsigned common = 0;
  while (*link != kNone) {
    Node& node = nodes_[*link];
    common = std::min({common_bits(node.key, key), unsigned{node.length}, length});
    if (common < node.length || node.length == length) break;
    link = &node.child[bit_at(key, node.length)];
  }
  if (*link == kNone) {
    *link = leaf;
  } else if (nodes_[*link].length == length && common == length) {
    nodes_[*link].owner = owner;
    leaf_used = false;
  } else {
    const NodeIndex below = *link;
    NodeIndex above = leaf;
    if (common < length) {
      spare_used = true;
      above = spare;
      nodes_[spare].length = static_cast<std::uint8_t>(common);
      nodes_[spare].child[bit_at(key, common)] = leaf;
    }
    nodes_[above].child[bit_at(nodes_[below].key, common)] = below;
    *link = above;
  }
  if (!spare_used) free_.push_back(spare);
  if (!leaf_used) free_.push_back(leaf);
}

bool PrefixTrie::remove(Key key, unsigned length) {
  NodeIndex* parent = nullptr;
  NodeIndex* link = &root_;
  while (*link != kNone) {
    Node& node = nodes_[*link];
    if (node.length > length || common_bits(node.key, key) < node.length) return false;
    if (node.length == length) break;
    parent = link;
    link = &node.child[bit_at(key, node.length)];
  }
  if (*link == kNone || !nodes_[*link].owner) return false;
  nodes_[*link].owner.reset();
  free_if_useless(link);
  if (parent != nullptr) free_if_useless(parent);
  return true;
}

/// Takes the node at `link` out if it has no owner and does not branch.
void PrefixTrie::free_if_useless(NodeIndex* link) {
  const NodeIndex index = *link;
  const Node& node = nodes_[index];
  if (node.owner || (node.child[0] != kNone && node.child[1] != kNone)) return;
  *link = node.child[0] != kNone ? node.child[0] : node.child[1];
  free_.push_back(index);
}

std::optional<PeerId> PrefixTrie::find_exact(Key key, unsigned length) const {
  NodeIndex at = root_;
  while (at != kNone) {
    const Node& node = nodes_[at];
    if (node.length > length || common_bits(node.key, key) < node.length) return std::nullopt;
    if (node.length == length) return node.owner;
    at = node.child[bit_at(key, node.length)];
  }
  return std::nullopt;
}

std::optional<PeerId> PrefixTrie::lookup(Key key, unsigned length) const {
  std::optional<PeerId> best;
  NodeIndex at = root_;
  while (at != kNone) {
    const Node& node = nodes_[at];
    if (common_bits(node.key, key) < node.length) break;
    if (node.owner) best = node.owner;
    if (node.length == length) break;
    at = node.child[bit_at(key, node.length)];
  }
  return best;
}

void AllowedIps::insert(const base::Prefix& prefix, PeerId owner) {
  const base::Prefix network = prefix.network();
  PrefixTrie& trie = trie_of(network.address.family());
  const Key key = key_of(network.address);
  if (const auto before = trie.find_exact(key, network.length)) owned_[*before].erase(network);
  trie.insert(key, network.length, owner);
  owned_[owner].insert(network);
}

void AllowedIps::remove(const base::Prefix& prefix, PeerId owner) {
  const base::Prefix network = prefix.network();
  const auto found = owned_.find(owner);
  if (found == owned_.end() || found->second.erase(network) == 0) return;
  trie_of(network.address.family()).remove(key_of(network.address), network.length);
}

void AllowedIps::remove_all(PeerId owner) {
  const auto found = owned_.find(owner);
  if (found == owned_.end()) return;
  for (const base::Prefix& prefix : found->second) {
    trie_of(prefix.address.family()).remove(key_of(prefix.address), prefix.length);
  }
  owned_.erase(found);
}

std::optional<PeerId> AllowedIps::lookup(const base::IpAddress& address) const {
  const PrefixTrie& trie = address.is_v4() ? v4_ : v6_;
  return trie.lookup(key_of(address), address.bit_count());
}

std::vector<base::Prefix> AllowedIps::of(PeerId owner) const {
  const auto found = owned_.find(owner);
  if (found == owned_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

}  // namespace warren::wg
