// Plans: what is observed, what is desired, and the ordered steps between them. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "plan/fact.hpp"
#include "plan/host_network.hpp"

namespace warren::plan {

/// An interface through which the host reaches others.
struct Uplink {
  std::string link;
  bool routes4 = false;  ///< has a default route (or, where the host has none, a gateway route)
  bool routes6 = false;
  bool forwards4 = false;  ///< forwarding was on before us
  bool forwards6 = false;
};

/// A link of the host's that networks can be attached to: a bridge, which gets a port, or another
/// Ethernet link, which gets a further station on its wire.
enum class SegmentKind : std::uint8_t { Bridge, Wire };

/// What a plan needs to know of the host beside our own objects.
struct Environment {
  std::string instance;  ///< our instance id, lower-case letters and digits
  std::vector<Uplink> uplinks;
  /// Interfaces whose addresses and routes come from router advertisements and which would stop
  /// accepting them as a router (accept_ra is 1, or was before us).
  std::vector<std::string> advertised;
  bool forwards4_everywhere = false;  ///< IPv4 forwarding is on by default, not by us
  bool forwards6_everywhere = false;  ///< net.ipv6.conf.all.forwarding is on, not by us
  /// The kernel can switch IPv6 forwarding per interface (conf.<if>.force_forwarding, Linux 6.17).
  bool force_forwarding6 = false;
  std::map<std::string, std::string> foreign_namespaces;  ///< name → its owner, in words
  std::map<std::string, std::string> foreign_links;       ///< the host's own links → their owner
  std::map<std::string, SegmentKind> segments;            ///< by the name of the link

  [[nodiscard]] std::string host_table() const { return "warren_" + instance; }
};

/// What is there that carries our instance id.
struct Observed {
  Environment environment;
  std::vector<Fact> facts;
};

/// One change: from `before` to `after`; an empty side means absent.
struct Step {
  std::optional<Fact> before;
  std::optional<Fact> after;

  [[nodiscard]] Step inverse() const { return {.before = after, .after = before}; }
  [[nodiscard]] std::vector<std::string> to_commands(const std::string& instance) const;
  bool operator==(const Step&) const = default;
};

/// Every fact that must hold for these networks, in the order in which they are made.
[[nodiscard]] std::vector<Fact> desired_facts(const std::vector<HostNetwork>& networks,
                                              const Environment& environment);
/// What a forward is on the host whose table has this name, and inside the namespace.
[[nodiscard]] std::vector<PortForward> forward_facts(const HostNetwork& network,
                                                     const HostForward& forward,
                                                     const std::string& host_table);
/// The host's table. `everywhere6`: IPv6 forwarding could only be switched on for all interfaces,
/// so that the table drops what is not ours.
[[nodiscard]] std::string host_table_text(const std::string& table, bool everywhere6);
/// The table inside a network's namespace.
[[nodiscard]] std::string namespace_table_text(const HostNetwork& network);
/// The settings inside a network's namespace.
[[nodiscard]] std::vector<Sysctl> namespace_sysctls(const std::string& netns, bool v6);
/// The further settings inside the namespace of a network with a policy.
[[nodiscard]] std::vector<Sysctl> policy_sysctls(const std::string& netns);
/// The further settings inside the namespace of a network that is attached to a segment.
[[nodiscard]] std::vector<Sysctl> segment_sysctls(const std::string& netns, bool v6);
/// What each member of an attached network is, beside its place in the engine.
[[nodiscard]] std::vector<Fact> attached_member_facts(const HostNetwork& network,
                                                      const base::IpAddress& member);
/// The settings of the host's end of an uplink.
[[nodiscard]] std::vector<Sysctl> uplink_sysctls(const std::string& link, bool force_forwarding6);

/// Conflict when a name that one of the networks needs belongs to someone else.
[[nodiscard]] base::Status check_names(const std::vector<HostNetwork>& networks,
                                       const Environment& environment);
/// The ordered difference: removals first, in reverse order of making, then additions and changes.
/// Conflict when a name that a network needs belongs to someone else.
[[nodiscard]] base::Result<std::vector<Step>> make_plan(const std::vector<HostNetwork>& desired,
                                                        const Observed& observed);

}  // namespace warren::plan
