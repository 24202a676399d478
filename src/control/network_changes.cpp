// Changing a network that is there: its settings, and whether its engine runs.
//
// A change of settings is a grant: committed, applied to the host, undone when that fails. None
// touches the engine, so that sessions and their counters stay. Stopping is a denial: committed
// first, retried until the engine is gone; a daemon that starts finds it in the state. Starting is
// a grant. Keys, port, addresses, namespace and forwards stay through all of it.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Error fixed(std::string_view what, const std::string& is, const std::string& wanted,
                  const char* why) {
  return make_error(
      ErrorKind::Conflict,
      fmt::format("its {} is {} and cannot become {}: {}", what, is, one_line(wanted, 80), why),
      "make another network and let the members join that");
}

std::string text_of(const std::optional<base::Prefix>& subnet) {
  return subnet ? subnet->to_string() : "none";
}

constexpr const char* kMembersHaveAddresses = "its members hold addresses of it";

base::Status check_fixed(const model::Network& network, const api::NetworkSet& wanted) {
  const auto same = [](const std::string& text, const std::optional<base::Prefix>& subnet) {
    return subnet ? base::Prefix::parse(text) == subnet : text == "none";
  };
  if (wanted.subnet && !same(*wanted.subnet, network.subnet4)) {
    return fixed("IPv4 subnet", text_of(network.subnet4), *wanted.subnet, kMembersHaveAddresses);
  }
  if (wanted.subnet6 && !same(*wanted.subnet6, network.subnet6)) {
    return fixed("IPv6 subnet", text_of(network.subnet6), *wanted.subnet6, kMembersHaveAddresses);
  }
  if (wanted.port && *wanted.port != network.port) {
    return fixed("port", std::to_string(network.port), std::to_string(*wanted.port),
                 "its members dial it");
  }
  for (const std::string& text : wanted.gateway_addresses.value_or(std::vector<std::string>{})) {
    const auto address = base::IpAddress::parse(text);
    if (address && (address == network.gateway4() || address == network.gateway6())) continue;
    const auto own = address && address->is_v6() ? network.gateway6() : network.gateway4();
    return fixed("gateway address", own ? own->to_string() : "none", text,
                 "its members route and resolve by it");
  }
  return {};
}

}  // namespace

base::Status Control::Impl::commit_network(const Request& request, const model::Network& network) {
  store::StoredNetwork stored = state.networks.at(network.id);
  stored.network = network;
  return commit({store::PutNetwork{stored}}, request);
}

base::Status Control::Impl::check_reserved(const model::Network& network) const {
  for (const auto& [address, peer] : index.addresses(network.id)) {
    const auto range = std::ranges::find_if(
        network.reserved,
        [&](const model::AddressRange& reserved) { return reserved.contains(address); });
    if (range == network.reserved.end()) continue;
    return make_error(ErrorKind::Conflict,
                      fmt::format("the range {} holds {}, the address of {}", range->to_string(),
                                  address.to_string(), peer->name),
                      "reserve around it, or revoke that member first");
  }
  return {};
}

base::Result<model::Network> Control::Impl::changed_network(const model::Network& network,
                                                            const api::NetworkSet& wanted) const {
  WARREN_TRY(check_fixed(network, wanted));
  model::Network next = network;
  if (wanted.endpoint) WARREN_TRY(set_endpoint(*wanted.endpoint, next));
  if (wanted.dns) WARREN_TRY(set_dns(*wanted.dns, next));
  if (wanted.nat) next.nat = *wanted.nat;
  if (next.nat && !network.nat) WARREN_TRY(check_may_change_host("a way out of the network", ""));
  if (wanted.forwarders) WARREN_TRY(set_forwarders(*wanted.forwarders, next));
  if (wanted.names) {
    next.names = *wanted.names;
    WARREN_TRY(check_names(next));
  }
  if (wanted.reserve) {
    WARREN_TRY(choose_reserved(*wanted.reserve, next));
    WARREN_TRY(check_reserved(next));
  }
  if (wanted.default_role) {
    WARREN_TRY_ASSIGN(const model::Role role, role_for(next, *wanted.default_role));
    next.default_role = role.name;
  }
  if (wanted.host_access.value_or(false) && !network.host_access) {
    WARREN_TRY(check_host_access(next));
    WARREN_TRY(check_may_change_host("a path between the network and its host", ""));
  }
  if (wanted.host_access) next.host_access = *wanted.host_access;
  if (wanted.max_members) next.max_members = *wanted.max_members;
  if (wanted.max_devices) next.max_devices = *wanted.max_devices;
  return next;
}

base::Result<api::NetworkView> Control::Impl::set_network(const Request& request,
                                                          const std::string& name,
                                                          const api::NetworkSet& wanted) {
  WARREN_TRY_ASSIGN(const model::Network before, find_network(name));
  WARREN_TRY_ASSIGN(const model::Network next, changed_network(before, wanted));
  if (next == before) return network_view(before);
  WARREN_TRY(commit_network(request, next));
  const bool names_change = next.names != before.names || next.forwarders != before.forwarders;
  const bool paths_change = next.nat != before.nat || next.host_access != before.host_access;
  if (!paths_change && !names_change) return network_view(next);

  std::vector<std::string> warnings;
  base::Status applied = reconcile_host();
  if (applied && next.nat && !before.nat) applied = check_way_out(next, warnings);
  if (applied && names_change) applied = apply_names(next.id);
  // Whom the name server asks, and who asks it, follows from the paths; they stand without it.
  if (applied && !names_change && next.names) std::ignore = apply_names(next.id);
  if (applied) {
    api::NetworkView view = network_view(next);
    std::ranges::move(warnings, std::back_inserter(view.warnings));
    return view;
  }
  base::Error reason = std::move(applied).error();
  const Request undo{request.actor, "network.set.undo", request.target};
  base::Status undone = commit_network(undo, before);
  if (undone) undone = reconcile_host();
  if (undone && names_change) undone = apply_names(before.id);
  if (!undone) {
    host_to_reconcile = true;
    host_problem = undone.error().message;
    reason.message += "; it could not be undone: " + undone.error().message;
  }
  return reason;
}

base::Result<api::NetworkView> Control::Impl::stop_network(const Request& request,
                                                           const std::string& name) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(name));
  if (!network.stopped) {
    network.stopped = true;
    WARREN_TRY(commit_network(request, network));
    problems.erase(network.id);
    end_engine(network);
  }
  if (!engines_to_stop.contains(network.id)) return network_view(network);
  return make_error(ErrorKind::Failed,
                    "it is stopped, but its engine is not gone yet: " + problems[network.id],
                    "the daemon goes on trying; `warren status` shows what is left");
}

base::Result<api::NetworkView> Control::Impl::start_network(const Request& request,
                                                            const std::string& name) {
  WARREN_TRY_ASSIGN(model::Network network, find_network(name));
  if (!network.stopped) return network_view(network);
  if (engines_to_stop.contains(network.id)) {
    end_engine(network);
    if (engines_to_stop.contains(network.id)) {
      return make_error(ErrorKind::Failed, "its former engine is not gone: " + problems[network.id],
                        "`warren status` shows what is left");
    }
  }
  network.stopped = false;
  WARREN_TRY(commit_network(request, network));
  base::Status started_now;
  if (unapplied.contains(network.id)) {
    started_now = make_error(ErrorKind::Unavailable,
                             "its host objects are not in place: " + problems[network.id]);
  } else {
    started_now = start_engine(network.id);
  }
  if (started_now) return network_view(network);

  base::Error reason = std::move(started_now).error();
  network.stopped = true;
  const Request undo{request.actor, "network.start.undo", request.target};
  if (const base::Status undone = commit_network(undo, network); !undone) {
    engineless.insert(network.id);  // it shall run then
    problems[network.id] = reason.message;
    reason.message += "; it could not be undone: " + undone.error().message;
  }
  return reason;
}

base::Result<api::NetworkView> Control::Impl::restart_network(const Request& request,
                                                              const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(name));
  if (network.stopped) return start_network(request, name);
  WARREN_TRY(commit({}, request));
  end_engine(network);
  if (engines_to_stop.erase(network.id) != 0) {
    // It goes on as it was; nothing is to be retried.
    const std::string why = problems[network.id];
    problems.erase(network.id);
    return make_error(ErrorKind::Failed, why);
  }
  if (unapplied.contains(network.id)) return network_view(network);
  const base::Status running = start_engine(network.id);
  if (running) return network_view(network);
  engineless.insert(network.id);
  problems[network.id] = with_remedy(running.error());
  return base::Error(running.error()).with_hint("the daemon goes on trying; see `warren status`");
}

}  // namespace warren::control
