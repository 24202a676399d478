// What a policy answers.
//
// Everything that no rule opens is closed, but for what keeps a network usable at all: the gateway
// opens what it likes (it is the administrator's own), and members may always ask it for names and
// for an echo. Answers and errors of what was opened are never asked about here.
#include "model/policy.hpp"

#include <algorithm>
#include <set>

#include "model/forward.hpp"

namespace warren::model {

namespace {

bool is_icmp(std::uint8_t protocol) { return protocol == kIcmp || protocol == kIcmp6; }

bool covers(const Party& party, const Subject& subject) {
  switch (party.kind) {
    case PartyKind::Any:
      return subject.kind == PartyKind::Peer;
    case PartyKind::Role:
      return subject.kind == PartyKind::Peer && subject.role == party.name;
    case PartyKind::Peer:
      return subject.kind == PartyKind::Peer && subject.name == party.name;
    case PartyKind::Gateway:
    case PartyKind::Internet:
    case PartyKind::Segment:
      return subject.kind == party.kind;
  }
  return false;
}

bool covers(const std::vector<Party>& parties, const Subject& subject) {
  return std::ranges::any_of(parties, [&](const Party& party) { return covers(party, subject); });
}

}  // namespace

bool is_always_open(std::uint8_t protocol, std::uint16_t port) {
  constexpr std::uint16_t kDns = 53;
  return is_icmp(protocol) || (port == kDns && (protocol == kTcp || protocol == kUdp));
}

std::vector<Party> Policy::peers_named() const {
  std::vector<Party> out;
  for (const PolicyRule& rule : rules) {
    for (const auto* side : {&rule.from, &rule.to}) {
      for (const Party& party : *side) {
        if (party.kind == PartyKind::Peer) out.push_back(party);
      }
    }
  }
  return out;
}

PolicyAnswer Policy::test(const Subject& from, const Subject& to, std::uint8_t protocol,
                          std::uint16_t port) const {
  if (from.kind == PartyKind::Gateway) return {true, nullptr, "the gateway may open anything"};
  if (to.kind == PartyKind::Gateway && from.kind != PartyKind::Internet) {
    if (is_always_open(protocol, port)) {
      return {true, nullptr, "every member may ask the gateway for an echo and for names"};
    }
  }
  for (const PolicyRule& rule : rules) {
    const bool opens = std::ranges::any_of(rule.ports, [&](const PortRange& range) {
      return range.contains(is_icmp(protocol) ? kIcmp : protocol, port);
    });
    if (opens && covers(rule.from, from) && covers(rule.to, to)) return {true, &rule, ""};
  }
  return {false, nullptr, "no rule allows it, and what no rule allows is denied"};
}

Policy::Answered Policy::test_all(const Subject& from, const Subject& to,
                                  const std::vector<PortRange>& ports) const {
  // The answer changes only where a rule's ports begin, or are over: asking there is asking for
  // all.
  std::vector<PortRange> edges;
  for (const PolicyRule& rule : rules) {
    if (covers(rule.from, from) && covers(rule.to, to))
      edges.insert(edges.end(), rule.ports.begin(), rule.ports.end());
  }
  Answered out;
  for (const PortRange& range : ports) {
    std::set<unsigned> protocols{range.first_protocol};
    std::set<unsigned> numbers{range.first_port};
    for (const PortRange& edge : edges) {
      protocols.insert({edge.first_protocol, edge.last_protocol + 1U});
      numbers.insert({edge.first_port, edge.last_port + 1U});
    }
    for (const unsigned protocol : protocols) {
      if (protocol < range.first_protocol || protocol > range.last_protocol) continue;
      for (const unsigned number : numbers) {
        if (number < range.first_port || number > range.last_port) continue;
        out.question = {static_cast<std::uint8_t>(protocol), static_cast<std::uint16_t>(number)};
        out.answer = test(from, to, out.question.protocol, out.question.port);
        if (!out.answer.allowed) return out;
      }
    }
  }
  return out;
}

std::string Question::to_string() const {
  if (is_icmp(protocol)) return "icmp";
  const std::string name = protocol == kTcp   ? "tcp"
                           : protocol == kUdp ? "udp"
                                              : "protocol " + std::to_string(protocol);
  return name + "/" + std::to_string(port);
}

std::optional<Question> parse_question(std::string_view text) {
  if (text == "icmp") return Question{kIcmp, 0};
  std::vector<PortRange> ports = parse_ports(text);
  if (ports.size() != 1 || ports.front().first_port != ports.front().last_port) {
    return std::nullopt;
  }
  return Question{ports.front().first_protocol, ports.front().first_port};
}

}  // namespace warren::model
