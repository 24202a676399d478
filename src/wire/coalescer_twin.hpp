// For tests: the slow obvious twin of Coalescer, which knows packets by their descriptions.
#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "wire/coalescer.hpp"
#include "wire/wire_test_support.hpp"

namespace warren::wire {

struct Sent {
  Spec spec;
  Buffer bytes;           ///< may be damaged
  bool trailing = false;  ///< there is more than the IP packet
};

using Group = std::vector<std::size_t>;  // indices of packets

/// Tries each merge by cutting it again and comparing all bytes.
class Twin {
 public:
  Twin(CoalesceOptions options, const std::vector<Sent>& packets)
      : options_(options), packets_(packets) {}

  std::vector<Group> run() {
    for (std::size_t i = 0; i < packets_.size(); ++i) add(i);
    return groups_;
  }
  /// The super-packet of a group.
  [[nodiscard]] Spec merged(const Group& group) const {
    Spec all = packets_[group.front()].spec;
    all.payload.clear();
    for (const std::size_t i : group) append(all.payload, packets_[i].spec.payload);
    all.flags = packets_[group.back()].spec.flags;
    return all;
  }

 private:
  static auto key(const Spec& spec) {
    return std::tuple(spec.tags, spec.v6, spec.tcp, spec.source, spec.destination, spec.source_port,
                      spec.destination_port);
  }

  void add(std::size_t index) {
    const Spec& spec = packets_[index].spec;
    if (is_fragment(spec)) {
      std::erase_if(open_, [&](std::size_t group) {
        const Spec& other = packets_[groups_[group].front()].spec;
        return other.v6 == spec.v6 && other.source == spec.source &&
               other.destination == spec.destination;
      });
      groups_.push_back({index});
      return;
    }
    const auto flow = std::ranges::find_if(open_, [&](std::size_t group) {
      return key(packets_[groups_[group].front()].spec) == key(spec);
    });
    if (flow != open_.end()) {
      Group longer = groups_[*flow];
      longer.push_back(index);
      if (may_merge(packets_[index]) && cuts_back(longer)) {
        groups_[*flow] = longer;
        return;
      }
      open_.erase(flow);
    }
    groups_.push_back({index});
    if (!may_merge(packets_[index]) || (spec.tcp && spec.flags != 0x10)) return;
    if (open_.size() == kOpenFlows) open_.erase(open_.begin());
    open_.push_back(groups_.size() - 1);
  }

  bool cuts_back(const Group& group) const {
    const Spec& first = packets_[group.front()].spec;
    std::vector<Spec> pieces = naive_cut(merged(group), first.payload.size());
    if (pieces.size() != group.size() || group.size() > kMaxCoalesced) return false;
    if (build(merged(group)).bytes.size() > kMaxCoalescedBytes) return false;
    return matches(pieces, group) || (constant_ids(group) && matches(with_id(pieces), group));
  }
  bool matches(const std::vector<Spec>& pieces, const Group& group) const {
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (build(pieces[i]).bytes != packets_[group[i]].bytes) return false;
    }
    return true;
  }
  bool constant_ids(const Group& group) const {
    return std::ranges::all_of(group, [&](std::size_t i) {
      const Spec& spec = packets_[i].spec;
      return !spec.v6 && spec.id == packets_[group.front()].spec.id && (spec.fragment & 0x4000);
    });
  }
  static std::vector<Spec> with_id(std::vector<Spec> pieces) {
    for (Spec& piece : pieces) piece.id = pieces.front().id;
    return pieces;
  }

  bool may_merge(const Sent& packet) const {
    const Spec& spec = packet.spec;
    const bool enabled = spec.tcp ? (spec.v6 ? options_.tcp6 : options_.tcp4)
                                  : (spec.v6 ? options_.udp6 : options_.udp4);
    if (!enabled || packet.trailing || spec.payload.empty()) return false;
    if (spec.v6 ? !spec.extensions.empty() : !spec.ip_options.empty()) return false;
    if (!spec.tcp) return spec.udp_checksum;
    return (spec.flags == 0x10 || spec.flags == 0x18) && spec.reserved == 0;
  }
  static bool is_fragment(const Spec& spec) {
    if (!spec.v6) return (spec.fragment & 0x3fff) != 0;
    return std::ranges::any_of(spec.extensions,
                               [](const Extension& extension) { return extension.type == 44; });
  }

  CoalesceOptions options_;
  const std::vector<Sent>& packets_;
  std::vector<Group> groups_;
  std::vector<std::size_t> open_;  // groups, oldest first
};

}  // namespace warren::wire
