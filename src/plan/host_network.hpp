// What the host must look like for one network: computed from the model, compared with what is
// there. A pure value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "model/network.hpp"
#include "model/policy_table.hpp"

namespace warren::plan {

/// A public port that leads to a member of the network.
struct HostForward {
  model::PublicPort from;
  std::optional<base::IpAddress> to4;
  std::optional<base::IpAddress> to6;
  std::uint16_t to_port = 0;
  bool operator==(const HostForward&) const = default;
};

/// The kernel objects of one network on its gateway (DESIGN section 4).
struct HostNetwork {
  model::NetworkId id;
  std::string name;  ///< namespace "warren-<name>"
  std::uint16_t mtu = 1420;
  bool nat = true;
  std::optional<base::Prefix> subnet4;
  std::optional<base::Prefix> subnet6;
  std::optional<base::IpAddress> gateway4;
  std::optional<base::IpAddress> gateway6;
  /// The host's and the namespace's end of the uplink pair.
  base::IpAddress transit4_host;
  base::IpAddress transit4_inside;
  base::IpAddress transit6_host;
  base::IpAddress transit6_inside;
  std::vector<HostForward> forwards;
  std::optional<model::PolicyTable> policy;  ///< absent: members reach each other
  std::string attach;        ///< the host's link whose segment the members are part of; empty: none
  bool host_access = false;  ///< the host has a route to the members
  /// Addresses of members, sorted: what is answered for on the segment.
  std::vector<base::IpAddress> attached_members;

  [[nodiscard]] std::string netns_name() const { return "warren-" + name; }
  /// "ws3f9c01ab": the host's end of the pair that a bridge gets as a port.
  [[nodiscard]] std::string port_name() const { return "ws" + id.hex(); }
  bool operator==(const HostNetwork&) const = default;
};

/// The pools that transit pairs come from; a network uses pair number `Network::transit`.
struct TransitPool {
  base::Prefix v4;  ///< for example 100.126.0.0/16: /31 pairs
  base::Prefix v6;  ///< for example fd77:6172:7265:6e00::/64: /127 pairs
};
[[nodiscard]] HostNetwork host_network(const model::Network& network, const TransitPool& pool);

}  // namespace warren::plan
