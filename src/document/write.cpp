// From a Document to YAML, and from what a gateway has to a Document.
//
// Values that could be read as anything but the text they are stand in quotes. The policy is put
// below its key line by line, as whoever wrote it wrote it.
#include <algorithm>
#include <charconv>

#include "base/address.hpp"
#include "base/duration_text.hpp"
#include "document/document.hpp"
#include "model/role.hpp"

namespace warren::document {

namespace {

std::string quoted_if_needed(const std::string& value) {
  constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_+=-:";
  // What YAML takes for nothing at all; every other word is read as the text it is.
  const bool nothing = value == "null" || value == "Null" || value == "NULL";
  const bool plain = !value.empty() && value.find_first_not_of(kSafe) == std::string::npos &&
                     value.front() != '-' && value.front() != ':' && value.back() != ':' &&
                     !nothing;
  if (plain) return value;
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

class Writer {
 public:
  void line(unsigned depth, const std::string& key, const std::string& value = {}) {
    text_.append(std::size_t{depth} * 2, ' ').append(key).append(":");
    if (!value.empty()) text_.append(" ").append(value);
    text_ += '\n';
  }
  void value(unsigned depth, const std::string& key, const std::optional<std::string>& given) {
    if (given) line(depth, key, quoted_if_needed(*given));
  }
  template <typename T>
  void number(unsigned depth, const std::string& key, const std::optional<T>& given) {
    if (given) line(depth, key, std::to_string(*given));
  }
  void yes_or_no(unsigned depth, const std::string& key, const std::optional<bool>& given) {
    if (given) line(depth, key, *given ? "true" : "false");
  }
  void list(unsigned depth, const std::string& key, const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& value : values) {
      all += (all.empty() ? "" : ", ") + quoted_if_needed(value);
    }
    line(depth, key, "[" + all + "]");
  }
  void list(unsigned depth, const std::string& key,
            const std::optional<std::vector<std::string>>& values) {
    if (values) list(depth, key, *values);
  }
  void raw(unsigned depth, const std::string& whole) {
    if (!whole.empty()) text_.append(std::size_t{depth} * 2, ' ').append(whole);
    text_ += '\n';
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void write_authority(const Network& network, Writer& out) {
  if (!network.ca) return;
  if (network.ca->certificates.empty() && network.ca->file.empty()) return out.line(2, "ca", "own");
  out.line(2, "ca");
  if (!network.ca->file.empty()) out.value(3, "certificate", network.ca->file);
  if (!network.ca->certificates.empty()) {
    out.line(3, "certificate", "|");
    const std::string& pem = network.ca->certificates;
    for (std::size_t begin = 0; begin < pem.size();) {
      const std::size_t end = std::min(pem.find('\n', begin), pem.size());
      out.raw(4, pem.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  out.value(3, "key", network.ca->key_file);
}

void write_policy(const Network& network, Writer& out) {
  if (!network.policy) return;
  if (network.policy->empty()) return out.line(2, "policy", "none");
  out.line(2, "policy");
  for (const std::string& line : *network.policy) out.raw(3, line);
}

void write_network(const Network& network, Writer& out) {
  out.line(1, quoted_if_needed(network.name));
  out.value(2, "subnet", network.subnet);
  out.value(2, "subnet6", network.subnet6);
  out.number(2, "port", network.port);
  out.value(2, "endpoint", network.endpoint);
  out.list(2, "dns", network.dns);
  out.yes_or_no(2, "nat", network.nat);
  out.list(2, "gateway-address", network.gateway_addresses);
  out.list(2, "listen", network.listen);
  out.list(2, "reserve", network.reserve);
  out.value(2, "default-role", network.default_role);
  out.number(2, "max-members", network.max_members);
  out.number(2, "max-devices", network.max_devices);
  out.yes_or_no(2, "names", network.names);
  out.list(2, "forwarders", network.forwarders);
  out.value(2, "attach", network.attach);
  out.yes_or_no(2, "host-access", network.host_access);
  out.yes_or_no(2, "stopped", network.stopped);
  write_authority(network, out);
  if (!network.roles.empty()) out.line(2, "roles");
  for (const api::RoleAdd& role : network.roles) {
    out.line(3, quoted_if_needed(role.name));
    out.value(4, "range", role.range);
    out.value(4, "range6", role.range6);
    out.number(4, "max-members", role.max_members);
    if (role.expires_s) {
      out.line(4, "expires", *role.expires_s == 0 ? "never" : base::duration_text(*role.expires_s));
    }
  }
  write_policy(network, out);
  if (!network.peers.empty()) out.line(2, "peers");
  for (const api::PeerAdd& peer : network.peers) {
    out.line(3, quoted_if_needed(peer.name));
    if (!peer.role.empty()) out.value(4, "role", peer.role);
    out.value(4, "key", peer.public_key);
    if (!peer.addresses.empty()) out.list(4, "address", peer.addresses);
    if (peer.expires_s) out.line(4, "expires", base::duration_text(*peer.expires_s));
    out.value(4, "person", peer.person);
  }
  if (!network.forwards.empty()) out.line(2, "forwards");
  for (const api::ForwardAdd& forward : network.forwards) {
    out.line(3, quoted_if_needed(forward.from));
    out.value(4, "peer", forward.peer);
    out.number(4, "port", forward.to_port);
  }
}

std::optional<std::string> unless_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

/// What stands for itself whether or not it has a key: not what ends by itself or is secret.
bool is_lasting(const api::PeerView& peer) {
  return (peer.state == "enrolled" || peer.state == "waits-for-key") && !peer.lease_s;
}

}  // namespace

std::string Document::write() const {
  Writer out;
  out.raw(0, "warren: 1");
  out.raw(0, "networks:");
  for (const Network& network : networks) write_network(network, out);
  return out.take();
}

Network describe(const Current& current) {
  const api::NetworkView& view = current.network;
  Network out;
  out.name = view.name;
  out.subnet = unless_empty(view.subnet);
  out.subnet6 = view.subnet6.empty() ? "none" : view.subnet6;
  out.port = view.port;
  if (const auto endpoint = base::HostPort::parse(view.endpoint)) out.endpoint = endpoint->host;
  out.dns = view.dns;
  out.nat = view.nat;
  out.gateway_addresses.emplace();
  for (const std::string& address : {view.gateway, view.gateway6}) {
    if (!address.empty()) out.gateway_addresses->push_back(address);
  }
  if (!view.listen.empty()) out.listen = view.listen;
  out.reserve = view.reserved;
  out.default_role = unless_empty(view.default_role);
  out.max_members = view.max_members;
  if (view.max_devices != 0) out.max_devices = view.max_devices;
  if (view.names) out.names = true;
  if (!view.forwarders.empty()) out.forwarders = view.forwarders;
  out.attach = unless_empty(view.attach);
  if (view.host_access) out.host_access = true;
  out.stopped = view.stopped;
  if (!current.authorities.authorities.empty()) {
    const api::AuthorityView& signs = current.authorities.authorities.front();
    out.ca.emplace();
    if (signs.brought) out.ca->certificates = signs.certificates;
  }
  for (const api::RoleView& role : current.roles.roles) {
    const bool made = std::ranges::find(view.roles, role.name) != view.roles.end();
    if (!made) continue;
    out.roles.push_back({.name = role.name,
                         .range = unless_empty(role.range),
                         .range6 = unless_empty(role.range6),
                         .max_members = role.max_members,
                         .expires_s = role.expires_s});
  }
  if (current.policy.present) out.policy = current.policy.lines;
  for (const api::PeerView& peer : current.peers.peers) {
    if (!is_lasting(peer)) continue;
    api::PeerAdd made;
    made.name = peer.name;
    made.role = peer.role;
    made.public_key = unless_empty(peer.public_key);
    for (const std::string& address : {peer.address, peer.address6}) {
      if (!address.empty()) made.addresses.push_back(address);
    }
    made.person = unless_empty(peer.person);
    out.peers.push_back(std::move(made));
  }
  for (const api::ForwardView& forward : current.forwards.forwards) {
    out.forwards.push_back(
        {.from = forward.from, .peer = forward.peer, .to_port = forward.to_port});
  }
  return out;
}

}  // namespace warren::document
