// Policies at random, for the tests that hold two answers to one question against each other.
#pragma once

#include <array>
#include <random>
#include <string>
#include <vector>

#include "model/policy_table.hpp"

namespace warren::model::testing {

class RandomPolicy {
 public:
  explicit RandomPolicy(std::uint32_t seed) : engine_(seed) {}

  std::uint32_t below(std::uint32_t limit) {
    return std::uniform_int_distribution<std::uint32_t>(0, limit - 1)(engine_);
  }
  template <typename List>
  auto& one_of(const List& list) {
    return list[below(static_cast<std::uint32_t>(list.size()))];
  }

  /// Three roles beside the default one.
  static std::vector<Role> roles() {
    std::vector<Role> out;
    for (const char* name : {"management", "node", "researcher"}) {
      out.push_back({.number = static_cast<std::uint32_t>(out.size() + 1),
                     .name = name,
                     .range4 = {},
                     .range6 = {}});
    }
    return out;
  }
  /// p0, p1 …, each with a role and addresses 10.20.0.(10 + n) and fd20::(10 + n).
  static std::vector<PolicyMember> members(std::uint32_t count) {
    std::vector<PolicyMember> out;
    for (std::uint32_t n = 0; n < count; ++n) {
      std::array<std::uint8_t, 16> v6{0xfd, 0x20};
      v6[15] = static_cast<std::uint8_t>(10 + n);
      out.push_back({.name = "p" + std::to_string(n),
                     .id = n + 1,
                     .role = n % 4,
                     .address4 = base::IpAddress::v4(0x0a14000a + n),
                     .address6 = base::IpAddress::v6(v6)});
    }
    return out;
  }
  static Subject subject(const PolicyMember& member) {
    const auto known = roles();
    return {PartyKind::Peer, member.name,
            member.role == 0 ? std::string(kDefaultRole) : known[member.role - 1].name};
  }

  /// `names` are the peers that rules may mention.
  std::string text(std::uint32_t names) {
    std::string out = "services:\n  mqtt: tcp 1883\n  names: {peer: p0, port: 53, protocol: udp}\n";
    out += "rules:\n";
    const std::uint32_t count = below(8);
    if (count == 0) return "rules: []\n";
    for (std::uint32_t rule = 0; rule < count; ++rule) {
      if (below(8) == 0) {
        out += "  - " + side(names, false) + " -> names\n";
        continue;
      }
      const bool from_outside = below(10) == 0;
      const char* outside = below(2) == 0 ? "internet" : "segment";
      out += "  - " + (from_outside ? outside : side(names, false)) + " -> " +
             side(names, !from_outside) + ": " + ports() + "\n";
    }
    return out;
  }
  /// Likely to be opened, or just beside it.
  std::uint16_t port() {
    static constexpr std::array<std::uint16_t, 9> kPorts{22,   53,   1883, 8000, 8001,
                                                         8010, 8011, 1,    65535};
    return one_of(kPorts);
  }

 private:
  std::string side(std::uint32_t names, bool outside) {
    static constexpr std::array<const char*, 5> kRoles{"any", "management", "node", "researcher",
                                                       "member"};
    static constexpr std::array<const char*, 3> kOutside{"internet", "gateway", "segment"};
    std::string out;
    for (std::uint32_t left = 1 + below(2); left > 0; --left) {
      std::string one = kRoles[below(5)];
      if (names != 0 && below(3) == 0) one = "p" + std::to_string(below(names));
      if (outside && below(5) == 0) one = kOutside[below(3)];
      out += (out.empty() ? "" : ", ") + one;
    }
    return out;
  }
  std::string ports() {
    static constexpr std::array<const char*, 11> kPorts{
        "tcp 22",   "udp 53", "tcp 8000-8010", "tcp 8001-8011", "tcp", "udp",
        "tcp/8000", "icmp",   "mqtt",          "udp 1-1883",    "any"};
    std::string out = one_of(kPorts);
    for (std::uint32_t more = below(3); more > 0; --more) out += std::string(", ") + one_of(kPorts);
    return out;
  }

  std::mt19937 engine_;
};

}  // namespace warren::model::testing
