#include "control/peer_index.hpp"

#include <algorithm>

namespace warren::control {

namespace {

bool is_current(const model::Peer& peer) { return peer.state != model::PeerState::Revoked; }

}  // namespace

void PeerIndex::add(const model::Peer& peer) {
  OfNetwork& of = networks_[peer.network];
  of.all.emplace(peer.id, &peer);
  for (const auto& address : {peer.address4, peer.address6}) {
    if (address) of.addresses.emplace(*address, &peer);
  }
  if (!is_current(peer)) return;
  of.names.emplace(peer.name, &peer);
  ++of.members;
  ++of.roles[peer.role];
  if (!peer.person.empty()) of.persons[peer.person].emplace(peer.id, &peer);
}

void PeerIndex::remove(const model::Peer& peer) {
  const auto found = networks_.find(peer.network);
  if (found == networks_.end() || found->second.all.erase(peer.id) == 0) return;
  OfNetwork& of = found->second;
  for (const auto& address : {peer.address4, peer.address6}) {
    if (!address) continue;
    of.addresses.erase(*address);
    for (auto& [role, place] : of.places) {
      if (role.second == address->family()) place = std::min(place, *address);
    }
  }
  if (is_current(peer)) {
    of.names.erase(peer.name);
    --of.members;
    --of.roles[peer.role];
    if (const auto person = of.persons.find(peer.person); person != of.persons.end()) {
      person->second.erase(peer.id);
      if (person->second.empty()) of.persons.erase(person);
    }
  }
  if (of.all.empty()) networks_.erase(found);
}

const PeerIndex::OfNetwork& PeerIndex::known(model::NetworkId network) const {
  static const OfNetwork none;
  const auto found = networks_.find(network);
  return found == networks_.end() ? none : found->second;
}

const PeerIndex::ById& PeerIndex::in(model::NetworkId network) const { return known(network).all; }

const model::Peer* PeerIndex::named(model::NetworkId network, std::string_view name) const {
  const auto& names = known(network).names;
  const auto found = names.find(name);
  return found == names.end() ? nullptr : found->second;
}

const model::Peer* PeerIndex::holder(model::NetworkId network,
                                     const base::IpAddress& address) const {
  const ByAddress& held = addresses(network);
  const auto found = held.find(address);
  return found == held.end() ? nullptr : found->second;
}

const PeerIndex::ByAddress& PeerIndex::addresses(model::NetworkId network) const {
  return known(network).addresses;
}

std::size_t PeerIndex::members(model::NetworkId network) const { return known(network).members; }

std::size_t PeerIndex::members(model::NetworkId network, const std::string& role) const {
  const auto& roles = known(network).roles;
  const auto found = roles.find(role);
  return found == roles.end() ? 0 : found->second;
}

const PeerIndex::Devices& PeerIndex::devices(model::NetworkId network,
                                             std::string_view person) const {
  static const Devices none;
  const auto& persons = known(network).persons;
  const auto found = persons.find(person);
  return found == persons.end() ? none : found->second;
}

std::optional<base::IpAddress> PeerIndex::next_free(model::NetworkId network,
                                                    const std::string& role,
                                                    const base::Prefix& subnet,
                                                    const base::IpAddress& gateway,
                                                    std::vector<model::AddressRange> barred,
                                                    const std::vector<model::AddressRange>& also) {
  const base::IpAddress last = subnet.last();
  const base::IpAddress lowest = subnet.network().address.plus(1);
  barred.push_back({gateway, gateway});
  if (last.is_v4()) barred.push_back({last, last});
  barred.insert(barred.end(), also.begin(), also.end());
  std::erase_if(barred, [&](const auto& one) { return one.first.family() != last.family(); });
  std::ranges::sort(barred);
  auto& places = networks_[network].places;
  const auto place = places.try_emplace({role, last.family()}, lowest).first;
  base::IpAddress candidate = std::max(place->second, lowest);
  const ByAddress& held = addresses(network);
  auto other = held.lower_bound(candidate);
  auto range = barred.begin();
  for (;;) {
    while (range != barred.end() && range->last < candidate) ++range;
    const bool is_barred = range != barred.end() && range->first <= candidate;
    if (is_barred) {
      if (range->last >= last) return std::nullopt;
      candidate = range->last.plus(1);
      other = held.lower_bound(candidate);
      continue;
    }
    if (other == held.end() || other->first != candidate) break;
    if (candidate >= last) return std::nullopt;
    candidate = candidate.plus(1);
    ++other;
  }
  if (also.empty()) place->second = candidate;
  return candidate;
}

void PeerIndex::forget_places(model::NetworkId network) {
  const auto found = networks_.find(network);
  if (found != networks_.end()) found->second.places.clear();
}

}  // namespace warren::control
