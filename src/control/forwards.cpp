// Port forwards: from a port of the gateway's public addresses to a member.
//
// A forward is a grant: checked whole, committed, applied, undone when that fails. Its end, by its
// deletion or with its peer, is a denial: committed first, then taken from the tables together with
// its connections.
#include <fmt/format.h>

#include <algorithm>

#include "control/impl.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

namespace {

using base::ErrorKind;
using base::make_error;

base::Result<model::PublicPort> parse_port(const std::string& text) {
  if (const auto port = model::PublicPort::parse(text)) return *port;
  return make_error(ErrorKind::Invalid, fmt::format("\"{}\" is no public port", one_line(text, 80)),
                    "write it like 8080/tcp or 53/udp");
}

std::string text_of(const std::optional<base::IpAddress>& address) {
  return address ? address->to_string() : std::string();
}

}  // namespace

plan::HostForward Control::Impl::host_forward(const model::Forward& forward) const {
  const model::Peer& peer = state.peers.at(forward.peer);
  return {
      .from = forward.from, .to4 = peer.address4, .to6 = peer.address6, .to_port = forward.to_port};
}

std::vector<plan::HostForward> Control::Impl::host_forwards(model::NetworkId network) const {
  std::vector<plan::HostForward> out;
  for (const auto& [from, forward] : state.forwards) {
    if (forward.network == network) out.push_back(host_forward(forward));
  }
  return out;
}

plan::HostNetwork Control::Impl::host_network(const model::Network& network) const {
  plan::HostNetwork out = plan::host_network(network, settings.transit);
  out.forwards = host_forwards(network.id);
  out.policy = policy_table(network);
  if (!network.attach.empty()) out.attached_members = attached_members(network);
  return out;
}

api::ForwardView Control::Impl::forward_view(const model::Forward& forward) const {
  const model::Network& network = state.networks.at(forward.network).network;
  const model::Peer& peer = state.peers.at(forward.peer);
  return {.from = forward.from.to_string(),
          .public_address = host_port(network.endpoint_host, forward.from.port),
          .network = network.name,
          .peer = peer.name,
          .address = text_of(peer.address4),
          .address6 = text_of(peer.address6),
          .to_port = forward.to_port,
          .public_addresses = {}};
}

void Control::Impl::add_public_addresses(std::vector<api::ForwardView>& forwards) const {
  // Where the host cannot be asked the endpoint is all that is known.
  const auto own = deps.host.public_addresses();
  for (api::ForwardView& view : forwards) {
    const auto network = std::ranges::find_if(state.networks, [&](const auto& entry) {
      return entry.second.network.name == view.network;
    });
    const auto port = model::PublicPort::parse(view.from);
    if (network == state.networks.end() || !port) continue;
    const auto add = [&](const base::IpAddress& address) {
      if ((address.is_v4() ? view.address : view.address6).empty()) return;
      const std::string text = host_port(address.to_string(), port->port);
      if (std::ranges::find(view.public_addresses, text) == view.public_addresses.end())
        view.public_addresses.push_back(text);
    };
    if (const auto endpoint = base::IpAddress::parse(network->second.network.endpoint_host))
      add(*endpoint);
    if (!own) continue;
    for (const base::IpAddress& address : *own) add(address);
  }
}

api::ForwardList Control::Impl::list_forwards() const {
  api::ForwardList list;
  for (const auto& [from, forward] : state.forwards) {
    list.forwards.push_back(forward_view(forward));
  }
  add_public_addresses(list.forwards);
  return list;
}

base::Status Control::Impl::check_port_is_free(const model::PublicPort& port) {
  const auto taken = [&](const std::string& owner) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("port {} belongs to {}", port.to_string(), owner),
                      "choose another port");
  };
  if (const auto other = state.forwards.find(port); other != state.forwards.end()) {
    const api::ForwardView view = forward_view(other->second);
    return taken(fmt::format("the forward to {} of network {}", view.peer, view.network));
  }
  const bool udp = port.protocol == model::Protocol::Udp;
  for (const auto& [id, stored] : state.networks) {
    if (udp && stored.network.port == port.port) return taken("network " + stored.network.name);
  }
  if (!udp && settings.enrol_port == port.port) return taken("the enrolment of this gateway");
  return deps.host.check_public_port(port);
}

base::Result<api::ForwardView> Control::Impl::add_forward(const Request& request,
                                                          const std::string& network_name,
                                                          const api::ForwardAdd& wanted) {
  WARREN_TRY_ASSIGN(const model::Network network, find_network(network_name));
  WARREN_TRY_ASSIGN(const model::PublicPort from, parse_port(wanted.from));
  const model::Peer* peer = current_peer(network.id, wanted.peer);
  if (peer == nullptr) return unknown_peer(network, wanted.peer);
  if (wanted.to_port == std::uint16_t{0}) {
    return make_error(ErrorKind::Invalid, "port 0 is no port", "give a port from 1 to 65535");
  }
  WARREN_TRY(check_port_is_free(from));
  WARREN_TRY(check_may_change_host("a port of its host lead into a network", ""));
  if (state.forwards.size() >= kMaxForwards) {
    return make_error(ErrorKind::Conflict,
                      fmt::format("this gateway has {} forwards, the most it may", kMaxForwards),
                      "delete one that is not needed");
  }
  const model::Forward forward{.from = from,
                               .network = network.id,
                               .peer = peer->id,
                               .to_port = wanted.to_port.value_or(from.port)};
  WARREN_TRY(commit({store::PutForward{forward}}, request));
  base::Status applied = reconcile_host();
  if (applied) {
    std::vector<api::ForwardView> views{forward_view(forward)};
    add_public_addresses(views);
    return views.front();
  }

  base::Error reason = std::move(applied).error();
  const Request undo{request.actor, "forward.add.undo", request.target};
  base::Status undone = commit({store::DeleteForward{from}}, undo);
  if (undone) undone = reconcile_host();
  if (!undone) {
    host_to_reconcile = true;
    host_problem = undone.error().message;
    reason.message += "; it could not be undone: " + undone.error().message;
  }
  return reason;
}

base::Status Control::Impl::delete_forward(const Request& request, const std::string& text,
                                           const std::optional<std::string>& of_network) {
  WARREN_TRY_ASSIGN(const model::PublicPort from, parse_port(text));
  const auto found = state.forwards.find(from);
  if (found == state.forwards.end() ||
      (of_network && forward_view(found->second).network != *of_network)) {
    return make_error(ErrorKind::NotFound,
                      fmt::format("there is no forward of port {}", from.to_string()),
                      "`warren forward list` shows all");
  }
  const plan::HostForward closing = host_forward(found->second);
  const plan::HostNetwork network = host_network(state.networks.at(found->second.network).network);
  WARREN_TRY(commit({store::DeleteForward{from}}, request));
  const auto closed = deps.host.close_forwards(network, {closing});
  base::Status gone = closed ? base::Status() : base::Status(closed.error());
  if (gone) gone = reconcile_host();
  if (gone) return {};
  host_to_reconcile = true;
  host_problem = gone.error().message;
  return make_error(ErrorKind::Failed,
                    "it is deleted, but not everything of it is gone yet: " + host_problem,
                    "the daemon goes on trying; `warren status` shows what is left");
}

base::Status Control::Impl::close_forwards(const model::Peer& peer) {
  const auto entry = forwards_to_close.find(peer.id);
  if (entry == forwards_to_close.end()) return {};
  const plan::HostNetwork network = host_network(state.networks.at(peer.network).network);
  const auto closed = deps.host.close_forwards(network, entry->second);
  if (!closed) return closed.error();
  forwards_to_close.erase(entry);
  // With the last one goes what only forwards need: the maps, and an uplink where there is no NAT.
  return network.forwards.empty() ? reconcile_host() : base::Status();
}

// The audit tells by its target whose a record is (network_of), and a port comes from the asker:
// what is none must not pass for a target of its own.
base::Result<api::ForwardView> Control::add_forward(const std::string& actor,
                                                    const std::string& network,
                                                    const api::ForwardAdd& request) {
  const auto port = model::PublicPort::parse(request.from);
  const Request what{
      actor, "forward.add",
      (port ? port->to_string() : std::string("?")) + " to " + network + "/" + request.peer};
  return impl_->audited(what, "forward " + one_line(request.from, 80),
                        [&] { return impl_->add_forward(what, network, request); });
}

base::Status Control::delete_forward(const std::string& actor, const std::string& from,
                                     const std::optional<std::string>& network) {
  const auto port = model::PublicPort::parse(from);
  Request what{actor, "forward.delete", port ? port->to_string() : "?"};
  const auto found = port ? impl_->state.forwards.find(*port) : impl_->state.forwards.end();
  if (found != impl_->state.forwards.end()) {
    const api::ForwardView view = impl_->forward_view(found->second);
    if (network.value_or(view.network) == view.network) {
      what.target += " to " + view.network + "/" + view.peer;
    }
  }
  return impl_->audited(what, "delete the forward " + one_line(from, 80),
                        [&] { return impl_->delete_forward(what, from, network); });
}

}  // namespace warren::control
