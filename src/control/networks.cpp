// Making and deleting networks.
//
// Making is a grant: committed, then applied (host, then engine); when a part fails everything is
// undone in reverse and the error says why, and what could not be undone. Deleting is a denial:
// committed first and never undone; what fails is retried.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "control/certificates.hpp"
#include "control/names.hpp"
#include "pki/wg_keys.hpp"

namespace warren::control {

namespace {

/// Ending what is not there is done.
base::Status unless_absent(base::Status status) {
  if (!status && status.error().kind == base::ErrorKind::NotFound) return {};
  return status;
}

}  // namespace

base::Result<api::NetworkView> Control::Impl::create_network(const Request& request,
                                                             const api::NetworkCreate& wanted) {
  WARREN_TRY_ASSIGN(const model::Network chosen, choose_network(wanted));
  const pki::WgKeys keys = pki::create_wg_keys(deps.random);
  store::StoredNetwork stored{chosen, keys.private_key};
  stored.network.gateway_key = keys.public_key;
  WARREN_TRY_ASSIGN(std::vector<store::Change> authority,
                    certificates->new_authority(chosen, 1, wanted.ca_certificates, wanted.ca_key));
  std::vector<store::Change> changes{store::PutNetwork{stored}};
  std::ranges::move(authority, std::back_inserter(changes));
  WARREN_TRY(commit(changes, request));

  std::vector<std::string> warnings;
  base::Status applied = reconcile_host();
  if (applied && chosen.nat) applied = check_way_out(chosen, warnings);
  if (applied && !chosen.attach.empty()) check_bridge(chosen, warnings);
  if (!applied) return undo_create(request, chosen, std::move(applied).error());
  applied = start_engine(chosen.id);
  if (!applied) {
    base::Error reason = std::move(applied).error();
    if (const auto stopped = unless_absent(deps.engines.stop(chosen.id)); !stopped) {
      engines_to_stop[chosen.id] = chosen.name;
      reason.message += "; its engine could not be stopped: " + stopped.error().message;
    }
    return undo_create(request, chosen, std::move(reason));
  }
  if (chosen.names) {
    if (base::Status answered = apply_names(chosen.id); !answered) {
      end_engine(chosen);
      return undo_create(request, chosen, std::move(answered).error());
    }
  }
  api::NetworkView view = network_view(stored.network);
  std::ranges::move(warnings, std::back_inserter(view.warnings));
  std::ranges::move(warnings_of(chosen), std::back_inserter(view.warnings));
  return view;
}

void Control::Impl::end_engine(const model::Network& network) {
  engineless.erase(network.id);
  base::Status stopped = unless_absent(deps.engines.stop(network.id));
  if (stopped && network.stopped) stopped = stop_names(network.id);
  if (stopped) return;
  engines_to_stop[network.id] = network.name;
  problems[network.id] = "stop its engine: " + stopped.error().message;
}

base::Error Control::Impl::undo_create(const Request& request, const model::Network& network,
                                       base::Error reason) {
  const Request undo{request.actor, "network.create.undo", request.target};
  deps.engines.forget(network.id);
  if (const base::Status gone = commit(certificates->deletion(network.id), undo); !gone) {
    unapplied.insert(network.id);
    creations_to_undo.insert(network.id);
    problems[network.id] = "it could not be made and is being removed: " + reason.message;
    reason.message += "; it could not be removed from the state: " + gone.error().message;
  }
  if (const base::Status silent = stop_names(network.id); !silent) {
    engines_to_stop[network.id] = network.name;
    reason.message += "; its name server could not be stopped: " + silent.error().message;
  }
  if (const base::Status restored = reconcile_host(); !restored) {
    host_to_reconcile = true;
    host_problem = restored.error().message;
    reason.message += "; the host could not be restored: " + restored.error().message;
  }
  return reason;
}

base::Status Control::Impl::delete_network(const Request& request, const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  WARREN_TRY(commit(certificates->deletion(network.id), request));
  unapplied.erase(network.id);
  problems.erase(network.id);
  creations_to_undo.erase(network.id);
  engineless.erase(network.id);
  engines_to_stop[network.id] = network.name;
  host_to_reconcile = true;
  retry_networks();
  if (!engines_to_stop.contains(network.id) && !host_to_reconcile) return {};
  const std::string left = problems.contains(network.id) ? problems.at(network.id) : host_problem;
  return base::make_error(base::ErrorKind::Failed,
                          "it is deleted, but not everything of it is gone yet: " + left,
                          "the daemon goes on trying; `warren status` shows what is left");
}

bool Control::Impl::retry_networks() {
  std::erase_if(creations_to_undo, [&](model::NetworkId id) {
    const auto stored = state.networks.find(id);
    if (stored == state.networks.end()) return true;
    const Request undo{"daemon", "network.create.undo", stored->second.network.name};
    if (!commit(certificates->deletion(id), undo)) return false;
    unapplied.erase(id);
    problems.erase(id);
    return true;
  });
  std::erase_if(engines_to_stop, [&](const auto& entry) {
    base::Status stopped = unless_absent(deps.engines.stop(entry.first));
    if (stopped) stopped = stop_names(entry.first);
    if (!stopped) problems[entry.first] = "stop its engine: " + stopped.error().message;
    if (stopped) problems.erase(entry.first);
    if (stopped && !state.networks.contains(entry.first)) deps.engines.forget(entry.first);
    return stopped.has_value();
  });
  std::erase_if(keys_to_remove, [&](const auto& entry) {
    for (const auto& [id, peer] : state.peers) {
      const bool admitted = peer.state == model::PeerState::Enrolled;
      if (admitted && peer.network == entry.first && peer.public_key == entry.second) return true;
    }
    return unless_absent(deps.engines.remove_peer(entry.first, entry.second)).has_value();
  });
  if (host_to_reconcile) {
    const base::Status restored = reconcile_host();
    host_to_reconcile = !restored;
    host_problem = restored ? "" : restored.error().message;
  }
  return creations_to_undo.empty() && engines_to_stop.empty() && keys_to_remove.empty() &&
         !host_to_reconcile;
}

bool Control::Impl::bring_up_the_rest() {
  const std::set<model::NetworkId> missing = unapplied;
  for (const model::NetworkId id : missing) {
    if (creations_to_undo.contains(id)) continue;
    unapplied.erase(id);
    if (const base::Status done = reconcile_host(); !done) {
      unapplied.insert(id);
      problems[id] = with_remedy(done.error());
      continue;
    }
    engineless.insert(id);
    if (deps.names != nullptr) deps.names->changed(id);
  }
  std::erase_if(engineless, [&](model::NetworkId id) {
    const base::Status running = start_engine(id);
    if (running) problems.erase(id);
    if (!running) problems[id] = running.error().message;
    return running.has_value();
  });
  return unapplied.empty() && engineless.empty();
}

}  // namespace warren::control
