// NameZone: what the name server of a network answers, before it is written for a program.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/network.hpp"
#include "model/service.hpp"

namespace warren::model {

/// The name of the gateway in its networks; no member or service may have it where names are.
inline constexpr std::string_view kGatewayName = "gateway";

/// "lab.internal": what the names of a network end in.
[[nodiscard]] std::string domain_of(std::string_view network);
/// Whether a member of this name has one in DNS: its dots, if any, stand between labels.
[[nodiscard]] bool is_domain_name(std::string_view name);

/// One that has addresses. Its first name is what its addresses are called; the others are those of
/// services. None has the domain at its end.
struct NamedHost {
  std::vector<std::string> names;
  std::vector<base::IpAddress> addresses;
  bool operator==(const NamedHost&) const = default;
};

/// _mqtt._tcp -> broker, 1883.
struct NamedService {
  std::string name;
  std::string protocol;  ///< "tcp" or "udp"
  std::string target;    ///< a name without the domain
  std::uint16_t port = 0;
  bool operator==(const NamedService&) const = default;
};

struct NameZone {
  NetworkId network;
  std::string network_name;
  std::string domain;
  std::vector<base::IpAddress> listen;  ///< the gateway's own addresses
  std::vector<base::Prefix> subnets;    ///< of their addresses nobody else knows names
  std::vector<NamedHost> hosts;         ///< the gateway first
  std::vector<NamedService> services;
  /// Who is asked for all other names; nobody where both are empty and false.
  std::vector<base::IpAddress> forwarders;
  bool ask_the_host = false;  ///< whom the gateway's host asks
  bool leads_out = false;     ///< the network has a way to servers that are not inside
  std::string host_link;  ///< by which the host asks here for names of `domain`; empty: it does not

  /// Whether the network reaches a server by itself.
  [[nodiscard]] bool reaches(const base::IpAddress& server) const;
};

/// The zone of a network with these members (those that are in force) and services. Nobody outside
/// is asked by a network without a way out, unless its forwarders are named.
[[nodiscard]] NameZone make_name_zone(const Network& network,
                                      const std::vector<const Peer*>& members,
                                      const std::vector<Service>& services);

/// Conflict when one name would stand for two: the gateway's for a member or service, or that of a
/// service for a member which does not offer it.
[[nodiscard]] base::Status check_member_name(std::string_view name,
                                             const std::vector<Service>& services);
[[nodiscard]] base::Status check_service_names(
    const std::vector<Service>& services, const std::function<bool(const std::string&)>& is_member);

}  // namespace warren::model
