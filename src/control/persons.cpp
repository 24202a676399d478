// Persons, who may have several devices, and what concerns more than one peer at once: all devices
// of a person, and all peers with one key.
//
// A person is a word that whoever invites writes down; the gateway knows nothing else about them.
// Several are revoked in one transaction: after a crash all of them are out, or none is. A key that
// is refused everywhere stays so in networks that are made later; it is in no network's record.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Status check_person(const std::string& person) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("._@+-").find(c) != std::string_view::npos;
  };
  if (person.size() <= kMaxPersonText && std::ranges::all_of(person, allowed)) return {};
  return make_error(ErrorKind::Invalid,
                    fmt::format("\"{}\" cannot stand for a person", one_line(person, 80)),
                    fmt::format("write a login or a mail address: letters, digits and ._@+-, at "
                                "most {} of them",
                                kMaxPersonText));
}

}  // namespace

base::Status Control::Impl::check_devices(const model::Network& network, const model::Peer& peer,
                                          const std::vector<model::Peer>& also) const {
  WARREN_TRY(check_person(peer.person));
  if (peer.person.empty() || network.max_devices == 0) return {};
  std::vector<std::string> names;
  for (const auto& [id, device] : index.devices(network.id, peer.person)) {
    if (id != peer.id) names.push_back(device->name);
  }
  for (const model::Peer& other : also) {
    const bool counted =
        state.peers.contains(other.id) && state.peers.at(other.id).person == other.person;
    if (other.person == peer.person && !counted) names.push_back(other.name);
  }
  if (names.size() < network.max_devices) return {};
  constexpr std::size_t kShown = 10;
  std::string listed;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    listed += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kShown) listed += fmt::format(" and {} more", names.size() - kShown);
  return make_error(
      ErrorKind::Conflict,
      fmt::format("{} has {} {} in network {} already ({}), and nobody may have more than {}",
                  peer.person, names.size(), names.size() == 1 ? "device" : "devices", network.name,
                  listed, network.max_devices),
      fmt::format("revoke one of them, or allow more: warren network set {} --max-devices N",
                  network.name));
}

std::string Control::Impl::owner_of_refused(const base::PublicKey& key) const {
  for (const auto& [id, peer] : state.peers) {
    if (peer.public_key != key || peer.state != model::PeerState::Revoked) continue;
    return fmt::format("; it was that of {} in network {}", peer.name,
                       state.networks.at(peer.network).network.name);
  }
  return {};
}

base::Result<api::RevocationList> Control::Impl::revoke_all(
    const Request& request, const std::vector<model::PeerId>& peers,
    const std::set<base::PublicKey>& everywhere) {
  const base::Instant began = deps.clock.now();
  const base::WallTime now = deps.clock.wall();
  std::vector<store::Change> changes;
  std::map<model::PeerId, std::vector<plan::HostForward>> forwards;
  api::RevocationList report;
  for (const base::PublicKey& key : everywhere) {
    changes.emplace_back(store::RefuseEverywhere{.key = key, .since = now});
    report.refused_keys.push_back(key.base64());
  }
  for (const model::PeerId id : peers) {
    model::Peer denied = state.peers.at(id);
    denied.expires = {};
    denied.lease_s = 0;  // whom somebody puts out is remembered
    denied.revoked = now;
    forwards[id] = deny(std::move(denied), changes);
  }
  WARREN_TRY(commit(changes, request));
  for (auto& [id, list] : forwards) {
    if (!list.empty()) forwards_to_close[id] = std::move(list);
  }
  base::Instant since = deps.clock.now();
  const std::chrono::duration<double, std::milli> committed = since - began;
  for (const model::PeerId id : peers) {
    const model::Peer& peer = state.peers.at(id);
    const std::string network = state.networks.at(peer.network).network.name;
    api::Revocation one{.network = network, .name = peer.name};
    one.steps.push_back({"committed", committed.count()});
    close_ways_in({request.actor, "peer.revoke", network + "/" + peer.name}, id, since, one);
    for (const auto& step : one.steps) one.total_ms += step.ms;
    report.revocations.push_back(std::move(one));
  }
  const std::chrono::duration<double, std::milli> total = deps.clock.now() - began;
  report.total_ms = total.count();
  return report;
}

base::Result<api::RevocationList> Control::Impl::revoke_everywhere(const Request& request,
                                                                   const std::string& network_name,
                                                                   const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* peer = current_peer(network.id, name);
  std::vector<model::PeerId> out;
  if (peer != nullptr) out.push_back(peer->id);
  for (const auto& [id, earlier] : index.in(network.id)) {
    if (out.empty() && earlier->name == name) peer = earlier;  // the last one of that name
  }
  if (peer == nullptr) return unknown_peer(network, name);
  if (!peer->public_key) {
    return make_error(ErrorKind::Conflict, fmt::format("{} never had a key", name),
                      "there is nothing to refuse elsewhere: leave --everywhere out");
  }
  const base::PublicKey key = *peer->public_key;
  if (out.empty() && state.refused_everywhere.contains(key)) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("{} was revoked everywhere already, at {}", name,
                                  utc_text(state.refused_everywhere.at(key).seconds())),
                      "nothing is left to do");
  }
  for (const auto& [id, stored] : state.networks) {
    const auto known = members_by_key.find({id, key});
    if (id == network.id || known == members_by_key.end()) continue;
    const auto other = state.peers.find(known->second);
    const bool member = other != state.peers.end() && other->second.public_key == key &&
                        other->second.state != model::PeerState::Revoked;
    if (member) out.push_back(other->first);
  }
  return revoke_all(request, out, {key});
}

base::Result<api::RevocationList> Control::Impl::revoke_person(const Request& request,
                                                               const std::string& network_name,
                                                               const std::string& person) {
  const bool everywhere = network_name.empty();
  std::optional<model::Network> only;
  if (!everywhere) {
    WARREN_TRY_ASSIGN(only, find_network(network_name));
  }
  std::vector<model::PeerId> out;
  std::set<base::PublicKey> keys;
  std::vector<std::string> persons;
  for (const auto& [id, peer] : state.peers) {
    const bool elsewhere = only && peer.network != only->id;
    const bool theirs = !person.empty() && peer.person == person;
    if (elsewhere || peer.person.empty()) continue;
    // What somebody lost before today is refused everywhere, too.
    if (theirs && everywhere && peer.public_key) keys.insert(*peer.public_key);
    if (peer.state == model::PeerState::Revoked) continue;
    persons.push_back(peer.person);
    if (theirs) out.push_back(id);
  }
  if (out.empty() && keys.empty()) {
    return unknown_name(
        fmt::format("nobody called \"{}\" has a device {}", one_line(person, 80),
                    only ? "in network " + only->name : std::string("on this gateway")),
        person, persons, "`warren peer list` shows whose each is");
  }
  // Their keys may be in use under another name, or under nobody's.
  for (const base::PublicKey& key : keys) {
    for (const auto& [id, stored] : state.networks) {
      const auto known = members_by_key.find({id, key});
      if (known == members_by_key.end()) continue;
      const auto other = state.peers.find(known->second);
      const bool member = other != state.peers.end() && other->second.public_key == key &&
                          other->second.state != model::PeerState::Revoked;
      if (member && std::ranges::find(out, other->first) == out.end()) out.push_back(other->first);
    }
  }
  return revoke_all(request, out, keys);
}

}  // namespace warren::control
