// Facts: what can be true of a gateway's host, one kernel object (or setting) each. The desired and
// the observed host are both lists of facts, so that a plan is their difference.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/address.hpp"
#include "model/forward.hpp"
#include "model/policy_table.hpp"

namespace warren::plan {

/// Routes of ours carry this protocol number; others' routes in a namespace are left alone.
inline constexpr std::uint8_t kRouteProtocol = 119;
/// The nftables table inside a network's namespace (family inet).
inline constexpr const char* kNamespaceTable = "warren";
inline constexpr const char* kBridge = "br0";
inline constexpr const char* kUplink = "up0";
/// A network's place on a segment of the host's.
inline constexpr const char* kSegment = "seg0";

/// A named network namespace whose loopback carries our instance id as its alias.
struct Namespace {
  std::string name;
  bool operator==(const Namespace&) const = default;
};

/// A value under /proc/sys. `netns` is empty for the host, here and below.
struct Sysctl {
  std::string netns;
  std::string key;  ///< "net/ipv4/conf/eth0/forwarding"
  std::string value;
  /// What removing writes. Empty: the value that was recorded when ours was set, and only when ours
  /// is still there.
  std::optional<std::string> otherwise;
  bool optional = false;  ///< a kernel without this file is fine
  bool operator==(const Sysctl&) const = default;
};

enum class LinkKind : std::uint8_t { Loopback, Tun, Bridge, Veth, Macvlan };

struct Link {
  std::string netns;
  std::string name;
  LinkKind kind = LinkKind::Bridge;
  std::string host_name;  ///< Veth: the other end, in the host, carrying our instance id
  std::uint32_t mtu = 0;  ///< 0: as the kernel chooses
  bool up = true;         ///< of a Veth: both ends
  /// Veth: the bridge of the host's that the other end is a port of. Macvlan: the link of the
  /// host's on whose wire it is.
  std::string master = {};
  std::uint32_t station = 0;  ///< what its hardware address ends with; 0: as the kernel chooses
  bool operator==(const Link&) const = default;
};

struct Address {
  std::string netns;
  std::string link;
  base::Prefix prefix;  ///< with host bits
  bool operator==(const Address&) const = default;
};

struct Route {
  std::string netns;
  base::Prefix destination;
  std::optional<base::IpAddress> gateway;
  std::string link;
  bool operator==(const Route&) const = default;
};

/// An address that is answered for on a link when somebody there asks who has it.
struct ProxyNeighbour {
  std::string netns;
  std::string link;
  base::IpAddress address;
  bool operator==(const ProxyNeighbour&) const = default;
};

/// An nftables table of family inet: its text as `nft --terse list table` shows it.
struct Table {
  std::string netns;
  std::string name;
  std::string text;
  bool operator==(const Table&) const = default;
};

/// A network's place in the host's table: its uplink may forward, its transit addresses are
/// masqueraded.
struct Gate {
  std::string table;
  std::string link;  ///< empty: a transit address alone, of nobody knows which network
  std::optional<base::IpAddress> transit4;
  std::optional<base::IpAddress> transit6;
  bool operator==(const Gate&) const = default;
};

/// An interface of the host's that forwards only since we switched it on: our table drops what it
/// would not have forwarded before.
struct Guard {
  std::string table;
  base::Family family = base::Family::V4;
  std::string link;
  bool operator==(const Guard&) const = default;
};

/// A public port in the maps of a table of ours: the host's leads into a network's namespace, the
/// namespace's to the member.
struct PortForward {
  std::string netns;
  std::string table;
  model::PublicPort from;
  base::IpAddress to;
  std::uint16_t to_port = 0;

  [[nodiscard]] const char* map() const { return to.is_v4() ? "forwards4" : "forwards6"; }
  [[nodiscard]] std::string key_text() const;     ///< as nft writes it: "tcp . 8080"
  [[nodiscard]] std::string target_text() const;  ///< "10.20.0.2 . 80"
  bool operator==(const PortForward&) const = default;
};

/// The policy of a network: its table's text as nft shows it, and what its maps hold.
struct PolicyFilter {
  std::string netns;
  std::string text;
  model::PolicyTable table;
  bool operator==(const PolicyFilter&) const = default;
};

using Fact = std::variant<Namespace, Sysctl, Link, Address, Route, ProxyNeighbour, Table, Gate,
                          Guard, PortForward, PolicyFilter>;

/// The namespace that a fact is in; empty: the host's own.
[[nodiscard]] std::string netns_of(const Fact& fact);

/// Facts of one key are one object: they differ in values that can change in place.
[[nodiscard]] std::string key_of(const Fact& fact);
/// Facts of a lower rank are made earlier and removed later.
[[nodiscard]] int rank_of(const Fact& fact);
/// True when `fact` cannot be there without `container` and goes with it.
[[nodiscard]] bool depends_on(const Fact& fact, const Fact& container);

/// How an administrator would type the change from `before` to `after` (nullptr: absent). The
/// instance id is written into aliases.
[[nodiscard]] std::vector<std::string> commands(const Fact* before, const Fact* after,
                                                const std::string& instance);

}  // namespace warren::plan
