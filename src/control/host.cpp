// What the host and the engines must be, computed from the state.
//
// Reconciling is for all networks at once. A network that cannot be made is left out, and what was
// made of it removed. Where it is not known whose failure it is, one network would keep the others
// from being right: then the culprit is looked for. Networks whose objects are all in place are
// never touched meanwhile: only those that need a change are candidates for being left out. First
// each candidate alone, which finds a single culprit; if there are several, the candidates are
// added one by one.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"
#include "plan/steps.hpp"

namespace warren::control {

namespace {

/// The networks of which the host lacks something, or has it differently.
base::Result<std::vector<plan::HostNetwork>> incomplete(
    plan::Host& host, const std::vector<plan::HostNetwork>& networks) {
  WARREN_TRY_ASSIGN(const plan::Observed observed, host.observe());
  std::vector<plan::HostNetwork> out;
  for (const plan::HostNetwork& network : networks) {
    const auto facts = plan::desired_facts({network}, observed.environment);
    const bool complete = std::ranges::all_of(facts, [&](const plan::Fact& fact) {
      return std::ranges::find(observed.facts, fact) != observed.facts.end();
    });
    if (!complete) out.push_back(network);
  }
  return out;
}

std::vector<plan::HostNetwork> without(std::vector<plan::HostNetwork> networks,
                                       const plan::HostNetwork& left_out) {
  std::erase(networks, left_out);
  return networks;
}

}  // namespace

std::vector<plan::HostNetwork> Control::Impl::desired_host() const {
  std::vector<plan::HostNetwork> desired;
  for (const auto& [id, stored] : state.networks) {
    if (unapplied.contains(id)) continue;
    desired.push_back(host_network(stored.network));
  }
  return desired;
}

base::Status Control::Impl::reconcile_host() {
  known_segments = present_segments();
  const auto steps = plan::reconcile(deps.host, desired_host());
  if (!steps) return steps.error();
  return {};
}

void Control::Impl::reconcile_what_can_be() {
  known_segments = present_segments();
  const std::vector<plan::HostNetwork> all = desired_host();
  const auto leave_out = [&](const plan::HostNetwork& network, const std::string& why) {
    unapplied.insert(network.id);
    problems[network.id] = why;
  };
  const auto whole = plan::reconcile_each(deps.host, all);
  if (whole) {
    for (const plan::LeftOut& failed : *whole) {
      const auto network = std::ranges::find(all, failed.netns, &plan::HostNetwork::netns_name);
      if (network != all.end()) leave_out(*network, with_remedy(failed.error));
    }
    if (!whole->empty()) reconcile_the_rest();
    return;
  }
  const auto candidates = incomplete(deps.host, all);
  if (!candidates || candidates->empty()) {
    // The host cannot be read, or what cannot be done concerns no network (a removal).
    host_to_reconcile = true;
    host_problem = with_remedy(whole.error());
    return;
  }
  for (const plan::HostNetwork& candidate : *candidates) {
    if (!plan::reconcile(deps.host, without(all, candidate))) continue;
    return leave_out(candidate, with_remedy(whole.error()));
  }
  std::vector<plan::HostNetwork> good = all;
  for (const plan::HostNetwork& candidate : *candidates) std::erase(good, candidate);
  for (const plan::HostNetwork& candidate : *candidates) {
    good.push_back(candidate);
    const auto done = plan::reconcile(deps.host, good);
    if (done) continue;
    good.pop_back();
    leave_out(candidate, with_remedy(done.error()));
  }
  reconcile_the_rest();
}

void Control::Impl::reconcile_the_rest() {
  if (const base::Status rest = reconcile_host(); !rest) {
    host_to_reconcile = true;
    host_problem = with_remedy(rest.error());
  }
}

EnginePeer Control::Impl::engine_peer(const model::Peer& peer) {
  EnginePeer out;
  if (peer.public_key) out.public_key = *peer.public_key;
  for (const auto& address : {peer.address4, peer.address6}) {
    if (address) out.allowed_ips.push_back(base::Prefix::host(*address));
  }
  return out;
}

std::vector<EnginePeer> Control::Impl::members_for_engine(model::NetworkId id) const {
  std::vector<EnginePeer> peers;
  const base::WallTime now = deps.clock.wall();
  for (const auto& [peer_id, peer] : index.in(id)) {
    const bool member = peer->state == model::PeerState::Enrolled && !peer->is_over(now);
    if (member) peers.push_back(engine_peer(*peer));
  }
  return peers;
}

base::Status Control::Impl::start_engine(model::NetworkId id) {
  const store::StoredNetwork& stored = state.networks.at(id);
  if (stored.network.stopped) return {};
  return deps.engines.start(stored, members_for_engine(id)).within("start its engine");
}

void Control::Impl::start_engines() {
  std::deque<model::NetworkId> starting;
  const auto note = [this](model::NetworkId id, base::Status running) {
    if (running) return;
    engineless.insert(id);
    problems[id] = with_remedy(std::move(running).within("start its engine").error());
  };
  const auto finish_first = [&] {
    const model::NetworkId id = starting.front();
    starting.pop_front();
    note(id, deps.engines.finish_start(id));
  };
  for (const auto& [id, stored] : state.networks) {
    if (unapplied.contains(id) || stored.network.stopped) continue;
    unseen.insert(id);
    base::Status begun = deps.engines.begin_start(stored, members_for_engine(id));
    if (begun) {
      starting.push_back(id);
    } else {
      note(id, std::move(begun));
    }
    if (starting.size() >= kEnginesStartedTogether) finish_first();
  }
  while (!starting.empty()) finish_first();
}

}  // namespace warren::control
