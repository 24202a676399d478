// From the text of a policy to its rules: docs/formats/policy.md.
//
// yaml-cpp splits the document and says where each scalar begins; what is inside a scalar
// ("node -> management", "tcp 1883, mqtt") is split here, so that a mistake is found at its own
// column. The first mistake ends it. yaml-cpp throws; `parse` catches, once.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "model/environment.hpp"
#include "model/forward.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/yaml_text.hpp"

namespace warren::model {

namespace {

constexpr const char* kPortHint = "ports are numbers from 1 to 65535: tcp 1883, tcp 8000-8010";

class Parser {
 public:
  explicit Parser(const std::vector<Role>& roles) {
    role_names_.emplace_back(kDefaultRole);
    for (const Role& role : roles) role_names_.push_back(role.name);
  }

  base::Result<Policy> document(const std::string& text) {
    const YAML::Node root = YAML::Load(text);
    static const std::vector<std::string> kKeys{"services", "rules"};
    if (!root.IsMap()) {
      return at({.text = "", .line = 1, .column = 1}, "a policy is a mapping with the key rules",
                "the policy that denies everything is `rules: []`");
    }
    std::set<std::string> seen;
    for (const auto& entry : root) {
      const Word key = word_of(entry.first);
      if (std::ranges::find(kKeys, key.text) == kKeys.end()) {
        return at(key, "unknown key " + quoted(key.text), suggestion(key.text, kKeys));
      }
      if (!seen.insert(key.text).second) return at(key, "key " + quoted(key.text) + " again");
    }
    // Rules name services, wherever those stand.
    if (root["services"]) WARREN_TRY(services(root["services"]));
    policy_.filters = seen.contains("rules");
    if (!policy_.filters && policy_.services.empty()) {
      return at({.text = "", .line = 1, .column = 1}, "the key rules is missing",
                "the policy that denies everything is `rules: []`");
    }
    if (policy_.filters) WARREN_TRY(rules(root["rules"]));
    return std::move(policy_);
  }

 private:
  base::Status services(const YAML::Node& node) {
    if (node.IsNull()) return {};
    if (!node.IsMap()) return at(word_of(node), "services are a mapping of names to ports");
    for (const auto& entry : node) {
      const Word name = word_of(entry.first);
      if (auto good = check_peer_name(name.text); !good) return at(name, good.error().message);
      if (name.text == "any" || name.text == "icmp" || parse_protocol(name.text)) {
        return at(name, quoted(name.text) + " is no name for a service",
                  "the word has a meaning of its own: choose another");
      }
      if (std::ranges::find(policy_.services, name.text, &Service::name) !=
          policy_.services.end()) {
        return at(name, "service " + quoted(name.text) + " again");
      }
      Service service{.name = name.text, .peer = "", .ports = {}, .env = ""};
      WARREN_TRY(service_body(entry.second, service));
      if (service.ports.empty()) {
        return at(name, "service " + quoted(name.text) + " has no port", "give it one: port: 1883");
      }
      policy_.services.push_back(std::move(service));
    }
    return {};
  }

  /// "tcp 1883", or {peer: broker, port: 1883, protocol: tcp}.
  base::Status service_body(const YAML::Node& node, Service& service) {
    if (!node.IsMap()) return ports(node, false, service.ports);
    static const std::vector<std::string> kKeys{"peer", "port", "protocol", "env"};
    std::string protocol = "tcp";
    std::optional<Word> port;
    std::optional<Word> env;
    for (const auto& entry : node) {
      const Word key = word_of(entry.first);
      const Word value = word_of(entry.second);
      if (!entry.second.IsScalar()) return at(value, quoted(key.text) + " must be one value");
      if (key.text == "peer") {
        if (auto good = check_peer_name(value.text); !good) return at(value, good.error().message);
        service.peer = value.text;
      } else if (key.text == "port") {
        port = value;
      } else if (key.text == "protocol") {
        if (!parse_protocol(value.text)) {
          return at(value, quoted(value.text) + " is no protocol", "write tcp or udp");
        }
        protocol = value.text;
      } else if (key.text == "env") {
        WARREN_TRY(variable(value));
        env = value;
        service.env = value.text;
      } else {
        return at(key, "unknown key " + quoted(key.text), suggestion(key.text, kKeys));
      }
    }
    if (env && service.peer.empty()) {
      return at(*env, "variable " + quoted(service.env) + " cannot tell who offers the service",
                "add the peer: {peer: broker, port: 1883, env: MQTT_BROKER}");
    }
    if (!port) return {};
    service.ports = parse_ports(protocol + " " + port->text);
    if (service.ports.empty()) return at(*port, quoted(port->text) + " is no port", kPortHint);
    return {};
  }

  /// Neither it nor its port's may be another service's.
  base::Status variable(const Word& word) {
    if (auto good = check_variable_name(word.text); !good) {
      return at(word, good.error().message, good.error().hint);
    }
    if (variables_.size() + 2 > kMaxVariables) {
      return at(word, "services may have " + std::to_string(kMaxVariables) +
                          " variables with their ports");
    }
    for (const std::string& name : {word.text, word.text + std::string(kPortSuffix)}) {
      if (!variables_.insert(name).second) return at(word, "variable " + quoted(name) + " again");
    }
    return {};
  }

  base::Status rules(const YAML::Node& node) {
    if (node.IsNull()) return {};
    if (node.IsMap()) {
      for (const auto& entry : node) WARREN_TRY(rule(word_of(entry.first), entry.second));
      return {};
    }
    if (!node.IsSequence()) return at(word_of(node), "rules are a list");
    for (const YAML::Node& item : node) {
      if (item.IsScalar()) {
        WARREN_TRY(rule(word_of(item), YAML::Node()));
        continue;
      }
      if (!item.IsMap() || item.size() != 1) {
        return at(word_of(item), "a rule is one line",
                  "write it like `- node -> broker: tcp 1883`");
      }
      WARREN_TRY(rule(word_of(item.begin()->first), item.begin()->second));
    }
    return {};
  }

  base::Status rule(const Word& sides, const YAML::Node& opened) {
    if (policy_.rules.size() >= kMaxPolicyRules) {
      return at(sides, "a policy may have " + std::to_string(kMaxPolicyRules) + " rules");
    }
    std::size_t arrow = sides.text.find("->");
    std::size_t width = 2;
    if (arrow == std::string::npos) {
      arrow = sides.text.find("→");
      width = std::string_view("→").size();
    }
    if (arrow == std::string::npos) {
      return at(sides, "the rule has no arrow", "write it like `- node -> broker: tcp 1883`");
    }
    PolicyRule out{.line = sides.line, .text = sides.text, .from = {}, .to = {}, .ports = {}};
    WARREN_TRY(parties(part(sides, 0, arrow), out.from));
    const Word target = part(sides, arrow + width, std::string::npos);
    if (!opened.IsDefined() || opened.IsNull()) {
      WARREN_TRY(target_service(target, out));
    } else {
      WARREN_TRY(parties(target, out.to));
      WARREN_TRY(ports(opened, true, out.ports));
      out.text += ": " + text_of(opened);
    }
    WARREN_TRY(check_directions(sides, out));
    policy_.rules.push_back(std::move(out));
    return {};
  }

  static std::string text_of(const YAML::Node& node) {
    if (node.IsScalar()) return node.Scalar();
    std::string out;
    for (const YAML::Node& item : node) out += (out.empty() ? "" : ", ") + item.Scalar();
    return out;
  }

  static base::Status check_directions(const Word& where, const PolicyRule& rule) {
    const auto has = [](const std::vector<Party>& parties, PartyKind kind) {
      return std::ranges::find(parties, kind, &Party::kind) != parties.end();
    };
    if (has(rule.from, PartyKind::Gateway)) {
      return at(where, "the gateway may open anything without a rule", "leave the rule out");
    }
    const bool to_outside = has(rule.to, PartyKind::Internet) || has(rule.to, PartyKind::Segment);
    if (has(rule.from, PartyKind::Internet) && (to_outside || has(rule.to, PartyKind::Gateway))) {
      return at(where, "from the internet a rule can only lead to members",
                "forwards lead there: `internet -> web: tcp 80`");
    }
    if (has(rule.from, PartyKind::Segment) && to_outside) {
      return at(where, "from the segment a rule can only lead to members and the gateway",
                "its hosts reach each other and the internet without this network");
    }
    return {};
  }

  /// "node -> mqtt": to whoever offers the service.
  base::Status target_service(const Word& target, PolicyRule& rule) {
    const auto service = std::ranges::find(policy_.services, target.text, &Service::name);
    if (service == policy_.services.end() || service->peer.empty()) {
      return at(target, "nothing says what is opened",
                "add it, as in `- node -> broker: tcp 1883`; alone only a service that names its "
                "peer can stand here");
    }
    rule.to.push_back({.kind = PartyKind::Peer,
                       .name = service->peer,
                       .line = target.line,
                       .column = target.column});
    rule.ports = service->ports;
    return {};
  }

  base::Status parties(const Word& side, std::vector<Party>& out) {
    constexpr std::array<std::pair<std::string_view, PartyKind>, 4> kWords{
        {{"any", PartyKind::Any},
         {"gateway", PartyKind::Gateway},
         {"internet", PartyKind::Internet},
         {"segment", PartyKind::Segment}}};
    for (const Word& word : split_at_commas(side)) {
      Party party{
          .kind = PartyKind::Peer, .name = word.text, .line = word.line, .column = word.column};
      const auto* known =
          std::ranges::find(kWords, word.text, &decltype(kWords)::value_type::first);
      const bool is_role = std::ranges::find(role_names_, word.text) != role_names_.end();
      if (known != kWords.end()) {
        party.kind = known->second;
      } else if (word.text.starts_with("role:")) {
        party = {PartyKind::Role, word.text.substr(5), word.line, word.column};
        if (std::ranges::find(role_names_, party.name) == role_names_.end()) {
          return at(word, "there is no role " + quoted(party.name),
                    suggestion(party.name, role_names_));
        }
      } else if (word.text.starts_with("peer:")) {
        party.name = word.text.substr(5);
      } else if (is_role) {
        party.kind = PartyKind::Role;
      }
      if (party.kind == PartyKind::Peer && !check_peer_name(party.name)) {
        return at(word, quoted(word.text) + " is no name of a role or peer",
                  "write it like node -> broker; several with commas between them");
      }
      out.push_back(std::move(party));
    }
    return {};
  }

  /// A scalar or a list of scalars, each "tcp 1883, udp 53".
  base::Status ports(const YAML::Node& node, bool with_services, std::vector<PortRange>& out) {
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) {
        if (!item.IsScalar()) return at(word_of(item), "ports are written like tcp 1883, udp 53");
        WARREN_TRY(ports(item, with_services, out));
      }
      if (out.empty()) return at(word_of(node), "nothing is opened");
      return {};
    }
    if (!node.IsScalar()) return at(word_of(node), "ports are written like tcp 1883, udp 53");
    for (const Word& word : split_at_commas(word_of(node))) {
      std::vector<PortRange> ranges = parse_ports(word.text);
      const auto service = std::ranges::find(policy_.services, word.text, &Service::name);
      if (ranges.empty() && with_services && service != policy_.services.end()) {
        ranges = service->ports;
      }
      if (ranges.empty()) return unknown_ports(word);
      out.insert(out.end(), ranges.begin(), ranges.end());
    }
    return {};
  }

  base::Error unknown_ports(const Word& word) const {
    const std::size_t end = word.text.find_first_of(" /");
    if (end != std::string::npos && parse_protocol(word.text.substr(0, end))) {
      return at(word, quoted(word.text.substr(end + 1)) + " is no port and no range of ports",
                kPortHint);
    }
    std::vector<std::string> known{"tcp", "udp", "icmp", "any"};
    for (const Service& service : policy_.services) known.push_back(service.name);
    const std::string near = nearest(word.text.substr(0, word.text.find_first_of(" /")), known);
    return at(word, quoted(word.text) + " opens nothing that is known",
              near.empty() || parse_protocol(near)
                  ? "write tcp 1883, tcp 8000-8010, udp 53, icmp, any, or a service's name"
                  : "did you mean " + near + "?");
  }

  std::vector<std::string> role_names_;
  std::set<std::string> variables_;
  Policy policy_;
};

}  // namespace

base::Result<Policy> Policy::parse(std::string_view text, const std::vector<Role>& roles) {
  if (text.size() > kMaxPolicyBytes) {
    return base::make_error(base::ErrorKind::Invalid, "the policy is too large");
  }
  try {
    WARREN_TRY_ASSIGN(Policy policy, Parser(roles).document(std::string(text)));
    std::set<std::string> named;
    for (const Party& party : policy.peers_named()) {
      named.insert(party.name);
      if (named.size() <= kMaxNamedPeers) continue;
      return at({party.name, party.line, party.column},
                "a policy may name " + std::to_string(kMaxNamedPeers) + " peers",
                "give them a role and name that");
    }
    return policy;
  } catch (const YAML::Exception& problem) {
    return no_yaml(problem, text);
  }
}

}  // namespace warren::model
