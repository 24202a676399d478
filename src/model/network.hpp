// The control plane's nouns: networks, peers, tokens, and the rules that make them valid.
// Values only; the address plan hands out addresses. No I/O.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "model/address_range.hpp"
#include "model/forward.hpp"
#include "model/role.hpp"

namespace warren::model {

/// Random, never zero, unique on a gateway. Names the engine, its tun and its API socket.
struct NetworkId {
  std::uint32_t value = 0;
  auto operator<=>(const NetworkId&) const = default;
  [[nodiscard]] std::string hex() const;  ///< 8 digits
  /// "wr3f9c01ab": the engine, the tun and the API socket.
  [[nodiscard]] std::string interface_name() const { return "wr" + hex(); }
  /// "wh3f9c01ab": the host's end of the uplink pair.
  [[nodiscard]] std::string uplink_name() const { return "wh" + hex(); }
};

struct PeerId {
  std::uint32_t value = 0;
  auto operator<=>(const PeerId&) const = default;
};

/// A named, isolated private network.
struct Network {
  NetworkId id;
  std::string name;
  std::optional<base::Prefix> subnet4;  ///< network prefix, no host bits
  std::optional<base::Prefix> subnet6;
  std::uint16_t port = 0;            ///< UDP port of the engine, fixed at creation
  std::string endpoint_host;         ///< what members dial: a name or an address, without the port
  bool nat = true;                   ///< uplink through the gateway's host
  std::vector<base::IpAddress> dns;  ///< what members resolve with; empty: the members' own
  std::uint16_t mtu = 1420;
  std::uint32_t transit = 0;    ///< index of its /31 and /127 in the transit pool
  base::PublicKey gateway_key;  ///< the private half is kept by the store as a secret
  base::WallTime created;
  bool stopped = false;  ///< its engine shall not run
  /// The gateway's own addresses where they are not the first of their subnets.
  std::optional<base::IpAddress> chosen_gateway4;
  std::optional<base::IpAddress> chosen_gateway6;
  std::vector<AddressRange> reserved;  ///< never handed out; sorted, inside the subnets
  std::vector<Role> roles;             ///< sorted by name; the default role need not be listed
  std::string default_role;            ///< of who is given none; empty: kDefaultRole
  std::uint32_t max_members = 0;       ///< 0: as many as any network may have
  std::string policy;                  ///< its text; empty: members reach each other
  std::uint32_t max_devices = 0;       ///< members that one person may have; 0: no limit
  bool names = false;  ///< the gateway answers for the names of members and services
  /// Whom the gateway asks for all other names; empty: the resolvers of its host.
  std::vector<base::IpAddress> forwarders;
  std::string attach;        ///< link of the host whose segment members are part of; empty: none
  bool host_access = false;  ///< the gateway's host has a route to the members
  /// Addresses of the host that its port is bound to, one per family; empty: all of them.
  std::vector<base::IpAddress> listen;

  /// The gateway's own address: as chosen, otherwise the first host address of each subnet.
  [[nodiscard]] std::optional<base::IpAddress> gateway4() const;
  [[nodiscard]] std::optional<base::IpAddress> gateway6() const;
  bool operator==(const Network&) const = default;
};

enum class PeerState : std::uint8_t { Invited, Enrolled, Revoked };
[[nodiscard]] std::string_view to_string(PeerState state);
[[nodiscard]] std::optional<PeerState> parse_peer_state(std::string_view text);

/// A member reached by a tunnel. Its name is unique among the invited and enrolled of a network; a
/// revoked peer keeps its record (audit, refused key) but not its name. It keeps its addresses
/// until every way in is closed: a revoked peer with an address is a denial that is still to be
/// applied.
struct Peer {
  PeerId id;
  NetworkId network;
  std::string name;
  std::string role;
  PeerState state = PeerState::Invited;
  std::optional<base::IpAddress> address4;
  std::optional<base::IpAddress> address6;
  std::optional<base::PublicKey> public_key;  ///< since enrolment
  base::WallTime invited;
  base::WallTime enrolled{};
  base::WallTime revoked{};
  bool by_hand =
      false;  ///< added by an administrator: its key is handed in, not brought by a token
  /// When its membership ends by itself; 0: never. Revoking clears it, so a revoked peer that has
  /// it is one whose time was over; the key of such a one is not refused.
  base::WallTime expires{};
  /// 0, or how many seconds an ephemeral member may be silent before it is put out, its record too;
  /// of an invited peer: the lease it gets when it joins as one. The gateway counts it, never the
  /// wall clock.
  std::uint32_t lease_s = 0;
  std::string person;  ///< whose device it is; empty: nobody's
  [[nodiscard]] bool is_ephemeral() const { return lease_s != 0 && state != PeerState::Invited; }
  /// The time is over, whether or not the end was carried out yet.
  [[nodiscard]] bool is_over(base::WallTime now) const { return expires.ns != 0 && now >= expires; }
  bool operator==(const Peer&) const = default;
};

/// A public port of the gateway's that leads to a member; goes with its peer.
struct Forward {
  PublicPort from;
  NetworkId network;
  PeerId peer;
  std::uint16_t to_port = 0;
  bool operator==(const Forward&) const = default;
};

/// The stored half of a one-time secret.
struct Token {
  std::array<std::uint8_t, 32> secret_hash{};  ///< SHA-256 of the 16 secret bytes
  NetworkId network;
  PeerId peer;
  base::WallTime expires;
  std::optional<base::PublicKey> bound_to;  ///< the first key presented; may retry until expiry
  bool operator==(const Token&) const = default;
};

/// `[a-z][a-z0-9-]{0,14}`; Invalid with the rule in the hint.
[[nodiscard]] base::Status check_network_name(std::string_view name);
/// `[a-z0-9][a-z0-9._-]{0,62}`.
[[nodiscard]] base::Status check_peer_name(std::string_view name);
/// Network prefix without host bits, /8../30 for IPv4, /16../126 for IPv6, unicast.
[[nodiscard]] base::Status check_subnet(const base::Prefix& subnet);
/// An address that a member may have: inside a subnet of the network (Invalid), not its network or
/// broadcast address (Invalid), not the gateway's (Conflict). Whether it is taken is not known
/// here.
[[nodiscard]] base::Status check_member_address(const Network& network,
                                                const base::IpAddress& address);
/// The lowest address of the subnet that may be a member's and is not in `taken`; nullopt when
/// full. Never the network or (IPv4) broadcast address, nor the gateway's (`gateway`; by default
/// the first host address), nor one of `reserved`.
[[nodiscard]] std::optional<base::IpAddress> next_free_address(
    const base::Prefix& subnet, const std::vector<base::IpAddress>& taken,
    const std::optional<base::IpAddress>& gateway = std::nullopt,
    const std::vector<AddressRange>& reserved = {});
/// Whether this may be the gateway's address in the subnet: Invalid when it is outside, or the
/// network or broadcast address.
[[nodiscard]] base::Status check_gateway_address(const base::Prefix& subnet,
                                                 const base::IpAddress& address);

/// The text of a token, as a person carries it: "warren1" + base64url of
/// (version, enrolment endpoint "host:port", SHA-256 of the SPKI, 16 secret bytes), checksummed.
struct TokenText {
  std::string enrol_at;  ///< "host:port"
  std::array<std::uint8_t, 32> pin{};
  std::array<std::uint8_t, 16> secret{};
  /// `enrol_at` has at most 300 bytes: more than any "host:port" needs.
  [[nodiscard]] std::string write() const;
  /// Invalid: not a token, cut off or mistyped (checksum).
  [[nodiscard]] static base::Result<TokenText> parse(std::string_view text);
};

}  // namespace warren::model

template <>
struct std::hash<warren::model::NetworkId> {
  std::size_t operator()(warren::model::NetworkId id) const noexcept { return id.value; }
};
