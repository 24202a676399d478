// HostNet: the kernel's side of plans. Reads back and changes namespaces, links, addresses, routes,
// nftables and settings of the host, and of the namespaces of its networks.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "hostnet/link_marks.hpp"
#include "hostnet/records.hpp"
#include "hostnet/rule_memory.hpp"
#include "os/fd.hpp"
#include "os/netns.hpp"
#include "os/rtnl.hpp"
#include "plan/host.hpp"
#include "plan/steps.hpp"

namespace warren::hostnet {

struct Options {
  /// Written into aliases and the host's table name; lower-case letters and digits, at most 16.
  std::string instance;
  /// Where settings are recorded before they change ("STATE/host.json").
  std::string state_file;
  /// Off: behaves as on kernels older than Linux 6.17, which switch IPv6 forwarding for all
  /// interfaces at once.
  bool use_force_forwarding = true;
};

/// "The host" is the network namespace of the thread that calls open(). Not thread-safe; every
/// call blocks for as long as the kernel takes. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
class HostNet final : public plan::Host {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<HostNet>> open(const Options& options);

  [[nodiscard]] bool may_change_host() const override { return os::is_ours(host_); }
  [[nodiscard]] base::Result<plan::Observed> observe() override;
  [[nodiscard]] base::Status apply(const plan::Step& step) override;
  // batch.cpp
  [[nodiscard]] plan::Progress apply_in(const std::string& netns,
                                        std::span<const plan::Step> steps) override;
  [[nodiscard]] base::Status remove_networks(std::span<const plan::Step> steps) override;
  [[nodiscard]] base::Result<std::size_t> flush_connections(
      const plan::HostNetwork& network, const std::vector<base::IpAddress>& addresses) override;
  [[nodiscard]] base::Status check_transit(const plan::TransitPool& pool) override;
  [[nodiscard]] base::Result<std::size_t> close_forwards(
      const plan::HostNetwork& network, const std::vector<plan::HostForward>& forwards) override;
  [[nodiscard]] base::Status change_policy_members(
      const plan::HostNetwork& network, const std::vector<model::GroupMember>& gone,
      const std::vector<model::GroupMember>& come) override;
  [[nodiscard]] base::Result<std::size_t> cut_denied(const plan::HostNetwork& network) override;
  // segment.cpp
  [[nodiscard]] base::Result<plan::SegmentFacts> find_segment(const std::string& link) override;
  [[nodiscard]] base::Status change_attached_members(
      const plan::HostNetwork& network, const std::vector<base::IpAddress>& gone,
      const std::vector<base::IpAddress>& come) override;
  [[nodiscard]] base::Result<std::vector<plan::Occupant>> find_occupants(
      const plan::HostNetwork& network, const std::vector<base::IpAddress>& addresses) override;
  // path_probe.cpp, port_probe.cpp
  [[nodiscard]] base::Result<std::optional<plan::Obstacle>> probe_uplink(
      const plan::HostNetwork& network) override;
  [[nodiscard]] base::Result<std::optional<plan::Obstacle>> probe_segment(
      const plan::HostNetwork& network) override;
  [[nodiscard]] base::Result<std::vector<plan::PortFinding>> probe_ports(
      const std::vector<plan::PortQuestion>& questions) override;
  [[nodiscard]] base::Result<std::vector<std::string>> find_strangers(
      const plan::HostNetwork& network) override;
  [[nodiscard]] base::Status check_public_port(const model::PublicPort& port) override;
  [[nodiscard]] base::Result<std::vector<std::string>> overlapping_routes(
      const base::Prefix& subnet) override;
  [[nodiscard]] base::Result<std::vector<base::IpAddress>> public_addresses() override;

 private:
  HostNet(const Options& options, os::Fd host, os::Rtnl rtnl, Records records)
      : options_(options),
        marks_(LinkMarks::of(options.instance)),
        host_(std::move(host)),
        rtnl_(std::move(rtnl)),
        records_(std::move(records)) {}

  struct Namespaces;
  [[nodiscard]] const std::string& alias() const { return marks_.alias; }
  /// Born into the host by us, and without its alias yet: a crash came in between.
  [[nodiscard]] bool is_halfway(const os::Link& link) const {
    return link.alias.empty() && link.group == marks_.born;
  }
  /// Closes sockets of former calls: what they wait for is long over, unless many come at once.
  void close_spent() {
    constexpr std::size_t kSpentSockets = 32;
    if (spent_.size() >= kSpentSockets) spent_.clear();
  }
  /// Runs `fn` inside a namespace of ours, or inside the host for an empty name: on a thread of its
  /// own, unless what is running is there already.
  [[nodiscard]] base::Status inside(const std::string& netns,
                                    const std::function<base::Status()>& fn);

  // observe.cpp
  [[nodiscard]] base::Status observe_environment(const std::vector<os::Link>& links,
                                                 plan::Environment& out);
  [[nodiscard]] base::Status observe_host(const std::vector<os::Link>& links, plan::Observed& out);
  [[nodiscard]] base::Status observe_namespaces(const std::vector<os::Link>& host_links,
                                                plan::Observed& out);
  [[nodiscard]] base::Status observe_recorded(std::vector<plan::Fact>& out);

  // apply.cpp: one per kind of fact; a null side means absent.
  using Status = base::Status;
  [[nodiscard]] Status change(const plan::Namespace* before, const plan::Namespace* after);
  [[nodiscard]] Status change(const plan::Sysctl* before, const plan::Sysctl* after);
  [[nodiscard]] Status change(const plan::Link* before, const plan::Link* after);
  [[nodiscard]] Status change(const plan::Address* before, const plan::Address* after);
  [[nodiscard]] Status change(const plan::Route* before, const plan::Route* after);
  [[nodiscard]] Status change(const plan::ProxyNeighbour* before,
                              const plan::ProxyNeighbour* after);
  [[nodiscard]] Status change(const plan::Table* before, const plan::Table* after);
  /// Of what is elements of a table.
  [[nodiscard]] Status change_in_table(const plan::Fact* before, const plan::Fact* after);
  // policy.cpp
  [[nodiscard]] Status change(const plan::PolicyFilter* before, const plan::PolicyFilter* after);
  [[nodiscard]] Status add_link(const plan::Link& link);
  [[nodiscard]] Status set_link(const plan::Link* before, const plan::Link& after);
  /// Makes the host's end of a pair a port of its bridge, or of none.
  [[nodiscard]] Status enslave(const plan::Link& link);

  // batch.cpp
  [[nodiscard]] plan::Progress apply_here(std::span<const plan::Step> steps);
  /// All of them or, where the record cannot be written, none.
  [[nodiscard]] plan::Progress make_spaces(const std::vector<std::string>& names);
  [[nodiscard]] Status make_space(const std::string& name);
  [[nodiscard]] Status delete_host_ends(const std::set<std::string>& names);

  Options options_;
  LinkMarks marks_;
  os::Fd host_;
  os::Rtnl rtnl_;  ///< in the host
  Records records_;
  RuleMemory rules_;                 ///< of namespaces, as they were last observed
  std::optional<std::string> here_;  ///< the namespace that `inside` is in
  std::vector<os::Fd> spent_;        ///< sockets that are slow to close (nft_elements.hpp)
};

}  // namespace warren::hostnet
