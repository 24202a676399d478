#include "gateway/engine_configuration.hpp"

#include <algorithm>

namespace warren::gateway {

namespace {

std::vector<base::Prefix> sorted(std::vector<base::Prefix> prefixes) {
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

ipc::UapiPeer wanted_peer(const base::PublicKey& key, const std::vector<base::Prefix>& prefixes) {
  ipc::UapiPeer peer{.public_key = key, .replace_allowed_ips = true};
  for (const base::Prefix& prefix : prefixes) peer.allowed_ips.push_back({.prefix = prefix});
  return peer;
}

}  // namespace

ipc::UapiSet EngineConfiguration::whole(std::uint32_t mark) const {
  ipc::UapiSet set;
  set.private_key = private_key.clone();
  set.listen_port = port;
  if (mark != 0) set.fwmark = mark;
  set.replace_peers = true;
  for (const auto& [key, prefixes] : peers) set.peers.push_back(wanted_peer(key, prefixes));
  return set;
}

EngineConfiguration::Difference EngineConfiguration::difference_to(
    const ipc::UapiStatus& running) const {
  ipc::UapiSet denials;
  ipc::UapiSet grants;
  std::map<base::PublicKey, const ipc::UapiPeerStatus*> present;
  for (const ipc::UapiPeerStatus& peer : running.peers) {
    present[peer.public_key] = &peer;
    if (!peers.contains(peer.public_key))
      denials.peers.push_back({.public_key = peer.public_key, .remove = true});
  }
  for (const auto& [key, prefixes] : peers) {
    const auto found = present.find(key);
    if (found != present.end() && sorted(found->second->allowed_ips) == sorted(prefixes)) continue;
    grants.peers.push_back(wanted_peer(key, prefixes));
  }
  const bool other_key = !running.private_key.equals(private_key);
  const bool other_port = running.listen_port != port;
  if (other_key) grants.private_key = private_key.clone();
  if (other_port) grants.listen_port = port;

  Difference out;
  const bool any_grant = !grants.peers.empty() || other_key || other_port;
  if (!denials.peers.empty()) out.denials = std::move(denials);
  if (any_grant) out.grants = std::move(grants);
  return out;
}

}  // namespace warren::gateway
