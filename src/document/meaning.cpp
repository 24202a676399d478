// What a document says that cannot be, found before anything of it is sent.
//
// Of each network the end result is put together, as far as it can be known here: what the document
// says over what the gateway has. Members that exist are not looked at (they were accepted once),
// nor is an address of which the subnet is not known yet, because the gateway will choose it.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "document/document.hpp"
#include "model/network.hpp"
#include "model/policy.hpp"
#include "model/yaml_text.hpp"

namespace warren::document {

namespace {

/// Who has as many makes a list of his own.
constexpr std::size_t kMostProblems = 50;

std::optional<model::AddressRange> range_of(const std::string& text) {
  return model::AddressRange::parse(text);
}

class Meaning {
 public:
  Meaning(const Network& wanted, const Current* current, bool prune, std::vector<Problem>& out)
      : wanted_(wanted), current_(current), prune_(prune), out_(out) {}

  void check() {
    collect_roles();
    collect_addresses();
    collect_peers();
    if (current_ == nullptr) check_subnets();
    check_roles();
    for (const api::PeerAdd& peer : wanted_.peers) {
      if (!there_.contains(peer.name)) check_newcomer(peer);
    }
    check_policy();
    for (const api::ForwardAdd& forward : wanted_.forwards) {
      check_peer("forwards/" + forward.from + "/peer", forward.peer);
    }
  }

 private:
  void add(const std::string& path, std::string text, std::string hint) {
    if (!is_full()) out_.push_back({wanted_.place(path), std::move(text), std::move(hint)});
  }
  void add_unless(const base::Status& good, const std::string& path) {
    if (!good) add(path, good.error().message, good.error().hint);
  }

  // --- what there will be ---

  void collect_roles() {
    for (const api::RoleAdd& role : wanted_.roles) {
      model::Role made;
      made.name = role.name;
      made.range4 = range_of(role.range.value_or(known_range(role.name, false)));
      made.range6 = range_of(role.range6.value_or(known_range(role.name, true)));
      roles_.push_back(std::move(made));
    }
    if (current_ == nullptr) return;
    for (const std::string& name : current_->network.roles) {
      if (prune_ || std::ranges::find(roles_, name, &model::Role::name) != roles_.end()) continue;
      model::Role kept;
      kept.name = name;
      kept.range4 = range_of(known_range(name, false));
      kept.range6 = range_of(known_range(name, true));
      roles_.push_back(std::move(kept));
    }
  }

  [[nodiscard]] std::string known_range(const std::string& role, bool v6) const {
    if (current_ == nullptr) return {};
    const auto& known = current_->roles.roles;
    const auto found = std::ranges::find(known, role, &api::RoleView::name);
    if (found == known.end()) return {};
    return v6 ? found->range6 : found->range;
  }

  void collect_addresses() {
    network_.name = wanted_.name;
    const bool is = current_ != nullptr;
    // Those of a network that is there cannot change.
    network_.subnet4 =
        base::Prefix::parse(is ? current_->network.subnet : wanted_.subnet.value_or(""));
    network_.subnet6 =
        base::Prefix::parse(is ? current_->network.subnet6 : wanted_.subnet6.value_or(""));
    const bool none6 = wanted_.subnet6 && *wanted_.subnet6 == "none";
    is_known4_ = is || network_.subnet4;
    is_known6_ = is || network_.subnet6 || none6;
    std::vector<std::string> gateways =
        wanted_.gateway_addresses.value_or(std::vector<std::string>());
    if (is)
      gateways.insert(gateways.end(), {current_->network.gateway, current_->network.gateway6});
    for (const std::string& text : gateways) {
      const auto address = base::IpAddress::parse(text);
      if (!address) continue;
      (address->is_v4() ? network_.chosen_gateway4 : network_.chosen_gateway6) = address;
    }
    const auto kept = is ? current_->network.reserved : std::vector<std::string>();
    for (const std::string& text : wanted_.reserve.value_or(kept)) {
      if (const auto range = range_of(text)) network_.reserved.push_back(*range);
    }
  }

  void collect_peers() {
    for (const api::PeerAdd& peer : wanted_.peers) names_.insert(peer.name);
    if (current_ == nullptr) return;
    std::set<std::string> goes;
    if (prune_) {
      for (const api::PeerAdd& peer : describe(*current_).peers) {
        if (!names_.contains(peer.name)) goes.insert(peer.name);
      }
    }
    for (const api::PeerView& peer : current_->peers.peers) {
      if (peer.state == "revoked" || goes.contains(peer.name)) continue;
      there_.insert(peer.name);
      names_.insert(peer.name);
      if (peer.state == "expired") continue;  // what it has may be free by now
      if (!peer.public_key.empty()) keys_.emplace(peer.public_key, peer.name);
      for (const std::string& text : {peer.address, peer.address6}) {
        if (const auto address = base::IpAddress::parse(text))
          holders_.emplace(*address, peer.name);
      }
    }
  }

  // --- what is looked at ---

  void check_subnets() {
    for (const auto& [path, subnet] :
         {std::pair{"subnet", network_.subnet4}, std::pair{"subnet6", network_.subnet6}}) {
      if (subnet) add_unless(model::check_subnet(*subnet), path);
    }
  }

  void check_roles() {
    if (wanted_.default_role && !wanted_.default_role->empty()) {
      (void)role_of("default-role", *wanted_.default_role);
    }
    for (const api::RoleAdd& role : wanted_.roles) {
      for (const auto& [key, text] :
           {std::pair{"/range", role.range}, std::pair{"/range6", role.range6}}) {
        const auto range = range_of(text.value_or(""));
        if (!range || !is_known(range->first)) continue;
        const auto& subnet = range->first.is_v4() ? network_.subnet4 : network_.subnet6;
        if (subnet && subnet->contains(range->first) && subnet->contains(range->last)) continue;
        add("roles/" + role.name + key,
            fmt::format("the range {} of role {} is not inside the network's {}",
                        range->to_string(), role.name,
                        subnet ? "subnet " + subnet->to_string() : "subnets"),
            "choose one inside it");
      }
    }
  }

  [[nodiscard]] bool is_known(const base::IpAddress& address) const {
    return address.is_v4() ? is_known4_ : is_known6_;
  }

  /// Of a name that stands at `path`.
  std::optional<model::Role> role_of(const std::string& path, const std::string& name) {
    auto role = model::find_role(roles_, name);
    if (!role && name == "default") role = model::find_role(roles_, default_role());
    if (role) return role;
    std::vector<std::string> known{std::string(model::kDefaultRole)};
    for (const model::Role& one : roles_) known.push_back(one.name);
    add(path, fmt::format("network {} has no role {}", wanted_.name, model::quoted(name)),
        model::suggestion(name, known));
    return std::nullopt;
  }

  [[nodiscard]] std::string default_role() const {
    std::string name = wanted_.default_role.value_or("");
    if (name.empty() && current_ != nullptr) name = current_->network.default_role;
    return name.empty() ? std::string(model::kDefaultRole) : name;
  }

  void check_newcomer(const api::PeerAdd& peer) {
    const std::string path = "peers/" + peer.name;
    const auto role = peer.role.empty() ? model::find_role(roles_, default_role())
                                        : role_of(path + "/role", peer.role);
    if (peer.public_key) {
      const auto [other, is_new] = keys_.emplace(*peer.public_key, peer.name);
      if (!is_new) {
        add(path + "/key", fmt::format("this key is that of peer {} already", other->second),
            "each member makes a key of its own");
      }
    }
    std::set<base::Family> families;
    for (const std::string& text : peer.addresses) {
      const auto address = base::IpAddress::parse(text);
      if (!address) continue;
      if (!families.insert(address->family()).second) {
        add(path + "/address", fmt::format("peer {} has two addresses of one family", peer.name),
            "give one of them");
      }
      check_address(path + "/address", peer.name, role, *address);
    }
  }

  void check_address(const std::string& path, const std::string& peer,
                     const std::optional<model::Role>& role, const base::IpAddress& address) {
    const auto [other, is_new] = holders_.emplace(address, peer);
    if (!is_new && other->second != peer) {
      add(path, fmt::format("address {} belongs to {} already", address.to_string(), other->second),
          "choose another one, or give none: the first free one is taken");
      return;
    }
    if (!is_known(address)) return;
    // On a segment the gateway may still have to choose its own.
    const bool is_chosen = current_ != nullptr || !wanted_.attach;
    const base::Status in_network =
        is_chosen ? model::check_member_address(network_, address) : base::Status();
    add_unless(in_network, path);
    if (in_network && role) add_unless(model::check_role_address(*role, roles_, address), path);
  }

  void check_peer(const std::string& path, const std::string& name) {
    if (names_.contains(name) || is_full()) return;
    add(path, fmt::format("network {} has no peer {}", wanted_.name, model::quoted(name)),
        peer_hint(name, some_names()));
  }

  static std::string peer_hint(const std::string& name, const std::vector<std::string>& known) {
    const std::string near = model::nearest(name, known);
    return near.empty() ? "add it below peers" : "did you mean " + near + "?";
  }

  [[nodiscard]] bool is_full() const { return out_.size() >= kMostProblems; }

  /// Enough for a suggestion, few enough to be compared with.
  [[nodiscard]] std::vector<std::string> some_names() const {
    constexpr std::size_t kSome = 1000;
    std::vector<std::string> out;
    for (const std::string& name : names_) {
      if (out.size() == kSome) break;
      out.push_back(name);
    }
    return out;
  }

  void check_policy() {
    if (!wanted_.policy || wanted_.policy->empty()) return;
    std::string text;
    for (const std::string& line : *wanted_.policy) text += line + "\n";
    const auto place = [&](Place inside) {
      return Place{wanted_.policy_begin.line + inside.line - 1,
                   wanted_.policy_begin.column + inside.column - 1};
    };
    const auto policy = model::Policy::parse(text, roles_);
    if (!policy) {
      std::string message = policy.error().message;
      const auto inside = take_place(message);
      out_.push_back(
          {inside ? place(*inside) : wanted_.place("policy"), message, policy.error().hint});
      return;
    }
    for (const model::Party& party : policy->peers_named()) {
      if (names_.contains(party.name) || is_full()) continue;
      std::vector<std::string> known = some_names();
      for (const model::Role& role : roles_) known.push_back(role.name);
      known.emplace_back(model::kDefaultRole);
      out_.push_back({place({party.line, party.column}),
                      fmt::format("network {} has no role or peer {}", wanted_.name,
                                  model::quoted(party.name)),
                      peer_hint(party.name, known)});
    }
  }

  const Network& wanted_;
  const Current* current_;
  bool prune_;
  std::vector<Problem>& out_;
  model::Network network_;          ///< its addresses alone
  std::vector<model::Role> roles_;  ///< beside the default role
  bool is_known4_ = false;
  bool is_known6_ = false;
  std::set<std::string> names_;  ///< of all peers
  std::set<std::string> there_;  ///< of those that stay as they are
  std::map<std::string, std::string> keys_;
  std::map<base::IpAddress, std::string> holders_;
};

}  // namespace

std::vector<Problem> mistakes(const Document& wanted, const std::map<std::string, Current>& current,
                              bool prune) {
  std::vector<Problem> out;
  std::map<std::string, std::string> ports;
  for (const Network& network : wanted.networks) {
    const auto is = current.find(network.name);
    Meaning(network, is == current.end() ? nullptr : &is->second, prune, out).check();
    for (const api::ForwardAdd& forward : network.forwards) {
      const auto [other, is_new] = ports.emplace(forward.from, network.name);
      if (is_new) continue;
      out.push_back(
          {network.place("forwards/" + forward.from),
           fmt::format("port {} leads into network {} already", forward.from, other->second),
           "a public port leads to one member: choose another one"});
    }
  }
  std::ranges::stable_sort(
      out, {}, [](const Problem& one) { return std::pair(one.place.line, one.place.column); });
  return out;
}

}  // namespace warren::document
