// FakeHost: a Host in memory, as strict as a kernel. For tests of plan and control.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "plan/host.hpp"
#include "plan/steps.hpp"

namespace warren::plan {

/// Refuses a fact that exists, one whose namespace or link is absent, and the removal of one that
/// others depend on. Public members are for the test to set up and to look at.
class FakeHost : public Host {
 public:
  FakeHost();

  [[nodiscard]] base::Result<Observed> observe() override;
  [[nodiscard]] base::Status apply(const Step& step) override;
  [[nodiscard]] base::Result<std::size_t> flush_connections(
      const HostNetwork& network, const std::vector<base::IpAddress>& addresses) override;
  [[nodiscard]] base::Status check_transit(const TransitPool& pool) override;
  [[nodiscard]] base::Result<std::size_t> close_forwards(
      const HostNetwork& network, const std::vector<HostForward>& forwards) override;
  [[nodiscard]] base::Status change_policy_members(
      const HostNetwork& network, const std::vector<model::GroupMember>& gone,
      const std::vector<model::GroupMember>& come) override;
  [[nodiscard]] base::Result<std::size_t> cut_denied(const HostNetwork& network) override;
  [[nodiscard]] base::Result<SegmentFacts> find_segment(const std::string& link) override;
  [[nodiscard]] base::Status change_attached_members(
      const HostNetwork& network, const std::vector<base::IpAddress>& gone,
      const std::vector<base::IpAddress>& come) override;
  [[nodiscard]] base::Result<std::vector<Occupant>> find_occupants(
      const HostNetwork& network, const std::vector<base::IpAddress>& addresses) override;
  [[nodiscard]] base::Result<std::optional<Obstacle>> probe_uplink(
      const HostNetwork& network) override;
  [[nodiscard]] base::Result<std::optional<Obstacle>> probe_segment(
      const HostNetwork& network) override;
  [[nodiscard]] base::Result<std::vector<PortFinding>> probe_ports(
      const std::vector<PortQuestion>& questions) override;
  [[nodiscard]] base::Result<std::vector<std::string>> find_strangers(
      const HostNetwork& network) override;
  [[nodiscard]] base::Status check_public_port(const model::PublicPort& port) override;
  [[nodiscard]] base::Result<std::vector<std::string>> overlapping_routes(
      const base::Prefix& subnet) override;
  [[nodiscard]] base::Result<std::vector<base::IpAddress>> public_addresses() override {
    return own_addresses;
  }

  Environment environment;
  std::map<std::string, Fact> facts;  ///< by key
  std::size_t applied = 0;            ///< calls of apply so far
  std::set<std::size_t> failing;      ///< the calls (counted from 0) that fail
  std::vector<base::IpAddress> flushed;
  std::vector<model::PublicPort> closed_forwards;
  std::vector<std::string> cut;                      ///< networks whose denied connections were cut
  std::map<std::string, SegmentFacts> segments;      ///< beside environment.segments
  std::map<base::IpAddress, std::string> occupants;  ///< of the segments, with their owners
  std::size_t probes = 0;                            ///< calls of find_occupants so far
  std::optional<Obstacle> obstacle;                  ///< on the way out
  std::optional<Obstacle> bridge_obstacle;           ///< on the way to a segment
  std::map<model::PublicPort, Obstacle> closed_ports;         ///< from outside
  std::map<std::string, std::vector<std::string>> strangers;  ///< by namespace
  std::vector<base::Prefix> routes;                           ///< the host's own
  std::vector<base::IpAddress> own_addresses;                 ///< on the links that lead out
  std::set<model::PublicPort> listening;                      ///< ports of the host's own programs
};

}  // namespace warren::plan
