// Cryptokey routing: which peer an inner address belongs to (whitepaper section 2). The longest
// prefix wins; a prefix has one owner, and giving it to another peer takes it from the first.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "wg/index_table.hpp"

namespace warren::wg {

/// The bits of an address, the first one highest.
struct Key32 {
  std::uint32_t bits = 0;
};
struct Key128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

/// A binary trie with compressed paths. Lookup costs at most one step per stored prefix length on
/// the way and allocates nothing; a prefix costs at most two nodes (28 bytes each for IPv4, 40 for
/// IPv6). Each peer's prefixes are a list through their nodes, so that removing a peer never looks
/// at another's.
template <typename Key>
class PrefixTrie {
 public:
  /// Gives the prefix to `owner`, taking it from whoever had it.
  void insert(Key key, unsigned length, PeerId owner);
  /// False when `owner` does not have it.
  bool remove(Key key, unsigned length, PeerId owner);
  void remove_all(PeerId owner);
  /// The owner of the longest prefix of a whole address.  HOT PATH
  [[nodiscard]] std::optional<PeerId> lookup(Key key) const;
  /// Calls `visit(key, length)` for each prefix of the peer, in no order.
  template <typename Visit>
  void for_each_of(PeerId owner, Visit visit) const {
    if (owner.value >= first_of_.size()) return;
    for (NodeIndex at = first_of_[owner.value]; at != kNone; at = node(at).next) {
      visit(node(at).key, unsigned{node(at).length});
    }
  }
  /// Nodes in use: never more than twice the prefixes.
  [[nodiscard]] std::size_t node_count() const { return used_; }

 private:
  using NodeIndex = std::uint32_t;
  static constexpr NodeIndex kNone = ~NodeIndex{0};
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};
  /// Nodes are allocated this many at a time and never move.
  static constexpr unsigned kBlockBits = 7;
  static constexpr NodeIndex kBlockMask = (NodeIndex{1} << kBlockBits) - 1;

  struct Node {
    Key key{};
    NodeIndex child[2] = {kNone, kNone};  ///< of a free node, child[0] is the next free one
    NodeIndex next = kNone;               ///< among the owner's prefixes
    NodeIndex previous = kNone;
    std::uint32_t owner = kNobody;
    std::uint8_t length = 0;
  };

  [[nodiscard]] Node& node(NodeIndex at) { return blocks_[at >> kBlockBits][at & kBlockMask]; }
  [[nodiscard]] const Node& node(NodeIndex at) const {
    return blocks_[at >> kBlockBits][at & kBlockMask];
  }
  [[nodiscard]] NodeIndex make(Key key, unsigned length);
  void free_if_useless(NodeIndex* link);
  void give(NodeIndex at, PeerId owner);
  void take(NodeIndex at);

  std::vector<std::unique_ptr<Node[]>> blocks_;
  std::vector<NodeIndex> first_of_;  ///< by peer
  NodeIndex free_ = kNone;
  NodeIndex root_ = kNone;
  std::size_t used_ = 0;
};

extern template class PrefixTrie<Key32>;
extern template class PrefixTrie<Key128>;

class AllowedIps {
 public:
  /// Host bits of `prefix` are ignored.
  void insert(const base::Prefix& prefix, PeerId owner);
  /// Removes `prefix` if `owner` has it.
  void remove(const base::Prefix& prefix, PeerId owner);
  void remove_all(PeerId owner);
  /// HOT PATH
  [[nodiscard]] std::optional<PeerId> lookup(const base::IpAddress& address) const;
  /// In order of family, address and length.
  [[nodiscard]] std::vector<base::Prefix> of(PeerId owner) const;
  /// Trie nodes in use, for tests and figures.
  [[nodiscard]] std::size_t node_count() const { return v4_.node_count() + v6_.node_count(); }

 private:
  PrefixTrie<Key32> v4_;
  PrefixTrie<Key128> v6_;
};

}  // namespace warren::wg
