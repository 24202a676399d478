// Host: the one interface through which plans change a machine, and the steps they are made of.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/forward.hpp"
#include "plan/host_network.hpp"
#include "plan/policy.hpp"

namespace warren::plan {

/// What is there that carries our instance id. `networks` holds, for each network found, the parts
/// that exist and are right; a part that is missing or wrong shows as a difference to the desired.
struct Observed;
/// One change of the host with what undoes it and how an admin would type it. Concrete kinds are
/// in plan/steps.hpp.
struct Step;

/// What is known of a link that networks can be attached to.
struct SegmentFacts {
  bool is_bridge = false;
  bool up = false;
  std::uint32_t index = 0;              ///< another one under the same name has another
  std::vector<base::Prefix> addresses;  ///< the host's own on it, with host bits
};
/// Who has an address on a segment: "02:42:ac:11:00:02", or "this host".
struct Occupant {
  base::IpAddress address;
  std::string owner;
};
/// What of somebody else's stands in the way of packets, and the command that makes room.
struct Obstacle {
  std::string what;
  std::string remedy;
};
struct PortQuestion {
  model::PublicPort port;
  bool is_forward = false;  ///< leads into a network; otherwise to a program of the host's
  std::optional<base::IpAddress> at;  ///< what members dial, where that is an address
};
struct PortFinding {
  model::PublicPort port;
  std::string listener;  ///< "warren-engine (process 812)"; empty: nobody, or a forward
  bool asked = false;    ///< a packet could be sent; otherwise `why_not`
  std::string why_not;
  /// What it came in on: the link that the dialled address is on. Empty: the kernel cannot redirect
  /// packets, so it was one that no filter knows by name.
  std::string link;
  std::optional<Obstacle> obstacle;
};

/// How many of several steps were done, and why not the next one.
struct Progress {
  std::size_t done = 0;
  base::Status status;
};
/// A network that could not be made what is desired.
struct LeftOut {
  std::string netns;  ///< its namespace
  base::Error error;
};

class Host {
 public:
  virtual ~Host() = default;
  /// Whether the host itself can be changed, and not the namespaces of networks alone: a daemon in
  /// a user namespace of its own cannot.
  [[nodiscard]] virtual bool may_change_host() const { return true; }
  /// Reads everything of ours back from the kernel.
  [[nodiscard]] virtual base::Result<Observed> observe() = 0;
  /// Does one step; an error leaves the host as before the step.
  [[nodiscard]] virtual base::Status apply(const Step& step) = 0;
  /// Does steps of one place, the host ("") or a namespace, in order; an error leaves the place as
  /// before the step that failed. The making of namespaces counts as the host's.
  [[nodiscard]] virtual Progress apply_in(const std::string& netns, std::span<const Step> steps);
  /// Does the removals of which each belongs to a network that goes as a whole, with its namespace
  /// and its links. Goes on behind a failure; the error lists what is left.
  [[nodiscard]] virtual base::Status remove_networks(std::span<const Step> steps);
  /// Forgets the connections of an address inside a network's namespace, both directions, and
  /// returns how many there were.
  [[nodiscard]] virtual base::Result<std::size_t> flush_connections(
      const HostNetwork& network, const std::vector<base::IpAddress>& addresses) = 0;
  /// Whether the transit pool collides with the host's own routes: a Conflict that names the route.
  [[nodiscard]] virtual base::Status check_transit(const TransitPool& pool) = 0;
  /// Takes forwards out of the tables of host and namespace, where they may be absent already, and
  /// forgets the connections that came through them; returns how many entries there were. Nothing
  /// else is looked at: quicker than a plan.
  [[nodiscard]] virtual base::Result<std::size_t> close_forwards(
      const HostNetwork& network, const std::vector<HostForward>& forwards) = 0;
  /// Lets members of a network's policy come and go in its maps, in one transaction; nothing else
  /// is looked at: quicker than a plan. One that goes may be gone already.
  [[nodiscard]] virtual base::Status change_policy_members(
      const HostNetwork& network, const std::vector<model::GroupMember>& gone,
      const std::vector<model::GroupMember>& come) = 0;
  /// Ends the connections that the network's policy does not allow; returns how many there were.
  [[nodiscard]] virtual base::Result<std::size_t> cut_denied(const HostNetwork& network) = 0;
  /// A link that a network can be attached to, and what is to be known of it. NotFound: there is no
  /// such link; Invalid or Conflict, with the reason: it cannot be attached to.
  [[nodiscard]] virtual base::Result<SegmentFacts> find_segment(const std::string& link) = 0;
  /// Lets members come and go on the segment that their network is attached to; nothing else is
  /// looked at: quicker than a plan. One that goes may be gone already, one that comes be there.
  [[nodiscard]] virtual base::Status change_attached_members(
      const HostNetwork& network, const std::vector<base::IpAddress>& gone,
      const std::vector<base::IpAddress>& come) = 0;
  /// Which of these addresses somebody on the segment answers for; asks all of them at once (ARP,
  /// ND) and waits a quarter of a second. The network need not be there yet; what it answers for
  /// itself does not count.
  [[nodiscard]] virtual base::Result<std::vector<Occupant>> find_occupants(
      const HostNetwork& network, const std::vector<base::IpAddress>& addresses) = 0;
  /// Sends a packet from the network towards the world, which our own table takes out behind all
  /// others: what drops it before, if anything does. Nothing leaves the host.
  [[nodiscard]] virtual base::Result<std::optional<Obstacle>> probe_uplink(
      const HostNetwork& network) = 0;
  /// Sends a packet from an attached network to its bridge, taken out in the same way: what of the
  /// host's filters drops what is only bridged (net.bridge.bridge-nf-call-iptables), if any does.
  [[nodiscard]] virtual base::Result<std::optional<Obstacle>> probe_segment(
      const HostNetwork& network) = 0;
  /// Sends packets to public ports from outside, a namespace of its own, which come in on the link
  /// of the address that is dialled, and which our own table takes out behind all others: no
  /// program sees them. One finding for each question.
  [[nodiscard]] virtual base::Result<std::vector<PortFinding>> probe_ports(
      const std::vector<PortQuestion>& questions) = 0;
  /// What is in the namespace of the network that is nobody's we know: tables, routes, rules.
  [[nodiscard]] virtual base::Result<std::vector<std::string>> find_strangers(
      const HostNetwork& network) = 0;
  /// Conflict when a program of the host's listens on a public port, with its name.
  [[nodiscard]] virtual base::Status check_public_port(const model::PublicPort& port) = 0;
  /// The host's own addresses on the links that lead out of it, link-local ones apart.
  [[nodiscard]] virtual base::Result<std::vector<base::IpAddress>> public_addresses() {
    return std::vector<base::IpAddress>{};
  }
  /// The host's own routes (default routes apart) that a subnet overlaps: "192.0.2.0/24 dev eth0".
  [[nodiscard]] virtual base::Result<std::vector<std::string>> overlapping_routes(
      const base::Prefix& subnet) = 0;
};

/// Told of each step before it is done ("[#] ip link add …").
using StepPrinter = std::function<void(const std::string& command)>;

/// Brings the host to exactly `desired` for these networks (and removes networks of ours that are
/// not desired): observes, plans, applies, and on failure reverts what was applied, but for the
/// removal of whole networks, listing in the error what could not be undone. Empty plan when
/// nothing differs. Returns the steps done.
[[nodiscard]] base::Result<std::size_t> reconcile(Host& host,
                                                  const std::vector<HostNetwork>& desired,
                                                  const StepPrinter& print = {});
/// As `reconcile`, but a network that fails does not keep the others from being made: those that
/// did are returned, and the host may hold parts of them, which the next plan without them removes.
/// An error: what failed belongs to no network.
[[nodiscard]] base::Result<std::vector<LeftOut>> reconcile_each(Host& host,
                                                                std::vector<HostNetwork> desired);
/// The commands that `reconcile` would run, without doing anything.
[[nodiscard]] base::Result<std::vector<std::string>> preview(
    Host& host, const std::vector<HostNetwork>& desired);

}  // namespace warren::plan
