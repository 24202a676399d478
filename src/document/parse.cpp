// From YAML to a Document.
//
// A mapping is read by a table of key -> reader, so that an unknown key, a key given twice and a
// value of the wrong kind are found at their own line and column. Values are checked as far as they
// can be without the gateway, which checks them all again.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

#include "base/bytes.hpp"
#include "base/duration_text.hpp"
#include "base/key.hpp"
#include "document/document.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/yaml_text.hpp"

namespace warren::document {

namespace {

using model::at;
using model::quoted;
using model::Word;
using model::word_of;

using Read = std::function<base::Status(const YAML::Node&)>;
using Keys = std::vector<std::pair<std::string, Read>>;

constexpr std::uint64_t kMaxPort = 65'535;

/// Notes where the values of a mapping stand; `path` names it ("peers/ann").
struct Notes {
  Network* network = nullptr;
  std::string path;

  void add(const std::string& name, const Word& word) const {
    if (network == nullptr) return;
    network->said.insert_or_assign(path.empty() ? name : path + "/" + name,
                                   Said{{word.line, word.column}, word.text});
  }
};

/// A list of one counts as its only value.
Word said_in(const YAML::Node& key, const YAML::Node& value) {
  if (value.IsNull() || value.IsMap()) return word_of(key);
  return value.IsSequence() && value.size() == 1 ? word_of(value[0]) : word_of(value);
}

base::Status read_map(const YAML::Node& node, const std::string& what, const Keys& keys,
                      const Notes& notes = {}) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return at(word_of(node), what + " is a mapping of keys to values");
  std::vector<std::string> known;
  for (const auto& [name, read] : keys) known.push_back(name);
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const Word key = word_of(entry.first);
    const auto found = std::ranges::find(keys, key.text, &Keys::value_type::first);
    if (found == keys.end()) {
      return at(key, "unknown key " + quoted(key.text) + " in " + what,
                model::suggestion(key.text, known));
    }
    if (!seen.insert(key.text).second) return at(key, "key " + quoted(key.text) + " again");
    notes.add(key.text, said_in(entry.first, entry.second));
    WARREN_TRY(found->second(entry.second));
  }
  return {};
}

/// Calls `read` for each entry of a mapping of names, each once.
base::Status read_named(const YAML::Node& node, const std::string& what,
                        const std::function<base::Status(const Word&, const YAML::Node&)>& read) {
  if (node.IsNull()) return {};
  if (!node.IsMap()) return at(word_of(node), what + " are a mapping of names");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const Word name = word_of(entry.first);
    if (!seen.insert(name.text).second) return at(name, quoted(name.text) + " again");
    WARREN_TRY(read(name, entry.second));
  }
  return {};
}

base::Result<Word> one_value(const YAML::Node& node) {
  Word word = word_of(node);
  if (!node.IsScalar()) return at(word, "this must be one value");
  return word;
}

/// A value whose text `check` accepts; it answers what is wrong.
Read text(std::optional<std::string>& into,
          std::function<std::string(const std::string&)> check = {}) {
  return [&into, check = std::move(check)](const YAML::Node& node) -> base::Status {
    WARREN_TRY_ASSIGN(const Word word, one_value(node));
    if (const std::string wrong = check ? check(word.text) : ""; !wrong.empty()) {
      return at(word, wrong);
    }
    into = word.text;
    return {};
  };
}

template <typename T>
Read number(std::optional<T>& into, std::uint64_t least, std::uint64_t most) {
  return [&into, least, most](const YAML::Node& node) -> base::Status {
    WARREN_TRY_ASSIGN(const Word word, one_value(node));
    const auto value = base::parse_number(word.text, least, most);
    if (!value) {
      return at(word, quoted(word.text) + " is no number from " + std::to_string(least) + " to " +
                          std::to_string(most));
    }
    into = static_cast<T>(*value);
    return {};
  };
}

Read yes_or_no(std::optional<bool>& into) {
  return [&into](const YAML::Node& node) -> base::Status {
    WARREN_TRY_ASSIGN(const Word word, one_value(node));
    if (word.text != "true" && word.text != "false") {
      return at(word, quoted(word.text) + " is neither true nor false", "write true or false");
    }
    into = word.text == "true";
    return {};
  };
}

Read seconds(std::optional<std::uint32_t>& into) {
  return [&into](const YAML::Node& node) -> base::Status {
    WARREN_TRY_ASSIGN(const Word word, one_value(node));
    into = word.text == "never" ? 0U : base::parse_duration_s(word.text);
    if (into) return {};
    return at(word, quoted(word.text) + " is no time span", "write it as 15m, 24h, 7d or never");
  };
}

/// A list, or one value instead of a list of one.
template <typename List>
Read texts(List& into, std::function<std::string(const std::string&)> check = {}) {
  return [&into, check = std::move(check)](const YAML::Node& node) -> base::Status {
    std::vector<std::string> values;
    const auto add = [&](const YAML::Node& item) -> base::Status {
      WARREN_TRY_ASSIGN(const Word word, one_value(item));
      if (const std::string wrong = check ? check(word.text) : ""; !wrong.empty()) {
        return at(word, wrong);
      }
      values.push_back(word.text);
      return {};
    };
    if (node.IsSequence()) {
      for (const YAML::Node& item : node) WARREN_TRY(add(item));
    } else if (!node.IsNull()) {
      WARREN_TRY(add(node));
    }
    into = std::move(values);
    return {};
  };
}

std::string wrong_prefix(const std::string& value) {
  const bool good = value.find('/') != std::string::npos && base::Prefix::parse(value);
  return good ? "" : quoted(value) + " is no prefix, such as 10.20.0.0/24";
}
std::string wrong_prefix6(const std::string& value) {
  return value == "none" ? "" : wrong_prefix(value);
}
std::string wrong_address(const std::string& value) {
  return base::IpAddress::parse(value) ? "" : quoted(value) + " is no address";
}
std::string wrong_range(const std::string& value) {
  if (value == "none" || model::AddressRange::parse(value)) return "";
  return quoted(value) + " is no range: A-B, A/N or A";
}
constexpr std::string_view kPemBegin = "-----BEGIN ";

std::string wrong_certificates(const std::string& value) {
  if (value.find("PRIVATE KEY") != std::string::npos) {
    return "a private key is no part of a document";
  }
  const bool inside = value.find(kPemBegin) != std::string::npos;
  const bool good = inside ? value.find("-----BEGIN CERTIFICATE-----") != std::string::npos &&
                                 value.find("-----END CERTIFICATE-----") != std::string::npos
                           : !value.empty();
  return good ? "" : "this is neither a certificate (PEM) nor the name of a file with one";
}
std::string wrong_key_file(const std::string& value) {
  if (value.find(kPemBegin) == std::string::npos) return value.empty() ? "no file is named" : "";
  return "a private key is no part of a document: write the name of the file that holds it";
}
std::string wrong_key(const std::string& value) {
  return base::PublicKey::parse_base64(value) ? "" : quoted(value) + " is no public key";
}

base::Status check_name(const Word& word, const base::Status& checked) {
  if (checked) return {};
  return at(word, checked.error().message, checked.error().hint);
}

class Reader {
 public:
  explicit Reader(std::string_view text) {
    for (std::size_t begin = 0; begin <= text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      lines_.emplace_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  base::Result<Document> document(const YAML::Node& root) {
    bool is_said = false;
    const Read version = [&](const YAML::Node& node) -> base::Status {
      WARREN_TRY_ASSIGN(const Word word, one_value(node));
      is_said = word.text == "1";
      if (is_said) return {};
      return at(word, "this warren does not know documents of kind " + quoted(word.text),
                "write `warren: 1`, or use a newer warren");
    };
    Document out;
    WARREN_TRY(read_map(root, "the document",
                        {{"warren", version}, {"networks", [&](const YAML::Node& node) {
                                                 return read_named(
                                                     node, "networks",
                                                     [&](const Word& name, const YAML::Node& body) {
                                                       return network(name, body, out);
                                                     });
                                               }}}));
    if (is_said) return out;
    return at({.text = "", .line = 1, .column = 1}, "the document does not say which kind it is",
              "begin it with `warren: 1`");
  }

 private:
  base::Status network(const Word& name, const YAML::Node& node, Document& out) {
    WARREN_TRY(check_name(name, model::check_network_name(name.text)));
    Network made;
    made.name = name.text;
    made.said[""] = {{name.line, name.column}, name.text};
    std::optional<YAML::Node> policy_node;
    WARREN_TRY(read_map(node, "network " + name.text,
                        {{"subnet", text(made.subnet, wrong_prefix)},
                         {"subnet6", text(made.subnet6, wrong_prefix6)},
                         {"port", number(made.port, 1, kMaxPort)},
                         {"endpoint", text(made.endpoint)},
                         {"dns", texts(made.dns, wrong_address)},
                         {"nat", yes_or_no(made.nat)},
                         {"gateway-address", texts(made.gateway_addresses, wrong_address)},
                         {"listen", texts(made.listen, wrong_address)},
                         {"reserve", texts(made.reserve, wrong_range)},
                         {"default-role", text(made.default_role)},
                         {"max-members", number(made.max_members, 0, UINT32_MAX)},
                         {"max-devices", number(made.max_devices, 0, UINT32_MAX)},
                         {"names", yes_or_no(made.names)},
                         {"forwarders", texts(made.forwarders, wrong_address)},
                         {"attach", text(made.attach)},
                         {"host-access", yes_or_no(made.host_access)},
                         {"stopped", yes_or_no(made.stopped)},
                         {"ca", [&](const YAML::Node& n) { return authority(n, made); }},
                         {"roles", [&](const YAML::Node& n) { return roles(n, made); }},
                         {"policy",
                          [&](const YAML::Node& n) {
                            policy_node = n;
                            return base::Status();
                          }},
                         {"peers", [&](const YAML::Node& n) { return peers(n, made); }},
                         {"forwards", [&](const YAML::Node& n) { return forwards(n, made); }}},
                        Notes{&made, ""}));
    // Rules name roles, wherever those stand.
    if (policy_node) WARREN_TRY(policy(*policy_node, made));
    out.networks.push_back(std::move(made));
    return {};
  }

  static base::Status authority(const YAML::Node& node, Network& out) {
    const Word where = word_of(node);
    out.ca.emplace();
    if (node.IsScalar() && where.text == "own") return {};
    if (!node.IsMap()) {
      return at(where, quoted(where.text) + " is no authority",
                "write own, or below it: certificate: FILE, key: FILE");
    }
    std::optional<std::string> certificate;
    WARREN_TRY(read_map(node, "ca of network " + out.name,
                        {{"certificate", text(certificate, wrong_certificates)},
                         {"key", text(out.ca->key_file, wrong_key_file)}},
                        Notes{&out, "ca"}));
    if (!certificate) {
      return at(where, "it is not said which authority this is", "add certificate: FILE");
    }
    const bool inside = certificate->find(kPemBegin) != std::string::npos;
    (inside ? out.ca->certificates : out.ca->file) = *certificate;
    return {};
  }

  static base::Status roles(const YAML::Node& node, Network& out) {
    return read_named(node, "roles", [&](const Word& name, const YAML::Node& body) -> base::Status {
      WARREN_TRY(check_name(name, name.text == model::kDefaultRole
                                      ? base::Status()
                                      : model::check_role_name(name.text)));
      api::RoleAdd role;
      role.name = name.text;
      Notes{&out, "roles"}.add(name.text, name);
      WARREN_TRY(read_map(body, "role " + name.text,
                          {{"range", text(role.range, wrong_range)},
                           {"range6", text(role.range6, wrong_range)},
                           {"max-members", number(role.max_members, 0, UINT32_MAX)},
                           {"expires", seconds(role.expires_s)}},
                          Notes{&out, "roles/" + name.text}));
      out.roles.push_back(std::move(role));
      return {};
    });
  }

  static base::Status peers(const YAML::Node& node, Network& out) {
    return read_named(node, "peers", [&](const Word& name, const YAML::Node& body) -> base::Status {
      WARREN_TRY(check_name(name, model::check_peer_name(name.text)));
      api::PeerAdd peer;
      peer.name = name.text;
      Notes{&out, "peers"}.add(name.text, name);
      std::optional<std::string> role;
      WARREN_TRY(read_map(body, "peer " + name.text,
                          {{"role", text(role)},
                           {"key", text(peer.public_key, wrong_key)},
                           {"address", texts(peer.addresses, wrong_address)},
                           {"expires", seconds(peer.expires_s)},
                           {"person", text(peer.person)}},
                          Notes{&out, "peers/" + name.text}));
      if (peer.expires_s == 0U) peer.expires_s.reset();
      peer.role = role.value_or("");
      out.peers.push_back(std::move(peer));
      return {};
    });
  }

  static base::Status forwards(const YAML::Node& node, Network& out) {
    return read_named(
        node, "forwards", [&](const Word& from, const YAML::Node& body) -> base::Status {
          const auto port = model::PublicPort::parse(from.text);
          if (!port) return at(from, quoted(from.text) + " is no public port, such as 8080/tcp");
          api::ForwardAdd forward;
          forward.from = port->to_string();
          if (std::ranges::find(out.forwards, forward.from, &api::ForwardAdd::from) !=
              out.forwards.end()) {
            return at(from, quoted(from.text) + " again");
          }
          Notes{&out, "forwards"}.add(forward.from, from);
          std::optional<std::string> peer;
          WARREN_TRY(
              read_map(body, "forward " + from.text,
                       {{"peer", text(peer)}, {"port", number(forward.to_port, 1, kMaxPort)}},
                       Notes{&out, "forwards/" + forward.from}));
          if (!peer) return at(from, "the forward leads to no peer", "add peer: NAME");
          forward.peer = *peer;
          out.forwards.push_back(std::move(forward));
          return {};
        });
  }

  /// The policy is kept as it is written, comments too. It is checked here at its own place in the
  /// document: its lines under as many empty ones as stand before it.
  base::Status policy(const YAML::Node& node, Network& out) const {
    const Word where = word_of(node);
    out.policy.emplace();
    if (node.IsNull() || (node.IsScalar() && where.text == "none")) return {};
    if (!node.IsMap()) return at(where, "a policy is a mapping with the key rules");
    const std::size_t indent = where.column - 1;
    const auto is_remark = [](std::string_view line) {
      const std::size_t first = line.find_first_not_of(" \t\r");
      return first == std::string_view::npos || line[first] == '#';
    };
    std::size_t begin = where.line - 1;
    while (begin > 0 && is_remark(lines_[begin - 1])) --begin;
    std::string text(begin, '\n');
    if (node.Style() == YAML::EmitterStyle::Flow) {
      return at(where, "write the policy as a block, not in braces");
    }
    for (std::size_t line = begin; line < lines_.size(); ++line) {
      const std::string_view whole = lines_[line];
      const std::size_t first = whole.find_first_not_of(" \t\r");
      const bool blank = first == std::string_view::npos;
      if (!blank && first < indent && whole[first] != '#') break;
      text.append(whole).push_back('\n');
      out.policy->emplace_back(blank ? std::string_view() : whole.substr(std::min(first, indent)));
    }
    std::vector<std::string>& kept = *out.policy;
    while (!kept.empty() && kept.back().empty()) kept.pop_back();
    const auto first = std::ranges::find_if(kept, [](const auto& one) { return !one.empty(); });
    out.policy_begin = {
        static_cast<unsigned>(begin + 1 + static_cast<std::size_t>(first - kept.begin())),
        where.column};
    kept.erase(kept.begin(), first);
    std::vector<model::Role> roles;
    for (const api::RoleAdd& role : out.roles) roles.emplace_back().name = role.name;
    const auto parsed = model::Policy::parse(text, roles);
    if (!parsed) return parsed.error();
    return {};
  }

  std::vector<std::string_view> lines_;
};

}  // namespace

base::Result<Document> Document::parse(std::string_view text) {
  if (text.size() > kMaxDocumentBytes) {
    return base::make_error(base::ErrorKind::Invalid, "the document is larger than 32 MiB");
  }
  try {
    return Reader(text).document(YAML::Load(std::string(text)));
  } catch (const YAML::Exception& problem) {
    return model::no_yaml(problem, text);
  }
}

}  // namespace warren::document
