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

  /// The gateway's own address: the first host address of each subnet.
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
  bool operator==(const Peer&) const = default;
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
/// The first address of the subnet after the gateway's that is not in `taken`; nullopt when full.
/// Never the network, gateway or (IPv4) broadcast address.
[[nodiscard]] std::optional<base::IpAddress> next_free_address(
    const base::Prefix& subnet, const std::vector<base::IpAddress>& taken);

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
