// Policy: who of a network may open what to whom. docs/formats/policy.md describes its text.
//
// A policy names roles, peers and services; what a name means is looked up when a question is
// asked, so that a peer that comes later is covered by what its role may do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "model/role.hpp"
#include "model/service.hpp"

namespace warren::model {

inline constexpr std::size_t kMaxPolicyBytes = 1 << 20;
inline constexpr std::size_t kMaxPolicyRules = 1000;
/// Peers that the rules of one policy name.
inline constexpr std::size_t kMaxNamedPeers = 64;

enum class PartyKind : std::uint8_t { Any, Gateway, Internet, Segment, Role, Peer };

/// One side of a rule.
struct Party {
  PartyKind kind = PartyKind::Any;
  std::string name;  ///< of a role or peer
  unsigned line = 0;
  unsigned column = 0;
};

struct PolicyRule {
  unsigned line = 0;
  std::string text;  ///< as written: "node -> management: tcp 1883"
  std::vector<Party> from;
  std::vector<Party> to;
  std::vector<PortRange> ports;
};

/// Who asks or is asked: the gateway, the internet, a host of the segment that the network is
/// attached to, or a member.
struct Subject {
  PartyKind kind = PartyKind::Peer;
  std::string name;
  std::string role;
};

struct PolicyAnswer {
  bool allowed = false;
  const PolicyRule* rule = nullptr;  ///< of the policy that was asked; nullptr: none decided
  std::string reason;                ///< why, where no rule did
};

/// "tcp/22", "udp/53", "icmp": what `policy test` asks for; nullopt for anything else.
struct Question {
  std::uint8_t protocol = 0;
  std::uint16_t port = 0;

  [[nodiscard]] std::string to_string() const;
};
[[nodiscard]] std::optional<Question> parse_question(std::string_view text);

struct Policy {
  std::vector<Service> services;
  std::vector<PolicyRule> rules;
  bool filters = true;  ///< has the key `rules`; without it members reach each other

  /// Roles come before peers of the same name. Invalid with "line L, column C: …" for whatever is
  /// not as the format says. Whether a peer exists is not known here: see `peers_named`.
  [[nodiscard]] static base::Result<Policy> parse(std::string_view text,
                                                  const std::vector<Role>& roles);
  /// Every mention of a peer, in order; those of services too.
  [[nodiscard]] std::vector<Party> peers_named() const;
  /// Whether `from` may open this to `to`. Port 0 for ICMP (protocol 1 or 58: one as the other).
  [[nodiscard]] PolicyAnswer test(const Subject& from, const Subject& to, std::uint8_t protocol,
                                  std::uint16_t port) const;
  /// Whether `from` may open all of this to a member: the first of it that is denied, or something
  /// of it when nothing is. `ports` is not empty.
  struct Answered {
    Question question;
    PolicyAnswer answer;
  };
  [[nodiscard]] Answered test_all(const Subject& from, const Subject& to,
                                  const std::vector<PortRange>& ports) const;
};

/// What every member may ask of the gateway whatever the rules say: an echo, and names.
[[nodiscard]] bool is_always_open(std::uint8_t protocol, std::uint16_t port);

}  // namespace warren::model
