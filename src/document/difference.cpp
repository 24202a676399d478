// What must be done so that a gateway has what a document says.
//
// The order is that in which nothing is open that the end result closes: a policy stands before the
// members it rules over. Where it names members that do not exist yet, a policy that denies
// everything stands in for it until they do. What goes (with prune) goes before what comes, so that
// names, addresses and ports are free.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/duration_text.hpp"
#include "document/document.hpp"
#include "model/address_range.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "pki/authority.hpp"

namespace warren::document {

namespace {

/// Ranges and prefixes as the gateway writes them, so that two spellings are one.
std::string normal_range(const std::string& text) {
  const auto range = model::AddressRange::parse(text);
  return range ? range->to_string() : text == "none" ? "" : text;
}
std::string normal_prefix(const std::string& text) {
  const auto prefix = base::Prefix::parse(text);
  return prefix ? prefix->to_string() : text == "none" ? "" : text;
}
std::string normal_address(const std::string& text) {
  const auto address = base::IpAddress::parse(text);
  return address ? address->to_string() : text;
}

std::vector<std::string> normal(std::vector<std::string> texts,
                                std::string (*one)(const std::string&)) {
  for (std::string& text : texts) text = one(text);
  return texts;
}

std::vector<std::string> sorted(std::vector<std::string> texts,
                                std::string (*one)(const std::string&)) {
  texts = normal(std::move(texts), one);
  std::ranges::sort(texts);
  return texts;
}

/// The certificates of a PEM text without what may differ between two spellings of them.
std::vector<std::string> bodies_of(const std::string& pem) {
  std::vector<std::string> found = pki::certificates_of(pem);
  for (std::string& body : found) {
    std::erase_if(body, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  }
  return found;
}

std::string shown(const std::string& text) { return text.empty() ? "none" : text; }
std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return shown(out);
}

class Comparison {
 public:
  Comparison(const Network& wanted, const Current* current, bool prune, Difference& out)
      : wanted_(wanted), current_(current), prune_(prune), out_(out) {}

  void run() {
    if (current_ == nullptr) {
      create();
    } else {
      fixed_settings();
      roles();
      settings();
      authority();
      if (prune_) remove_the_rest();
    }
    policy_and_peers();
    forwards();
    running();
    if (current_ != nullptr) repair();
  }

 private:
  Change& add(ChangeKind kind, std::string line, std::string target = {}) {
    Change change;
    change.kind = kind;
    change.network = wanted_.name;
    change.target = std::move(target);
    change.lines.push_back(std::move(line));
    return out_.changes.emplace_back(std::move(change));
  }

  void create() {
    Change& made = add(ChangeKind::CreateNetwork, fmt::format("+ network {}", wanted_.name));
    made.create = {
        .name = wanted_.name,
        .subnet = wanted_.subnet,
        .subnet6 = wanted_.subnet6,
        .port = wanted_.port,
        .endpoint = wanted_.endpoint,
        .dns = wanted_.dns.value_or(std::vector<std::string>()),
        .nat = wanted_.nat.value_or(true),
        .gateway_addresses = wanted_.gateway_addresses.value_or(std::vector<std::string>()),
        .reserve = wanted_.reserve.value_or(std::vector<std::string>()),
        .roles = wanted_.roles,
        .default_role = wanted_.default_role,
        .max_members = wanted_.max_members,
        .max_devices = wanted_.max_devices,
        .listen = wanted_.listen};
    made.create.names = wanted_.names;
    made.create.forwarders = wanted_.forwarders;
    made.create.attach = wanted_.attach;
    made.create.host_access = wanted_.host_access;
    if (brings_authority()) {
      made.create.ca_certificates = wanted_.ca->certificates;
      made.key_file = key_file("none");
    }
    for (const api::RoleAdd& role : wanted_.roles) {
      made.lines.push_back(fmt::format("+ role {} of {}", role.name, wanted_.name));
    }
  }

  [[nodiscard]] bool brings_authority() const {
    return wanted_.ca && !(wanted_.ca->certificates.empty() && wanted_.ca->file.empty());
  }

  std::string key_file(const std::string& signs_now) {
    if (wanted_.ca->key_file) return *wanted_.ca->key_file;
    conflict("ca",
             fmt::format("the authority of network {} is {}, and another one is no use without its "
                         "key: add key: FILE below ca",
                         wanted_.name, signs_now));
    return {};
  }

  /// Another one signs, and both are accepted until the members have renewed.
  void authority() {
    if (!wanted_.ca || current_->authorities.authorities.empty()) return;
    const api::AuthorityView& is = current_->authorities.authorities.front();
    const std::string now = is.brought && !is.chain.empty() ? is.chain.front().subject : "its own";
    if (!brings_authority()) {
      if (is.brought) add_rotation(now, "its own");
      return;
    }
    const auto wanted = bodies_of(wanted_.ca->certificates);
    const auto signs = bodies_of(is.certificates);
    if (wanted.empty() || signs.empty() || wanted.front() != signs.front()) {
      Change& change = add_rotation(now, "the one of the file");
      change.rotate.ca_certificates = wanted_.ca->certificates;
      change.key_file = key_file(now);
    } else if (wanted.size() > 1 && wanted != signs) {
      conflict("ca/certificate",
               fmt::format("the authority of network {} has another chain than in the file, and a "
                           "chain cannot change",
                           wanted_.name));
    }
  }

  Change& add_rotation(const std::string& from, const std::string& to) {
    return add(ChangeKind::RotateAuthority,
               fmt::format("~ authority of {}: {} -> {} (members renew by themselves)",
                           wanted_.name, from, to));
  }

  void conflict(std::string path, std::string text) {
    out_.conflicts.push_back({wanted_.place(std::move(path)), std::move(text), ""});
  }

  void fixed(const char* key, const char* what, const std::string& is, const std::string& wanted) {
    if (is == wanted) return;
    conflict(key, fmt::format(
                      "the {} of network {} is {} and cannot become {}: members have it in their "
                      "configuration; make another network",
                      what, wanted_.name, shown(is), shown(wanted)));
  }

  void check_listen(const api::NetworkView& is) {
    std::vector<std::string> wanted;
    for (const std::string& text : *wanted_.listen) wanted.push_back(normal_address(text));
    std::ranges::sort(wanted);
    std::vector<std::string> now = is.listen;
    std::ranges::sort(now);
    if (now == wanted) return;
    conflict("listen",
             fmt::format("network {} listens on {} and cannot change to {}: its engine's port is "
                         "bound; make another network",
                         wanted_.name, now.empty() ? "all addresses" : joined(now),
                         wanted.empty() ? "all addresses" : joined(wanted)));
  }

  void fixed_settings() {
    const api::NetworkView& is = current_->network;
    if (wanted_.subnet) fixed("subnet", "subnet", is.subnet, normal_prefix(*wanted_.subnet));
    if (wanted_.subnet6)
      fixed("subnet6", "IPv6 subnet", is.subnet6, normal_prefix(*wanted_.subnet6));
    if (wanted_.port) fixed("port", "port", std::to_string(is.port), std::to_string(*wanted_.port));
    if (wanted_.attach && wanted_.attach->compare(is.attach) != 0) {
      conflict("attach",
               fmt::format("network {} is attached to {} and cannot be to {}: make another network",
                           wanted_.name, is.attach.empty() ? "nothing" : is.attach,
                           shown(*wanted_.attach)));
    }
    if (wanted_.listen) check_listen(is);
    if (!wanted_.gateway_addresses) return;
    for (const std::string& text : *wanted_.gateway_addresses) {
      const std::string address = normal_address(text);
      if (address == is.gateway || address == is.gateway6) continue;
      fixed("gateway-address", "gateway address", joined({is.gateway, is.gateway6}), address);
    }
  }

  void settings() {
    const api::NetworkView& is = current_->network;
    api::NetworkSet set;
    std::vector<std::string> lines;
    const auto differs = [&](const char* what, const std::string& old, const std::string& next) {
      if (old == next) return false;
      lines.push_back(
          fmt::format("~ {} of {}: {} -> {}", what, wanted_.name, shown(old), shown(next)));
      return true;
    };
    const auto endpoint = base::HostPort::parse(is.endpoint);
    if (wanted_.endpoint &&
        differs("endpoint", endpoint ? endpoint->host : is.endpoint, *wanted_.endpoint)) {
      set.endpoint = wanted_.endpoint;
    }
    if (wanted_.dns) {
      const std::vector<std::string> dns = normal(*wanted_.dns, normal_address);
      if (differs("dns", joined(is.dns), joined(dns))) set.dns = dns;
    }
    if (wanted_.nat && differs("nat", is.nat ? "on" : "off", *wanted_.nat ? "on" : "off")) {
      set.nat = wanted_.nat;
    }
    if (wanted_.host_access && differs("host-access", is.host_access ? "on" : "off",
                                       *wanted_.host_access ? "on" : "off")) {
      set.host_access = wanted_.host_access;
    }
    if (wanted_.reserve && differs("reserve", joined(sorted(is.reserved, normal_range)),
                                   joined(sorted(*wanted_.reserve, normal_range)))) {
      set.reserve = wanted_.reserve;
    }
    if (wanted_.default_role && differs("default-role", is.default_role, *wanted_.default_role)) {
      set.default_role = wanted_.default_role;
    }
    if (wanted_.max_members && differs("max-members", std::to_string(is.max_members),
                                       std::to_string(*wanted_.max_members))) {
      set.max_members = wanted_.max_members;
    }
    if (wanted_.max_devices && differs("max-devices", std::to_string(is.max_devices),
                                       std::to_string(*wanted_.max_devices))) {
      set.max_devices = wanted_.max_devices;
    }
    if (wanted_.names && differs("names", is.names ? "on" : "off", *wanted_.names ? "on" : "off")) {
      set.names = wanted_.names;
    }
    if (wanted_.forwarders && differs("forwarders", joined(is.forwarders),
                                      joined(normal(*wanted_.forwarders, normal_address)))) {
      set.forwarders = wanted_.forwarders;
    }
    if (lines.empty()) return;
    Change& change = add(ChangeKind::SetNetwork, lines.front());
    change.lines = lines;
    change.set = set;
  }

  void roles() {
    for (const api::RoleAdd& role : wanted_.roles) {
      const auto& known = current_->roles.roles;
      const auto is = std::ranges::find(known, role.name, &api::RoleView::name);
      const bool made =
          std::ranges::find(current_->network.roles, role.name) != current_->network.roles.end();
      if (is == known.end() || !made) {
        add(ChangeKind::AddRole, fmt::format("+ role {} of {}", role.name, wanted_.name), role.name)
            .role = role;
        continue;
      }
      changed_role(role, *is);
    }
  }

  void changed_role(const api::RoleAdd& role, const api::RoleView& is) {
    api::RoleSet set;
    std::string what;
    const auto note = [&](const char* key, const std::string& old, const std::string& next) {
      if (old == next) return false;
      what += fmt::format("{}{}: {} -> {}", what.empty() ? "" : ", ", key, shown(old), shown(next));
      return true;
    };
    if (role.range && note("range", normal_range(is.range), normal_range(*role.range))) {
      set.range = role.range;
    }
    if (role.range6 && note("range6", normal_range(is.range6), normal_range(*role.range6))) {
      set.range6 = role.range6;
    }
    if (role.max_members &&
        note("max-members", std::to_string(is.max_members), std::to_string(*role.max_members))) {
      set.max_members = role.max_members;
    }
    if (role.expires_s &&
        note("expires", base::duration_text(is.expires_s), base::duration_text(*role.expires_s))) {
      set.expires_s = role.expires_s;
    }
    if (what.empty()) return;
    add(ChangeKind::SetRole, fmt::format("~ role {} of {}: {}", role.name, wanted_.name, what),
        role.name)
        .role_set = set;
  }

  /// Forwards before their peers, peers before their roles.
  void remove_the_rest() {
    const auto lacks = [](const auto& list, const std::string& name, auto field) {
      return std::ranges::find(list, name, field) == list.end();
    };
    for (const api::ForwardView& forward : current_->forwards.forwards) {
      if (!lacks(wanted_.forwards, forward.from, &api::ForwardAdd::from)) continue;
      add(ChangeKind::DeleteForward, fmt::format("- forward {}", forward.from), forward.from);
    }
    std::set<std::string_view> wanted;
    for (const api::PeerAdd& peer : wanted_.peers) wanted.insert(peer.name);
    for (const api::PeerAdd& peer : describe(*current_).peers) {
      if (wanted.contains(peer.name)) continue;
      add(ChangeKind::RemovePeer,
          fmt::format("- peer {} of {} (revoked: its key is refused for ever)", peer.name,
                      wanted_.name),
          peer.name);
    }
    for (const std::string& role : current_->network.roles) {
      if (!lacks(wanted_.roles, role, &api::RoleAdd::name)) continue;
      add(ChangeKind::DeleteRole, fmt::format("- role {} of {}", role, wanted_.name), role);
    }
  }

  [[nodiscard]] bool policy_names_newcomers(const std::vector<api::PeerAdd>& newcomers) const {
    std::string text;
    for (const std::string& line : *wanted_.policy) text += line + "\n";
    std::vector<model::Role> names;
    for (const api::RoleAdd& role : wanted_.roles) names.emplace_back().name = role.name;
    if (current_ != nullptr) {
      for (const std::string& role : current_->network.roles) names.emplace_back().name = role;
    }
    const auto policy = model::Policy::parse(text, names);
    if (!policy) return false;  // the gateway says what is wrong with it
    return std::ranges::any_of(policy->peers_named(), [&](const model::Party& party) {
      return std::ranges::find(newcomers, party.name, &api::PeerAdd::name) != newcomers.end();
    });
  }

  void policy_and_peers() {
    const std::vector<api::PeerAdd> newcomers = compare_peers();
    const bool had = current_ != nullptr && current_->policy.present;
    const bool unsaid = !wanted_.policy || (wanted_.policy->empty() && !had) ||
                        (had && *wanted_.policy == current_->policy.lines);
    if (unsaid) return add_peers(newcomers);
    if (wanted_.policy->empty()) {
      add_peers(newcomers);
      add(ChangeKind::ClearPolicy, fmt::format("- policy of {}", wanted_.name));
      return;
    }
    const bool later = policy_names_newcomers(newcomers);
    if (later && !had) {
      add(ChangeKind::SetPolicy,
          fmt::format("+ policy of {} that denies everything, until its members are there",
                      wanted_.name))
          .policy.lines = {"rules: []"};
    }
    if (later) add_peers(newcomers);
    add(ChangeKind::SetPolicy, fmt::format("{} policy of {}", had ? "~" : "+", wanted_.name))
        .policy.lines = *wanted_.policy;
    if (!later) add_peers(newcomers);
  }

  /// Those that do not exist; what differs in those that do is noted at once.
  std::vector<api::PeerAdd> compare_peers() {
    std::map<std::string, const api::PeerView*> known;
    if (current_ != nullptr) {
      for (const api::PeerView& peer : current_->peers.peers) {
        if (peer.state != "revoked") known.emplace(peer.name, &peer);
      }
    }
    std::vector<api::PeerAdd> newcomers;
    for (const api::PeerAdd& peer : wanted_.peers) {
      const auto is = known.find(peer.name);
      if (is == known.end()) {
        newcomers.push_back(peer);
      } else {
        compare_peer(peer, *is->second);
      }
    }
    return newcomers;
  }

  void compare_peer(const api::PeerAdd& peer, const api::PeerView& is) {
    const auto refuse = [&](const char* what, const std::string& old, const std::string& next) {
      conflict(
          fmt::format("peers/{}/{}", peer.name, what),
          fmt::format("peer {} of network {} has the {} {} and cannot get {}: revoke it first, "
                      "or give the other one another name",
                      peer.name, wanted_.name, what, shown(old), next));
    };
    if (!peer.role.empty() && peer.role != is.role) refuse("role", is.role, peer.role);
    for (const std::string& text : peer.addresses) {
      const std::string address = normal_address(text);
      if (address == is.address || address == is.address6) continue;
      refuse("address", text.find(':') == text.npos ? is.address : is.address6, address);
    }
    if (peer.person && *peer.person != is.person) refuse("person", is.person, *peer.person);
    if (!peer.public_key || *peer.public_key == is.public_key) return;
    if (!is.public_key.empty()) return refuse("key", is.public_key, *peer.public_key);
    add(ChangeKind::SetPeerKey, fmt::format("~ key of peer {} of {}", peer.name, wanted_.name),
        peer.name)
        .key.public_key = *peer.public_key;
  }

  void add_peers(const std::vector<api::PeerAdd>& newcomers) {
    if (newcomers.empty()) return;
    std::vector<std::string> lines;
    for (const api::PeerAdd& peer : newcomers) {
      lines.push_back(fmt::format("+ peer {} of {}{}{}", peer.name, wanted_.name,
                                  peer.role.empty() ? "" : " as " + peer.role,
                                  peer.public_key ? "" : " (waits for its key)"));
    }
    Change& change = add(ChangeKind::AddPeers, "");
    change.lines = std::move(lines);
    change.peers = newcomers;
  }

  void forwards() {
    for (const api::ForwardAdd& forward : wanted_.forwards) {
      const std::uint16_t to_port =
          forward.to_port.value_or(model::PublicPort::parse(forward.from)->port);
      std::string line =
          fmt::format("+ forward {} to {} port {}", forward.from, forward.peer, to_port);
      if (current_ != nullptr) {
        const auto& known = current_->forwards.forwards;
        const auto is = std::ranges::find(known, forward.from, &api::ForwardView::from);
        if (is != known.end()) {
          if (is->peer == forward.peer && is->to_port == to_port) continue;
          add(ChangeKind::DeleteForward,
              fmt::format("- forward {} to {} port {}", is->from, is->peer, is->to_port), is->from);
        }
      }
      add(ChangeKind::AddForward, std::move(line), forward.from).forward = forward;
    }
  }

  void running() {
    const bool stopped = current_ != nullptr && current_->network.stopped;
    if (!wanted_.stopped || *wanted_.stopped == stopped) return;
    add(*wanted_.stopped ? ChangeKind::StopNetwork : ChangeKind::StartNetwork,
        fmt::format("~ network {} is {}", wanted_.name, *wanted_.stopped ? "stopped" : "started"));
  }

  /// What somebody changed on the host behind the gateway's back.
  void repair() {
    std::vector<std::string> lines;
    for (const auto& found : current_->verify.differences) {
      if (found.network != wanted_.name && !found.network.empty()) continue;
      lines.push_back(fmt::format("! {} of {}: {}", found.part, wanted_.name, found.what));
    }
    if (lines.empty()) return;
    Change& change = add(ChangeKind::Repair, "");
    change.lines = std::move(lines);
  }

  const Network& wanted_;
  const Current* current_;
  bool prune_;
  Difference& out_;
};

}  // namespace

Difference difference(const Document& wanted, const std::map<std::string, Current>& current,
                      bool prune) {
  Difference out;
  for (const Network& network : wanted.networks) {
    const auto is = current.find(network.name);
    Comparison(network, is == current.end() ? nullptr : &is->second, prune, out).run();
  }
  return out;
}

}  // namespace warren::document
