// Cryptokey routing: which peer an inner address belongs to (whitepaper section 2). The longest
// prefix wins; a prefix has one owner, and giving it to another peer takes it from the first.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/address.hpp"
#include "wg/index_table.hpp"

namespace warren::wg {

/// A binary trie with compressed paths over keys of up to 128 bits. Lookup costs at most one step
/// per stored prefix length on the way and allocates nothing.
class PrefixTrie {
 public:
  struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
  };

  void insert(Key key, unsigned length, PeerId owner);
  /// False when the prefix is not there.
  bool remove(Key key, unsigned length);
  [[nodiscard]] std::optional<PeerId> find_exact(Key key, unsigned length) const;
  [[nodiscard]] std::optional<PeerId> lookup(Key key, unsigned length) const;
  /// Nodes in use: never more than twice the prefixes.
  [[nodiscard]] std::size_t node_count() const { return nodes_.size() - free_.size(); }

 private:
  using NodeIndex = std::uint32_t;
  static constexpr NodeIndex kNone = ~NodeIndex{0};
  struct Node {
    Key key;
    std::uint8_t length = 0;
    std::optional<PeerId> owner;
    NodeIndex child[2] = {kNone, kNone};
  };

  NodeIndex make(Key key, unsigned length, std::optional<PeerId> owner);
  void free_if_useless(NodeIndex* link);

  std::vector<Node> nodes_;
  std::vector<NodeIndex> free_;
  NodeIndex root_ = kNone;
};

class AllowedIps {
 public:
  /// Host bits of `prefix` are ignored.
  void insert(const base::Prefix& prefix, PeerId owner);
  /// Removes `prefix` if `owner` has it.
  void remove(const base::Prefix& prefix, PeerId owner);
  void remove_all(PeerId owner);
  /// HOT PATH
  [[nodiscard]] std::optional<PeerId> lookup(const base::IpAddress& address) const;
  [[nodiscard]] std::vector<base::Prefix> of(PeerId owner) const;
  /// Trie nodes in use, for tests and figures.
  [[nodiscard]] std::size_t node_count() const { return v4_.node_count() + v6_.node_count(); }

 private:
  PrefixTrie& trie_of(base::Family family) { return family == base::Family::V4 ? v4_ : v6_; }

  PrefixTrie v4_;
  PrefixTrie v6_;
  std::map<PeerId, std::set<base::Prefix>> owned_;
};

}  // namespace warren::wg
