// What people and scripts see: the state joined with what the engines know.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

std::string text_of(const std::optional<base::Prefix>& prefix) {
  return prefix ? prefix->to_string() : std::string();
}

std::string text_of(const std::optional<base::IpAddress>& address) {
  return address ? address->to_string() : std::string();
}

std::string_view to_string(EngineState state) {
  switch (state) {
    case EngineState::Running:
      return "running";
    case EngineState::Restarting:
      return "restarting";
    case EngineState::Stopped:
      return "stopped";
  }
  return "stopped";
}

}  // namespace

Control::Impl::EnginePeers Control::Impl::engine_peers(model::NetworkId network) {
  EnginePeers peers;
  // An engine that does not answer is shown as such by its state; the rest of a view is still
  // right.
  const auto answer = deps.engines.peers(network);
  if (!answer) return peers;
  for (const EnginePeerStatus& peer : *answer) peers.emplace(peer.public_key, peer);
  return peers;
}

api::NetworkView Control::Impl::network_view(const model::Network& network) {
  api::NetworkView view;
  view.id = network.id.hex();
  view.name = network.name;
  view.subnet = text_of(network.subnet4);
  view.subnet6 = text_of(network.subnet6);
  view.gateway = text_of(network.gateway4());
  view.gateway6 = text_of(network.gateway6());
  view.port = network.port;
  view.endpoint = host_port(network.endpoint_host, network.port);
  view.interface_name = network.id.interface_name();
  view.netns = plan::host_network(network, settings.transit).netns_name();
  view.public_key = network.gateway_key.base64();
  for (const base::IpAddress& server : network.dns) view.dns.push_back(server.to_string());
  view.nat = network.nat;
  const EnginePeers live = engine_peers(network.id);
  const base::WallTime now = deps.clock.wall();
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state != model::PeerState::Enrolled) continue;
    ++view.peers;
    const auto known = peer->public_key ? live.find(*peer->public_key) : live.end();
    if (known == live.end() || known->second.last_handshake.ns == 0) continue;
    if (now - known->second.last_handshake < kConnectedFor) ++view.connected;
  }
  view.engine = to_string(deps.engines.state(network.id));
  if (const auto said = deps.engines.report(network.id)) {
    auto& report = view.engine_report.emplace(api::EngineReport{said->features, {}});
    for (const auto& [name, value] : said->counters) report.counters.push_back({name, value});
  }
  view.created = network.created.seconds();
  view.stopped = network.stopped;
  view.default_role = default_role(network);
  for (const model::Role& role : network.roles) view.roles.push_back(role.name);
  view.max_members = network.max_members;
  view.max_devices = network.max_devices;
  view.policy = policy_of(network) != nullptr;
  view.attach = network.attach;
  view.host_access = network.host_access;
  view.names = network.names;
  for (const base::IpAddress& address : network.listen) view.listen.push_back(address.to_string());
  for (const base::IpAddress& forwarder : network.forwarders) {
    view.forwarders.push_back(forwarder.to_string());
  }
  view.warnings = name_warnings(network);
  for (const model::AddressRange& range : network.reserved) {
    view.reserved.push_back(range.to_string());
  }
  return view;
}

Control::Impl::Known Control::Impl::known_of(model::NetworkId network) {
  Known known{.live = engine_peers(network), .tokens = {}};
  const base::WallTime now = deps.clock.wall();
  for (const model::Token& token : state.tokens) {
    if (token.network != network || token.expires <= now) continue;
    base::WallTime& end = known.tokens[token.peer];
    end = std::max(end, token.expires);
  }
  return known;
}

std::string_view Control::Impl::shown_state(const model::Peer& peer, const Known& known) {
  if (peer.state == model::PeerState::Revoked && peer.expires.ns != 0) return "expired";
  if (peer.state == model::PeerState::Invited && !known.tokens.contains(peer.id)) {
    return peer.by_hand ? "waits-for-key" : "expired";
  }
  return model::to_string(peer.state);
}

api::PeerView Control::Impl::peer_view(const model::Network& network, const model::Peer& peer,
                                       const Known& known) const {
  api::PeerView view;
  view.network = network.name;
  view.name = peer.name;
  view.role = peer.role;
  view.person = peer.person;
  view.state = shown_state(peer, known);
  view.address = text_of(peer.address4);
  view.address6 = text_of(peer.address6);
  if (peer.public_key) {
    view.public_key = peer.public_key->base64();
    if (const auto live = known.live.find(*peer.public_key); live != known.live.end()) {
      const EnginePeerStatus& status = live->second;
      if (status.endpoint) view.endpoint = status.endpoint->to_string();
      view.last_handshake = status.last_handshake.seconds();
      view.rx_bytes = status.rx_bytes;
      view.tx_bytes = status.tx_bytes;
    }
  }
  view.invited = peer.invited.seconds();
  view.enrolled = peer.enrolled.seconds();
  view.revoked = peer.revoked.seconds();
  view.expires = peer.expires.seconds();
  if (const auto lease = leases.find(peer.id); lease != leases.end() && peer.is_ephemeral()) {
    view.lease_s = peer.lease_s;
    const auto left =
        std::chrono::duration_cast<std::chrono::seconds>(lease->second - deps.clock.now());
    view.lease_left_s = static_cast<std::uint32_t>(std::max<std::int64_t>(left.count(), 0));
  }
  view.alternates = alternating_endpoints(peer);
  const auto token = known.tokens.find(peer.id);
  const bool invited = peer.state == model::PeerState::Invited && token != known.tokens.end();
  if (view.expires == 0 && invited) view.expires = token->second.seconds();
  return view;
}

base::Result<api::PeerList> Control::Impl::list_peers(const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  const Known known = known_of(network.id);
  api::PeerList list;
  for (const bool revoked : {false, true}) {  // those that are out come last
    std::vector<const model::Peer*> peers;
    for (const auto& [id, peer] : index.in(network.id)) {
      if ((peer->state == model::PeerState::Revoked) == revoked) peers.push_back(peer);
    }
    std::ranges::stable_sort(peers, {}, &model::Peer::name);
    for (const model::Peer* peer : peers) list.peers.push_back(peer_view(network, *peer, known));
  }
  return list;
}

base::Result<api::PeerView> Control::Impl::show_peer(const std::string& network_name,
                                                     const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* shown = current_peer(network.id, name);
  // A name that is free again shows who had it last.
  if (shown == nullptr) {
    for (const auto& [id, peer] : index.in(network.id)) {
      if (peer->name == name) shown = peer;
    }
  }
  if (shown == nullptr) return unknown_peer(network, name);
  return peer_view(network, *shown, known_of(network.id));
}

std::vector<std::string> Control::Impl::problem_texts() const {
  std::vector<std::string> texts;
  for (const auto& [id, problem] : problems) {
    const auto stored = state.networks.find(id);
    const auto deleted = engines_to_stop.find(id);
    std::string name = id.hex();
    if (deleted != engines_to_stop.end()) name = deleted->second + " (deleted)";
    if (stored != state.networks.end()) name = stored->second.network.name;
    texts.push_back(fmt::format("network {}: {}", name, problem));
  }
  for (const auto& [id, stored] : state.networks) {
    if (deps.names == nullptr || !stored.network.names || stored.network.stopped) continue;
    const std::string problem = deps.names->problem(id);
    if (problem.empty()) continue;
    texts.push_back(fmt::format("network {}: its names: {}", stored.network.name, problem));
  }
  if (host_to_reconcile) {
    texts.push_back("the host is not yet as it should be: " + host_problem);
  }
  for (const auto& [id, stored] : state.networks) {
    if (const base::Status here = check_segment(stored.network); !here && !unapplied.contains(id)) {
      texts.push_back(
          fmt::format("network {}: {}", stored.network.name, with_remedy(here.error())));
    }
  }
  for (const auto& [network, key] : keys_to_remove) {
    texts.push_back(fmt::format("network {}: a peer that was not admitted is being removed",
                                state.networks.contains(network)
                                    ? state.networks.at(network).network.name
                                    : network.hex()));
  }
  for (const auto& [id, peer] : state.peers) {
    if (peer.state != model::PeerState::Revoked || (!peer.address4 && !peer.address6)) continue;
    texts.push_back(fmt::format("network {}: {} is revoked but not every way in is closed yet",
                                state.networks.at(peer.network).network.name, peer.name));
  }
  return texts;
}

api::Status Control::Impl::status() {
  api::Status status;
  status.version = WARREN_VERSION;
  status.state_dir = settings.state_dir;
  status.started = started.seconds();
  status.networks = static_cast<std::uint32_t>(state.networks.size());
  status.peers =
      static_cast<std::uint32_t>(std::ranges::count_if(state.peers, [](const auto& entry) {
        return entry.second.state == model::PeerState::Enrolled;
      }));
  status.problems = problem_texts();
  for (const auto& [id, stored] : state.networks) {
    const EngineState engine = deps.engines.state(id);
    if (engine == EngineState::Running || problems.contains(id)) continue;
    if (stored.network.stopped) continue;
    status.problems.push_back(
        fmt::format("network {}: its engine is {}", stored.network.name, to_string(engine)));
  }
  status.ready = status.problems.empty();
  for (const auto& [id, seen] : sources) {
    const auto peer = state.peers.find(id);
    if (peer == state.peers.end()) continue;
    const std::vector<std::string> places = alternating_endpoints(peer->second);
    if (places.empty()) continue;
    status.problems.push_back(fmt::format(
        "network {}: {} alternates between {} and {}: its key is used in two places at once",
        state.networks.at(peer->second.network).network.name, peer->second.name, places[0],
        places[1]));
  }
  return status;
}

}  // namespace warren::control
