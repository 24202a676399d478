// Policies in the kernel: their table as a whole, its elements alone, and the end of connections
// that a policy no longer allows.
//
// A change is one transaction. What it takes away is then asked of the tracked connections: the new
// rules are in force by then, so nothing denied begins while the walk goes on.
#include <algorithm>

#include "hostnet/conntrack.hpp"
#include "hostnet/host_net.hpp"
#include "hostnet/nft_elements.hpp"
#include "hostnet/nftables.hpp"
#include "hostnet/sysctl.hpp"
#include "plan/policy.hpp"

namespace warren::hostnet {

namespace {

using base::Status;

/// The prefixes of the segment that the network is attached to; none: it is not.
base::Result<std::vector<base::Prefix>> segment_prefixes() {
  WARREN_TRY_ASSIGN(os::Rtnl rtnl, os::Rtnl::open());
  std::vector<base::Prefix> out;
  const auto segment = rtnl.link(plan::kSegment);
  if (!segment) return out;
  WARREN_TRY_ASSIGN(const std::vector<os::LinkAddress> addresses, rtnl.addresses());
  for (const os::LinkAddress& address : addresses)
    if (address.link == segment->index) out.push_back(address.prefix.network());
  return out;
}

// Runs inside the namespace.
base::Result<std::size_t> cut(const model::PolicyTable& table) {
  WARREN_TRY_ASSIGN(const std::vector<base::Prefix> segment, segment_prefixes());
  const auto outside = [&](const base::IpAddress& address) {
    const bool on_segment = std::ranges::any_of(
        segment, [&](const base::Prefix& prefix) { return prefix.contains(address); });
    return on_segment ? model::kSegmentGroup : model::kInternetGroup;
  };
  return flush_denied([&](const TrackedConnection& connection) {
    const model::PolicyGroup from = table.group_of(connection.from);
    const model::PolicyGroup to = table.group_of(connection.to);
    if (from == 0 && to == 0) return false;  // the gateway's own, with its transit address
    return !table.allows(from != 0 ? from : outside(connection.from),
                         to != 0 ? to : outside(connection.to), connection.protocol,
                         connection.port);
  });
}

}  // namespace

Status HostNet::change(const plan::PolicyFilter* before, const plan::PolicyFilter* after) {
  const plan::PolicyFilter& shown = after != nullptr ? *after : *before;
  return inside(shown.netns, [&]() -> Status {
    if (after == nullptr) return run_nft(removal_of_nft_table(plan::kPolicyTable));
    const bool whole = before == nullptr || before->text != after->text;
    const model::PolicyTable nothing;
    const model::PolicyTable& present = whole ? nothing : before->table;
    const std::string elements = plan::policy_script(present, after->table);
    WARREN_TRY(whole ? replace_nft_table(plan::kPolicyTable, after->text + elements)
                     : run_nft(elements));
    if (!whole && !plan::is_tighter(present, after->table)) return {};
    const auto done = cut(after->table);
    return done ? Status() : Status(done.error());
  });
}

Status HostNet::change_policy_members(const plan::HostNetwork& network,
                                      const std::vector<model::GroupMember>& gone,
                                      const std::vector<model::GroupMember>& come) {
  close_spent();
  return inside(network.netns_name(), [&] {
    const bool few = gone.size() + come.size() <= kMaxElementsAtOnce;
    return few ? change_elements(plan::kPolicyTable, gone, come, spent_)
               : run_nft(plan::members_script(gone, come));
  });
}

base::Result<std::size_t> HostNet::cut_denied(const plan::HostNetwork& network) {
  std::size_t count = 0;
  if (!network.policy) return count;
  WARREN_TRY(inside(network.netns_name(), [&]() -> Status {
    // A look at the connections is one at those of all namespaces, 3 ms and more.
    if (read_sysctl("net/netfilter/nf_conntrack_count") == "0") return {};
    WARREN_TRY_ASSIGN(count, cut(*network.policy));
    return {};
  }));
  return count;
}

}  // namespace warren::hostnet
