#include "model/wg_conf.hpp"

#include <algorithm>

// Theory of operation. The text is cut into lines; what follows '#' is dropped; a line is empty, a
// section header, or "key = value". Each key has one row in a table: its section, its name and the
// function that takes the value, so that the list of known keys, the dispatch and the suggestion
// for a misspelt key cannot differ. A value's parser answers with a bare reason; the position is
// put in front in one place. Values of secret keys never enter a message.

namespace warren::model {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_any_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\v\f";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// The items of a comma list, trimmed; empty ones are left out.
std::vector<std::string_view> items(std::string_view list) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t comma = list.find(',');
    if (const auto item = trim(list.substr(0, comma)); !item.empty()) out.push_back(item);
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

/// Levenshtein distance, case ignored; for suggestions only.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      const std::size_t change = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      row[j] = std::min({above + 1, row[j - 1] + 1, change});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// What a value's parser says: empty when the value was taken, else the reason and a remedy.
struct Refusal {
  std::string reason;
  std::string hint;
};
using Taken = std::optional<Refusal>;  // nullopt: taken

Refusal bad_key(std::string_view key) {
  return {std::string(key) + " is not a WireGuard key",
          "a key is 44 characters of base64, as `wg genkey` and `wg pubkey` print it"};
}

/// "off", decimal or 0x hexadecimal.
std::optional<std::uint32_t> parse_mark(std::string_view text) {
  if (equal_any_case(text, "off")) return 0;
  if (!text.starts_with("0x") && !text.starts_with("0X")) {
    const auto number = base::parse_number(text, 0, 0xffffffff);
    return number ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
  }
  std::string digits(text.substr(2));
  if (digits.empty() || digits.size() > 8) return std::nullopt;
  digits.insert(0, 8 - digits.size(), '0');
  std::array<std::uint8_t, 4> bytes{};
  if (!base::parse_hex(digits, bytes)) return std::nullopt;
  return base::ByteReader(bytes).u32_be();
}

bool is_search_domain(std::string_view text) {
  return text.size() <= 253 && std::ranges::all_of(text, [](char c) {
           return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                  c == '.' || c == '_';
         });
}

class Parser {
 public:
  explicit Parser(std::string_view file_name) : file_(file_name) {}
  base::Result<WgConf> parse(std::string_view text);

 private:
  enum class Section { None, Interface, Peer };
  using Take = Taken (Parser::*)(std::string_view key, std::string_view value);
  struct Key {
    Section section;
    std::string_view name;
    Take take;
    bool may_repeat;  ///< lists and hooks
  };
  static const std::array<Key, 17> kKeys;

  base::Error at(std::size_t line, std::string reason, std::string hint = {}) const;
  base::Status handle_line(std::string_view line);
  base::Status open_section(std::string_view header);
  base::Status close_peer();
  base::Status unknown_key(std::string_view name) const;

  Taken private_key(std::string_view key, std::string_view value);
  Taken address(std::string_view key, std::string_view value);
  Taken listen_port(std::string_view key, std::string_view value);
  Taken fwmark(std::string_view key, std::string_view value);
  Taken dns(std::string_view key, std::string_view value);
  Taken mtu(std::string_view key, std::string_view value);
  Taken table(std::string_view key, std::string_view value);
  Taken save_config(std::string_view key, std::string_view value);
  Taken hook(std::string_view key, std::string_view value);
  Taken public_key(std::string_view key, std::string_view value);
  Taken preshared_key(std::string_view key, std::string_view value);
  Taken allowed_ips(std::string_view key, std::string_view value);
  Taken endpoint(std::string_view key, std::string_view value);
  Taken keepalive(std::string_view key, std::string_view value);

  std::string file_;
  WgConf conf_;
  Section section_ = Section::None;
  std::size_t line_ = 0;
  std::size_t interface_line_ = 0;
  std::size_t peer_line_ = 0;
  std::vector<std::size_t> public_key_lines_;  ///< one per peer; 0: none yet
  std::array<std::size_t, 17> seen_{};         ///< line of each key in this section; 0: not seen
};

const std::array<Parser::Key, 17> Parser::kKeys = {{
    {Section::Interface, "PrivateKey", &Parser::private_key, false},
    {Section::Interface, "Address", &Parser::address, true},
    {Section::Interface, "ListenPort", &Parser::listen_port, false},
    {Section::Interface, "FwMark", &Parser::fwmark, false},
    {Section::Interface, "DNS", &Parser::dns, true},
    {Section::Interface, "MTU", &Parser::mtu, false},
    {Section::Interface, "Table", &Parser::table, false},
    {Section::Interface, "SaveConfig", &Parser::save_config, false},
    {Section::Interface, "PreUp", &Parser::hook, true},
    {Section::Interface, "PostUp", &Parser::hook, true},
    {Section::Interface, "PreDown", &Parser::hook, true},
    {Section::Interface, "PostDown", &Parser::hook, true},
    {Section::Peer, "PublicKey", &Parser::public_key, false},
    {Section::Peer, "PresharedKey", &Parser::preshared_key, false},
    {Section::Peer, "AllowedIPs", &Parser::allowed_ips, true},
    {Section::Peer, "Endpoint", &Parser::endpoint, false},
    {Section::Peer, "PersistentKeepalive", &Parser::keepalive, false},
}};

base::Error Parser::at(std::size_t line, std::string reason, std::string hint) const {
  return base::make_error(base::ErrorKind::Invalid,
                          file_ + ":" + std::to_string(line) + ": " + std::move(reason),
                          std::move(hint));
}

base::Result<WgConf> Parser::parse(std::string_view text) {
  if (text.size() > kMaxConfBytes) return at(1, "the file is larger than 4 MiB");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // the byte order mark of editors
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    ++line_;
    WARREN_TRY(handle_line(text.substr(0, end)));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  WARREN_TRY(close_peer());
  if (interface_line_ == 0) {
    return at(std::max<std::size_t>(line_, 1), "there is no [Interface] section",
              "this is not a WireGuard conf file, or it is cut off");
  }
  if (seen_[0] == 0) {  // PrivateKey heads the table
    return at(interface_line_, "[Interface] has no PrivateKey",
              "add the line `PrivateKey = …` (`wg genkey` makes one)");
  }
  return std::move(conf_);
}

base::Status Parser::handle_line(std::string_view line) {
  line = trim(line.substr(0, line.find('#')));
  if (line.empty()) return {};
  if (line.find('\0') != std::string_view::npos) return at(line_, "the line holds a zero byte");
  if (line.front() == '[') return open_section(line);
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return at(line_, "expected `Key = value` or a [Section] header");
  }
  const std::string_view name = trim(line.substr(0, equals));
  const std::string_view value = trim(line.substr(equals + 1));
  if (section_ == Section::None) {
    return at(line_, "`" + std::string(name) + "` stands before any section",
              "put [Interface] or [Peer] above it");
  }
  for (std::size_t i = 0; i < kKeys.size(); ++i) {
    const Key& key = kKeys[i];
    if (key.section != section_ || !equal_any_case(key.name, name)) continue;
    if (seen_[i] != 0 && !key.may_repeat) {
      return at(line_, std::string(key.name) + " is given twice (first on line " +
                           std::to_string(seen_[i]) + ")");
    }
    if (seen_[i] == 0) seen_[i] = line_;
    if (Taken refused = (this->*key.take)(key.name, value)) {
      return at(line_, std::move(refused->reason), std::move(refused->hint));
    }
    return {};
  }
  return unknown_key(name);
}

base::Status Parser::unknown_key(std::string_view name) const {
  const Key* nearest = nullptr;
  std::size_t best = std::min<std::size_t>(4, name.size() / 2 + 1);  // else another word
  for (const Key& key : kKeys) {
    if (const std::size_t away = distance(key.name, name); away < best) {
      best = away;
      nearest = &key;
    }
  }
  const bool in_interface = section_ == Section::Interface;
  std::string reason =
      "unknown key `" + std::string(name) + "` in " + (in_interface ? "[Interface]" : "[Peer]");
  if (nearest == nullptr) return at(line_, std::move(reason));
  const std::string meant(nearest->name);
  if (nearest->section == section_) {
    return at(line_, std::move(reason), "did you mean " + meant + "?");
  }
  return at(line_, std::move(reason),
            meant + " belongs into " + (in_interface ? "[Peer]" : "[Interface]"));
}

base::Status Parser::open_section(std::string_view header) {
  WARREN_TRY(close_peer());
  if (equal_any_case(header, "[Interface]")) {
    if (interface_line_ != 0) {
      return at(line_, "a second [Interface] section (the first is on line " +
                           std::to_string(interface_line_) + ")");
    }
    section_ = Section::Interface;
    interface_line_ = line_;
    return {};
  }
  if (equal_any_case(header, "[Peer]")) {
    section_ = Section::Peer;
    peer_line_ = line_;
    for (std::size_t i = 0; i < kKeys.size(); ++i) {
      if (kKeys[i].section == Section::Peer) seen_[i] = 0;
    }
    conf_.peers.emplace_back();
    return {};
  }
  return at(line_, "unknown section `" + std::string(header) + "`",
            "a WireGuard conf has [Interface] and [Peer]");
}

base::Status Parser::close_peer() {
  if (section_ != Section::Peer) return {};
  const base::PublicKey& key = conf_.peers.back().public_key;
  if (public_key_lines_.size() < conf_.peers.size()) {
    return at(peer_line_, "[Peer] has no PublicKey",
              "add the line `PublicKey = …` with the key of the other side");
  }
  for (std::size_t i = 0; i + 1 < conf_.peers.size(); ++i) {
    if (conf_.peers[i].public_key == key) {
      return at(public_key_lines_.back(), "this PublicKey has a [Peer] section already (line " +
                                              std::to_string(public_key_lines_[i]) + ")");
    }
  }
  return {};
}

Taken Parser::private_key(std::string_view key, std::string_view value) {
  auto parsed = ConfKey::parse_base64(value);
  if (!parsed) return bad_key(key);
  conf_.interface.private_key = std::move(*parsed);
  return {};
}

Taken Parser::address(std::string_view, std::string_view value) {
  for (const std::string_view item : items(value)) {
    const auto prefix = base::Prefix::parse(item);
    if (!prefix) {
      return Refusal{"Address `" + std::string(item) + "` is not an address",
                     "write it as 10.0.0.2/24 or fd00::2/64"};
    }
    conf_.interface.addresses.push_back(*prefix);
  }
  return {};
}

Taken Parser::listen_port(std::string_view, std::string_view value) {
  const auto port = base::parse_number(value, 0, 65535);
  if (!port) return Refusal{"ListenPort is a number from 0 to 65535", {}};
  conf_.interface.listen_port = static_cast<std::uint16_t>(*port);
  return {};
}

Taken Parser::fwmark(std::string_view, std::string_view value) {
  const auto mark = parse_mark(value);
  if (!mark) return Refusal{"FwMark is a 32-bit number, decimal or 0x…, or `off`", {}};
  conf_.interface.fwmark = *mark;
  return {};
}

Taken Parser::dns(std::string_view, std::string_view value) {
  for (const std::string_view item : items(value)) {
    if (const auto server = base::IpAddress::parse(item)) {
      conf_.interface.dns_servers.push_back(*server);
    } else if (is_search_domain(item)) {
      conf_.interface.dns_search.emplace_back(item);
    } else {
      return Refusal{"DNS `" + std::string(item) + "` is neither an address nor a search domain",
                     {}};
    }
  }
  return {};
}

Taken Parser::mtu(std::string_view, std::string_view value) {
  const auto number = base::parse_number(value, 576, 65535);
  if (!number) return Refusal{"MTU is a number from 576 to 65535", {}};
  conf_.interface.mtu = static_cast<std::uint32_t>(*number);
  return {};
}

Taken Parser::table(std::string_view, std::string_view value) {
  const bool named = equal_any_case(value, "off") || equal_any_case(value, "auto");
  const auto mark = parse_mark(value);
  if (!named && !mark) return Refusal{"Table is `auto`, `off` or the number of a table", {}};
  conf_.interface.table = value;
  return {};
}

Taken Parser::save_config(std::string_view, std::string_view value) {
  const bool yes = equal_any_case(value, "true");
  if (!yes && !equal_any_case(value, "false")) {
    return Refusal{"SaveConfig is `true` or `false`", {}};
  }
  conf_.interface.save_config = yes;
  return {};
}

Taken Parser::hook(std::string_view key, std::string_view value) {
  conf_.interface.hooks.push_back({std::string(key), std::string(value)});
  return {};
}

Taken Parser::public_key(std::string_view key, std::string_view value) {
  const auto parsed = base::PublicKey::parse_base64(value);
  if (!parsed) return bad_key(key);
  conf_.peers.back().public_key = *parsed;
  public_key_lines_.push_back(line_);
  return {};
}

Taken Parser::preshared_key(std::string_view key, std::string_view value) {
  auto parsed = ConfKey::parse_base64(value);
  if (!parsed) return bad_key(key);
  conf_.peers.back().preshared_key = std::move(parsed);
  return {};
}

Taken Parser::allowed_ips(std::string_view, std::string_view value) {
  for (const std::string_view item : items(value)) {
    const auto prefix = base::Prefix::parse(item);
    if (!prefix) {
      return Refusal{"AllowedIPs `" + std::string(item) + "` is not a prefix",
                     "write it as 10.0.0.0/24, fd00::/64, 0.0.0.0/0 or ::/0"};
    }
    conf_.peers.back().allowed_ips.push_back(prefix->network());
  }
  return {};
}

Taken Parser::endpoint(std::string_view, std::string_view value) {
  auto parsed = base::HostPort::parse(value);
  if (!parsed || parsed->port == 0) {
    return Refusal{"Endpoint `" + std::string(value) + "` is not HOST:PORT",
                   "write it as vpn.example.org:51820, 192.0.2.1:51820 or [2001:db8::1]:51820"};
  }
  conf_.peers.back().endpoint = std::move(*parsed);
  return {};
}

Taken Parser::keepalive(std::string_view, std::string_view value) {
  const auto seconds = equal_any_case(value, "off") ? 0 : base::parse_number(value, 0, 65535);
  if (!seconds) {
    return Refusal{"PersistentKeepalive is a number of seconds from 0 to 65535, or `off`", {}};
  }
  conf_.peers.back().persistent_keepalive_s = static_cast<std::uint16_t>(*seconds);
  return {};
}

}  // namespace

base::Result<WgConf> WgConf::parse(std::string_view text, std::string_view file_name) {
  return Parser(file_name).parse(text);
}

}  // namespace warren::model
