// Revocation: a member is out, on every way in, before the answer is given.
//
// Order: the denial is committed (state, refused key, tokens, forwards); the engine forgets the
// peer; the network's policy does, where it has one; its connections in the network's namespace are
// flushed; the ports that led to it are closed; the lists of revoked certificates are signed, where
// it had one; then its addresses are free, which is the second
// and last commit. It need not wait for the disk: a start that does not find it closes the same
// ways once more. Until then the revoked peer keeps its addresses in the state. That is what marks
// it as pending, after a crash too, and what keeps the addresses from being given out. Each step is
// tried even when the one before failed; the addresses are freed only after all.
#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

bool is_pending(const model::Peer& peer) {
  return peer.state == model::PeerState::Revoked && (peer.address4 || peer.address6);
}

/// Milliseconds since the last call.
double lap_ms(Clock& clock, base::Instant& since) {
  const base::Instant now = clock.now();
  const std::chrono::duration<double, std::milli> lap = now - since;
  since = now;
  return lap.count();
}

}  // namespace

base::Result<api::Revocation> Control::Impl::revoke(const Request& request,
                                                    const std::string& network_name,
                                                    const std::string& name) {
  const base::Instant began = deps.clock.now();
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  const model::Peer* current = current_peer(network.id, name);
  if (current == nullptr) {
    const PeerIndex::ById& peers = index.in(network.id);
    const auto earlier =
        std::ranges::find_if(peers, [&](const auto& entry) { return entry.second->name == name; });
    if (earlier == peers.end()) return unknown_peer(network, name);
    return make_error(ErrorKind::Conflict,
                      fmt::format("{} was revoked already, at {}", name,
                                  utc_text(earlier->second->revoked.seconds())),
                      is_pending(*earlier->second) ? "it is still being closed: see `warren status`"
                                                   : "nothing is left to do");
  }
  const model::PeerId id = current->id;
  model::Peer denied = *current;
  denied.expires = {};
  denied.lease_s = 0;  // whom somebody puts out is remembered
  WARREN_TRY(commit_revocation(request, std::move(denied)));
  api::Revocation report{.network = network.name, .name = name};
  base::Instant since = began;
  report.steps.push_back({"committed", lap_ms(deps.clock, since)});
  close_ways_in(request, id, since, report);
  const std::chrono::duration<double, std::milli> total = since - began;
  report.total_ms = total.count();
  return report;
}

std::vector<plan::HostForward> Control::Impl::deny(model::Peer peer,
                                                   std::vector<store::Change>& changes) const {
  if (peer.state == model::PeerState::Invited) {
    // It never had a way in: there is nothing to close.
    peer.address4.reset();
    peer.address6.reset();
  }
  if (peer.public_key && !peer.is_over(peer.revoked)) {
    changes.emplace_back(store::RefuseKey{
        {.network = peer.network, .key = *peer.public_key, .since = peer.revoked}});
  }
  peer.state = model::PeerState::Revoked;
  certificates->deny_all(peer.id, peer.revoked, changes);
  changes.emplace_back(store::PutPeer{peer});
  changes.emplace_back(store::DeleteTokensOf{peer.id});
  changes.emplace_back(store::DeleteForwardsOf{peer.id});
  std::vector<plan::HostForward> forwards;
  for (const auto& [from, forward] : state.forwards) {
    if (forward.peer == peer.id) forwards.push_back(host_forward(forward));
  }
  return forwards;
}

base::Status Control::Impl::commit_revocation(const Request& request, model::Peer peer) {
  peer.revoked = deps.clock.wall();
  const model::PeerId id = peer.id;
  std::vector<store::Change> changes;
  std::vector<plan::HostForward> forwards = deny(std::move(peer), changes);
  WARREN_TRY(commit(changes, request));
  if (!forwards.empty()) forwards_to_close[id] = std::move(forwards);
  return {};
}

void Control::Impl::close_ways_in(const Request& request, model::PeerId id, base::Instant& since,
                                  api::Revocation& report) {
  model::Peer peer = state.peers.at(id);
  const auto step = [&](const char* name, const base::Status& done) {
    const double ms = lap_ms(deps.clock, since);
    if (done || done.error().kind == ErrorKind::NotFound) {
      report.steps.push_back({name, ms});
    } else {
      report.pending.push_back(std::string(name) + ": " + done.error().message);
    }
  };
  if (is_pending(peer)) {
    if (peer.public_key) {
      step("engine", deps.engines.remove_peer(peer.network, *peer.public_key));
    }
    if (policy_of(state.networks.at(peer.network).network) != nullptr) {
      step("policy", change_membership(peer, false));
    }
    const model::Network& network = state.networks.at(peer.network).network;
    if (!network.attach.empty()) step("segment", change_attachment(peer, false));
    std::vector<base::IpAddress> addresses;
    for (const auto& address : {peer.address4, peer.address6}) {
      if (address) addresses.push_back(*address);
    }
    const auto flushed =
        deps.host.flush_connections(plan::host_network(network, settings.transit), addresses);
    step("connections", flushed ? base::Status() : base::Status(flushed.error()));
    if (forwards_to_close.contains(id)) step("forwards", close_forwards(peer));
    if (certificates->awaits_lists(peer.network)) {
      step("certificates", certificates->sign_lists(peer.network));
    }
    if (!report.pending.empty()) return;
    peer.address4.reset();
    peer.address6.reset();
    const store::Change free = peer.is_ephemeral() ? store::Change(store::DeletePeer{peer.id})
                                                   : store::Change(store::PutPeer{peer});
    step("address", commit_soon({free}, {request.actor, "peer.revoke.closed", request.target}));
  } else {
    if (forwards_to_close.contains(id)) step("forwards", close_forwards(peer));
    if (certificates->awaits_lists(peer.network)) {
      step("certificates", certificates->sign_lists(peer.network));
    }
    step("address", {});
  }
}

bool Control::Impl::end_memberships() {
  const base::WallTime now = deps.clock.wall();
  const base::Instant instant = deps.clock.now();
  std::vector<model::Peer> over;
  for (const auto& [id, peer] : state.peers) {
    if (peer.state == model::PeerState::Revoked) continue;
    if (peer.is_over(now)) over.push_back(peer);
    if (!lease_is_over(peer, instant)) continue;
    over.push_back(peer);
    over.back().expires = now;
  }
  bool all_recorded = true;
  for (const model::Peer& peer : over) {
    const std::string& network = state.networks.at(peer.network).network.name;
    const Request request{"daemon", peer.lease_s != 0 ? "peer.lease-end" : "peer.expire",
                          network + "/" + peer.name};
    if (const base::Status done = commit_revocation(request, peer); !done) {
      all_recorded = false;
      log(base::LogLevel::Error, fmt::format("network={} peer={} expired but not recorded: {}",
                                             network, peer.name, done.error().message));
    }
  }
  return all_recorded;
}

bool Control::Impl::retry_revocations() {
  std::vector<model::Peer> pending;
  for (const auto& [id, peer] : state.peers) {
    if (is_pending(peer) || forwards_to_close.contains(id)) pending.push_back(peer);
  }
  bool all_closed = true;
  for (const model::Peer& peer : pending) {
    const std::string& network = state.networks.at(peer.network).network.name;
    api::Revocation report;
    base::Instant since = deps.clock.now();
    close_ways_in({"daemon", "peer.revoke", network + "/" + peer.name}, peer.id, since, report);
    all_closed = all_closed && report.pending.empty();
  }
  return all_closed;
}

}  // namespace warren::control
