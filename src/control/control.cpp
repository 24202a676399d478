// Control: the state and how it changes.
//
// The state lives in memory and in the store, always equal: a change is committed first and applied
// to the memory only when the store has it. What the host and the engines must be is computed from
// the state each time; nothing else is remembered, except for what could not be applied at once:
// engines and host objects of deleted networks, and grants whose undoing failed (Impl's last
// members). Revocations need no such memory: a revoked peer that still has an address is one.
//
// At start nothing of a revoked peer is configured anywhere; networks that cannot be brought up are
// left out with their reason, so that one broken network does not take the others down.
#include "control/control.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/certificates.hpp"
#include "control/limits.hpp"
#include "control/names.hpp"

namespace warren::control {

Control::Impl::Impl(Dependencies dependencies, Settings initial)
    : Memory(dependencies, std::move(initial)),
      certificates(std::make_unique<Certificates>(*this)) {}
Control::Impl::~Impl() = default;

base::Status Control::Impl::start() {
  started = deps.clock.wall();
  WARREN_TRY_ASSIGN(state, deps.store.load().within("read the state"));
  know_members();
  certificates->start();
  end_memberships();
  reconcile_what_can_be();
  // The last daemon may have ended between a policy and the end of what it denies.
  for (const plan::HostNetwork& network : desired_host()) {
    if (!network.policy) continue;
    if (const auto cut = deps.host.cut_denied(network); !cut) {
      host_to_reconcile = true;
      host_problem = cut.error().message;
    }
  }
  start_engines();
  for (const auto& [id, stored] : state.networks) {
    if (deps.names != nullptr && stored.network.names) deps.names->changed(id);
  }
  for (const auto& [id, text] : problems) {
    log(base::LogLevel::Error,
        fmt::format("network={} problem={}", state.networks.at(id).network.name, text));
  }
  retry_revocations();
  return {};
}

void Control::Impl::set_settings(Settings next) {
  const bool moves =
      next.transit.v4 != settings.transit.v4 || next.transit.v6 != settings.transit.v6;
  if (moves && !state.networks.empty()) {
    log(base::LogLevel::Warning,
        "the transit pool stays as it is while there are networks; it changes when the last one "
        "is deleted and the settings are read again");
    next.transit = settings.transit;
  }
  settings = std::move(next);
  for (const auto& [id, stored] : state.networks) tell_changed(id, std::nullopt);
}

store::AuditRecord Control::Impl::audit_record(const Request& request, std::string result) const {
  return {.time = deps.clock.wall(),
          .actor = one_line(request.actor, kMaxAuditText),
          .action = request.action,
          .target = one_line(request.target, kMaxAuditText),
          .result = std::move(result)};
}

base::Status Control::Impl::commit(const std::vector<store::Change>& changes,
                                   const Request& request) {
  WARREN_TRY(deps.store.commit(changes, audit_record(request, "ok")));
  take_in(changes);
  tell_recorded();
  return {};
}

base::Status Control::Impl::commit_soon(const std::vector<store::Change>& changes,
                                        const Request& request) {
  WARREN_TRY(deps.store.commit_soon(changes, audit_record(request, "ok")));
  take_in(changes);
  tell_recorded();
  return {};
}

void Control::Impl::record_refusal(const Request& request, const base::Error& error) {
  const store::AuditRecord record = audit_record(request, one_line(error.message, kMaxAuditText));
  if (const base::Status written = deps.store.commit({}, record); !written) {
    log(base::LogLevel::Error, fmt::format("action={} refused but not audited: {}", request.action,
                                           written.error().message));
  }
  tell_recorded();
}

base::Result<std::uint64_t> Control::Impl::forget_audit(base::Duration keep) {
  const base::WallTime before{deps.clock.wall().ns - keep.count()};
  WARREN_TRY_ASSIGN(const std::uint64_t forgotten,
                    deps.store.forget_audit(before).within("forget old audit records"));
  if (forgotten == 0) return forgotten;
  const Request request{"daemon", "audit.forget",
                        fmt::format("{} records before {}", forgotten, utc_text(before.seconds()))};
  WARREN_TRY(deps.store.commit({}, audit_record(request, "ok")));
  return forgotten;
}

base::Result<model::Network> Control::Impl::find_network(const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [id, stored] : state.networks) {
    if (stored.network.name == name) return stored.network;
    names.push_back(stored.network.name);
  }
  return unknown_name(
      fmt::format("there is no network \"{}\"", one_line(name, 80)), name, names,
      names.empty() ? "make one with `warren network create`" : "`warren network list` shows all");
}

const model::Peer* Control::Impl::current_peer(model::NetworkId network,
                                               std::string_view name) const {
  return index.named(network, name);
}

base::Error Control::Impl::unknown_peer(const model::Network& network,
                                        const std::string& name) const {
  std::vector<std::string> names;
  for (const auto& [id, peer] : index.in(network.id)) {
    if (peer->state != model::PeerState::Revoked) names.push_back(peer->name);
  }
  return unknown_name(
      fmt::format("there is no peer \"{}\" in network {}", one_line(name, 80), network.name), name,
      names, fmt::format("`warren peer list {}` shows all", network.name));
}

Control::Control(Dependencies dependencies, Settings settings)
    : impl_(std::make_unique<Impl>(dependencies, std::move(settings))) {}
Control::~Control() = default;

base::Status Control::start() { return impl_->start(); }
void Control::set_settings(Settings settings) { impl_->set_settings(std::move(settings)); }

base::Result<api::NetworkView> Control::create_network(const std::string& actor,
                                                       const api::NetworkCreate& request) {
  const Request what{actor, "network.create", request.name};
  return impl_->audited(what, "create network " + one_line(request.name, 80),
                        [&] { return impl_->create_network(what, request); });
}

base::Status Control::delete_network(const std::string& actor, const std::string& name) {
  const Request what{actor, "network.delete", name};
  return impl_->audited(what, "delete network " + one_line(name, 80),
                        [&] { return impl_->delete_network(what, name); });
}

base::Result<api::NetworkView> Control::set_network(const std::string& actor,
                                                    const std::string& name,
                                                    const api::NetworkSet& request) {
  const Request what{actor, "network.set", name};
  return impl_->audited(what, "change network " + one_line(name, 80),
                        [&] { return impl_->set_network(what, name, request); });
}

base::Result<api::NetworkView> Control::stop_network(const std::string& actor,
                                                     const std::string& name) {
  const Request what{actor, "network.stop", name};
  return impl_->audited(what, "stop network " + one_line(name, 80),
                        [&] { return impl_->stop_network(what, name); });
}

base::Result<api::NetworkView> Control::start_network(const std::string& actor,
                                                      const std::string& name) {
  const Request what{actor, "network.start", name};
  return impl_->audited(what, "start network " + one_line(name, 80),
                        [&] { return impl_->start_network(what, name); });
}

base::Result<api::NetworkView> Control::restart_network(const std::string& actor,
                                                        const std::string& name) {
  const Request what{actor, "network.restart", name};
  return impl_->audited(what, "restart network " + one_line(name, 80),
                        [&] { return impl_->restart_network(what, name); });
}

api::ForwardList Control::list_forwards() { return impl_->list_forwards(); }

base::Result<api::RoleList> Control::list_roles(const std::string& network) {
  return impl_->list_roles(network);
}

base::Result<api::RoleView> Control::add_role(const std::string& actor, const std::string& network,
                                              const api::RoleAdd& request) {
  const Request what{actor, "role.add", network + "/" + request.name};
  return impl_->audited(what, "add role " + one_line(request.name, 80),
                        [&] { return impl_->add_role(what, network, request); });
}

base::Result<api::RoleView> Control::set_role(const std::string& actor, const std::string& network,
                                              const std::string& role,
                                              const api::RoleSet& request) {
  const Request what{actor, "role.set", network + "/" + role};
  return impl_->audited(what, "change role " + one_line(role, 80),
                        [&] { return impl_->set_role(what, network, role, request); });
}

base::Status Control::delete_role(const std::string& actor, const std::string& network,
                                  const std::string& role) {
  const Request what{actor, "role.delete", network + "/" + role};
  return impl_->audited(what, "delete role " + one_line(role, 80),
                        [&] { return impl_->delete_role(what, network, role); });
}

base::Result<api::PolicyView> Control::show_policy(const std::string& network) {
  return impl_->show_policy(network);
}

base::Result<api::PolicyView> Control::set_policy(const std::string& actor,
                                                  const std::string& network,
                                                  const api::PolicySet& request) {
  const Request what{actor, "policy.set", network};
  return impl_->audited(what, "set the policy of network " + one_line(network, 80),
                        [&] { return impl_->set_policy(what, network, request); });
}

base::Result<api::PolicyView> Control::clear_policy(const std::string& actor,
                                                    const std::string& network) {
  const Request what{actor, "policy.clear", network};
  return impl_->audited(what, "clear the policy of network " + one_line(network, 80),
                        [&] { return impl_->clear_policy(what, network); });
}

base::Result<api::PolicyAnswer> Control::test_policy(const std::string& network,
                                                     const api::PolicyTest& request) {
  return impl_->test_policy(network, request);
}

base::Result<api::DoctorReport> Control::check_ports() { return impl_->check_ports(); }

base::Result<api::VerifyReport> Control::verify(const std::string& network) {
  return impl_->verify(network);
}

api::NetworkList Control::list_networks() {
  api::NetworkList list;
  for (const auto& [id, stored] : impl_->state.networks) {
    list.networks.push_back(impl_->network_view(stored.network));
  }
  std::ranges::sort(list.networks, {}, &api::NetworkView::name);
  return list;
}

base::Result<api::NetworkView> Control::show_network(const std::string& name) {
  WARREN_TRY_ASSIGN(const model::Network network, impl_->find_network(name));
  return impl_->network_view(network);
}

base::Result<api::Invitation> Control::invite(const std::string& actor, const std::string& network,
                                              const api::InviteRequest& request) {
  const Request what{actor, "peer.invite", network + "/" + request.name};
  return impl_->audited(what, "invite " + one_line(request.name, 80),
                        [&] { return impl_->invite(what, network, request); });
}

base::Result<api::EnrolAnswer> Control::enrol(const api::EnrolRequest& request) {
  return impl_->enrol(request);
}

base::Result<Member> Control::find_member(const api::MemberRequest& request,
                                          const pki::Binding& binding) {
  return impl_->find_member(request, binding);
}

base::Result<api::MemberState> Control::member_state(const Member& member) {
  return impl_->member_state(member);
}

base::Result<api::MemberLeft> Control::leave(const Member& member) { return impl_->leave(member); }

void Control::on_change(Changed changed) { impl_->changed = std::move(changed); }

base::Result<api::PeerView> Control::add_peer(const std::string& actor, const std::string& network,
                                              const api::PeerAdd& request) {
  const Request what{actor, "peer.add", network + "/" + request.name};
  return impl_->audited(what, "add peer " + one_line(request.name, 80),
                        [&] { return impl_->add_peer(what, network, request); });
}

base::Result<api::PeerList> Control::add_peers(const std::string& actor, const std::string& network,
                                               const api::PeerBatch& request) {
  const Request what{actor, "peers.add",
                     fmt::format("{} ({} peers)", network, request.peers.size())};
  return impl_->audited(what, fmt::format("add {} peers", request.peers.size()),
                        [&] { return impl_->add_peers(what, network, request); });
}

base::Result<api::PeerView> Control::set_peer_key(const std::string& actor,
                                                  const std::string& network,
                                                  const std::string& peer,
                                                  const api::PeerKey& request) {
  const Request what{actor, "peer.set-key", network + "/" + peer};
  return impl_->audited(what, "set the key of " + one_line(peer, 80),
                        [&] { return impl_->set_peer_key(what, network, peer, request); });
}

base::Result<api::PeerView> Control::rename_peer(const std::string& actor,
                                                 const std::string& network,
                                                 const std::string& peer,
                                                 const api::PeerRename& request) {
  const Request what{actor, "peer.rename", network + "/" + peer + " to " + request.name};
  return impl_->audited(what, "rename " + one_line(peer, 80),
                        [&] { return impl_->rename_peer(what, network, peer, request); });
}

base::Result<api::EnrolAnswer> Control::peer_profile(const std::string& network,
                                                     const std::string& peer) {
  return impl_->peer_profile(network, peer);
}

base::Result<api::PeerList> Control::list_peers(const std::string& network) {
  return impl_->list_peers(network);
}

base::Result<api::PeerView> Control::show_peer(const std::string& network,
                                               const std::string& peer) {
  return impl_->show_peer(network, peer);
}

base::Result<api::Revocation> Control::revoke(const std::string& actor, const std::string& network,
                                              const std::string& peer) {
  const Request what{actor, "peer.revoke", network + "/" + peer};
  return impl_->audited(what, "revoke " + one_line(peer, 80),
                        [&] { return impl_->revoke(what, network, peer); });
}

base::Result<api::RevocationList> Control::revoke_everywhere(const std::string& actor,
                                                             const std::string& network,
                                                             const std::string& peer) {
  const Request what{actor, "peer.revoke-everywhere", network + "/" + peer};
  return impl_->audited(what, "revoke " + one_line(peer, 80) + " everywhere",
                        [&] { return impl_->revoke_everywhere(what, network, peer); });
}

base::Result<api::RevocationList> Control::revoke_person(const std::string& actor,
                                                         const std::string& network,
                                                         const std::string& person) {
  const bool everywhere = network.empty();
  const Request what{actor, everywhere ? "person.revoke-everywhere" : "person.revoke",
                     everywhere ? person : network + "/" + person};
  return impl_->audited(what, "revoke the devices of " + one_line(person, 80),
                        [&] { return impl_->revoke_person(what, network, person); });
}

base::Result<std::uint64_t> Control::forget_audit(base::Duration keep) {
  return impl_->forget_audit(keep);
}

base::Result<api::VerifyReport> Control::repair(const std::string& actor,
                                                const std::string& network) {
  const Request what{actor, "network.repair", network};
  return impl_->audited(what, "repair network " + one_line(network, 80),
                        [&] { return impl_->repair(what, network); });
}

api::Status Control::status() { return impl_->status(); }

bool Control::retry_pending() {
  const bool ended = impl_->end_memberships();
  impl_->look_at_members();
  impl_->follow_segments();
  const bool networks = impl_->retry_networks();
  const bool revocations = impl_->retry_revocations();
  const bool signed_all = impl_->certificates->keep_up();
  const bool all_up = impl_->bring_up_the_rest();
  return ended && networks && revocations && signed_all && all_up;
}

}  // namespace warren::control
