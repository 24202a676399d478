// The table of routes. Each line of it says what a route takes and gives, how far it reaches and
// whether it changes anything: who may use it (router.hpp) and the OpenAPI document follow.
#include "server/routes.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "server/certificate_routes.hpp"
#include "server/openapi.hpp"
#include "server/route_table.hpp"

namespace warren::server {
namespace {

constexpr std::uint64_t kDefaultAuditRecords = 100;
constexpr std::uint64_t kMaxAuditRecords = 10'000;
constexpr auto kReads = Effect::Reads;
constexpr auto kChanges = Effect::Changes;

std::string who(const Call& call) { return std::string(call.actor); }

/// A number of the query, which the table has bounded.
std::optional<std::uint64_t> number(const Call& call, const std::string& key) {
  const auto given = call.query.find(key);
  if (given == call.query.end()) return std::nullopt;
  return base::parse_number(given->second, 0, INT64_MAX);
}

// --- what a token for one network sees of the gateway ---

template <typename List>
List only_seen(List list, const Scope& scope, auto network) {
  std::erase_if(list, [&](const auto& one) { return !scope.sees(std::invoke(network, one)); });
  return list;
}

api::Status seen_status(control::Control& control, const Scope& scope) {
  api::Status status = control.status();
  if (!scope.network) return status;
  status.state_dir.clear();
  status.networks = 1;
  const auto network = control.show_network(*scope.network);
  status.peers = network ? network->peers : 0;
  const std::string start = "network " + *scope.network + ":";
  std::erase_if(status.problems, [&](const auto& text) { return !text.starts_with(start); });
  status.ready = status.problems.empty();
  return status;
}

base::Result<api::AuditList> seen_audit(control::Control& control, const Call& call) {
  const std::uint64_t limit = number(call, "limit").value_or(kDefaultAuditRecords);
  const auto after = number(call, "after");
  if (const auto& network = call.scope.network) {
    return after ? control.audit_of_after(*network, *after, limit)
                 : control.audit_of(*network, limit);
  }
  return after ? control.audit_after(*after, limit) : control.audit(limit);
}

/// Whether the gateway's host and the members reach each other is not one network's to decide.
base::Result<api::NetworkView> set_seen_network(control::Control& control, const Call& call,
                                                const api::NetworkSet& asked) {
  const std::string& name = call.parameters[0];
  if (call.scope.network && asked.host_access) {
    WARREN_TRY_ASSIGN(const api::NetworkView present, control.show_network(name));
    if (present.host_access != *asked.host_access) {
      return base::make_error(base::ErrorKind::NotPermitted,
                              "host_access concerns the gateway's host, and this token is good "
                              "for network " +
                                  name + " alone",
                              "ask whoever runs the gateway");
    }
  }
  return control.set_network(who(call), name, asked);
}

base::Result<EventWish> wanted_events(control::Control& control, const Call& call) {
  EventWish wish{.network = call.scope.network.value_or(""), .after = number(call, "after")};
  if (!wish.after && !call.last_event.empty()) {
    wish.after = base::parse_number(call.last_event, 0, INT64_MAX);
    if (!wish.after) {
      return base::make_error(base::ErrorKind::Invalid, "Last-Event-ID is no event's number");
    }
  }
  const auto given = call.query.find("network");
  if (given == call.query.end()) return wish;
  if (!call.scope.sees(given->second)) {
    return base::make_error(base::ErrorKind::NotFound, "there is no such network");
  }
  WARREN_TRY_ASSIGN(const api::NetworkView network, control.show_network(given->second));
  wish.network = network.name;
  return wish;
}

// --- the table ---

void add_network_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::NetworkList>(
      {"GET", "/v1/networks", Reach::Filtered, kReads, "All networks"}, [&](const Call& call) {
        return api::NetworkList{
            only_seen(control.list_networks().networks, call.scope, &api::NetworkView::name)};
      });
  routes.add<api::NetworkCreate, api::NetworkView>(
      {"POST", "/v1/networks", Reach::Gateway, kChanges, "Make a network"},
      [&](const Call& call, const api::NetworkCreate& asked) {
        return control.create_network(who(call), asked);
      });
  routes.add<void, api::NetworkView>(
      {"GET", "/v1/networks/{network}", Reach::Network, kReads, "One network"},
      [&](const Call& call) { return control.show_network(call.parameters[0]); });
  routes.add<api::NetworkSet, api::NetworkView>(
      {"PATCH", "/v1/networks/{network}", Reach::Network, kChanges, "Change a network"},
      [&](const Call& call, const api::NetworkSet& asked) {
        return set_seen_network(control, call, asked);
      });
  routes.add<void, api::Empty>(
      {"DELETE", "/v1/networks/{network}", Reach::Gateway, kChanges, "Delete a network"},
      [&](const Call& call) { return control.delete_network(who(call), call.parameters[0]); });
  routes.add<void, api::NetworkView>(
      {"POST", "/v1/networks/{network}/stop", Reach::Network, kChanges, "Stop its engine"},
      [&](const Call& call) { return control.stop_network(who(call), call.parameters[0]); });
  routes.add<void, api::NetworkView>(
      {"POST", "/v1/networks/{network}/start", Reach::Network, kChanges, "Start its engine"},
      [&](const Call& call) { return control.start_network(who(call), call.parameters[0]); });
  routes.add<void, api::NetworkView>(
      {"POST", "/v1/networks/{network}/restart", Reach::Network, kChanges, "Restart its engine"},
      [&](const Call& call) { return control.restart_network(who(call), call.parameters[0]); });
}

void add_service_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::Environment>(
      {"GET", "/v1/networks/{network}/environment", Reach::Network, kReads,
       "The variables that tell programs of its services"},
      [&](const Call& call) { return control.environment(call.parameters[0]); });
}

void add_role_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::RoleList>(
      {"GET", "/v1/networks/{network}/roles", Reach::Network, kReads, "The roles of a network"},
      [&](const Call& call) { return control.list_roles(call.parameters[0]); });
  routes.add<api::RoleAdd, api::RoleView>(
      {"POST", "/v1/networks/{network}/roles", Reach::Network, kChanges, "Make a role"},
      [&](const Call& call, const api::RoleAdd& asked) {
        return control.add_role(who(call), call.parameters[0], asked);
      });
  routes.add<api::RoleSet, api::RoleView>(
      {"PATCH", "/v1/networks/{network}/roles/{role}", Reach::Network, kChanges, "Change a role"},
      [&](const Call& call, const api::RoleSet& asked) {
        return control.set_role(who(call), call.parameters[0], call.parameters[1], asked);
      });
  routes.add<void, api::Empty>(
      {"DELETE", "/v1/networks/{network}/roles/{role}", Reach::Network, kChanges, "Delete a role"},
      [&](const Call& call) {
        return control.delete_role(who(call), call.parameters[0], call.parameters[1]);
      });
}

void add_policy_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::PolicyView>(
      {"GET", "/v1/networks/{network}/policy", Reach::Network, kReads, "The policy of a network"},
      [&](const Call& call) { return control.show_policy(call.parameters[0]); });
  routes.add<api::PolicySet, api::PolicyView>(
      {"PUT", "/v1/networks/{network}/policy", Reach::Network, kChanges, "Set the policy"},
      [&](const Call& call, const api::PolicySet& asked) {
        return control.set_policy(who(call), call.parameters[0], asked);
      });
  routes.add<void, api::PolicyView>(
      {"DELETE", "/v1/networks/{network}/policy", Reach::Network, kChanges, "Clear the policy"},
      [&](const Call& call) { return control.clear_policy(who(call), call.parameters[0]); });
  routes.add<api::PolicyTest, api::PolicyAnswer>(
      {"POST", "/v1/networks/{network}/policy/test", Reach::Network, kReads,
       "Whether something is allowed, and by which rule"},
      [&](const Call& call, const api::PolicyTest& asked) {
        return control.test_policy(call.parameters[0], asked);
      });
  routes.add<void, api::VerifyReport>(
      {"GET", "/v1/verify", Reach::Filtered, kReads, "What differs from what is declared"},
      [&](const Call& call) { return control.verify(call.scope.network.value_or("")); });
  routes.add<void, api::DoctorReport>(
      {"GET", "/v1/doctor/ports", Reach::Gateway, kReads,
       "Whether each public port is listened on, and reached from outside"},
      [&](const Call&) { return control.check_ports(); });
  routes.add<void, api::DoctorReport>(
      {"GET", "/v1/doctor/names", Reach::Gateway, kReads,
       "Whether names inside the networks are answered, and those who are asked answer"},
      [&](const Call&) { return control.check_names(); });
  routes.add<void, api::VerifyReport>(
      {"GET", "/v1/networks/{network}/verify", Reach::Network, kReads,
       "What of a network differs from what is declared"},
      [&](const Call& call) { return control.verify(call.parameters[0]); });
  routes.add<void, api::VerifyReport>(
      {"POST", "/v1/networks/{network}/repair", Reach::Network, kChanges,
       "Make it what is declared; what still differs then"},
      [&](const Call& call) { return control.repair(who(call), call.parameters[0]); });
}

void add_forward_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::ForwardList>(
      {"GET", "/v1/forwards", Reach::Filtered, kReads, "All port forwards"}, [&](const Call& call) {
        return api::ForwardList{
            only_seen(control.list_forwards().forwards, call.scope, &api::ForwardView::network)};
      });
  routes.add<api::ForwardAdd, api::ForwardView>(
      {"POST", "/v1/networks/{network}/forwards", Reach::Network, kChanges, "Forward a port"},
      [&](const Call& call, const api::ForwardAdd& asked) {
        return control.add_forward(who(call), call.parameters[0], asked);
      });
  routes.add<void, api::Empty>({"DELETE", "/v1/forwards/{protocol}/{port}", Reach::Filtered,
                                kChanges, "Forward a port no more"},
                               [&](const Call& call) {
                                 return control.delete_forward(
                                     who(call), call.parameters[1] + "/" + call.parameters[0],
                                     call.scope.network);
                               });
}

void add_peer_routes(RouteTable& routes, control::Control& control) {
  routes.add<api::InviteRequest, api::Invitation>(
      {"POST", "/v1/networks/{network}/invites", Reach::Network, kChanges, "Invite a member"},
      [&](const Call& call, const api::InviteRequest& asked) {
        return control.invite(who(call), call.parameters[0], asked);
      });
  routes.add<void, api::PeerList>(
      {"GET", "/v1/networks/{network}/peers", Reach::Network, kReads, "The members of a network"},
      [&](const Call& call) { return control.list_peers(call.parameters[0]); });
  routes.add<void, api::PeerView>(
      {"GET", "/v1/networks/{network}/peers/{peer}", Reach::Network, kReads, "One member"},
      [&](const Call& call) { return control.show_peer(call.parameters[0], call.parameters[1]); });
  routes.add<api::PeerAdd, api::PeerView>(
      {"POST", "/v1/networks/{network}/peers", Reach::Network, kChanges, "Add a member by hand"},
      [&](const Call& call, const api::PeerAdd& asked) {
        return control.add_peer(who(call), call.parameters[0], asked);
      });
  routes.add<api::PeerBatch, api::PeerList>(
      {"POST", "/v1/networks/{network}/peers/batch", Reach::Network, kChanges,
       "Add many members, all or none"},
      [&](const Call& call, const api::PeerBatch& asked) {
        return control.add_peers(who(call), call.parameters[0], asked);
      });
  routes.add<api::PeerKey, api::PeerView>(
      {"POST", "/v1/networks/{network}/peers/{peer}/key", Reach::Network, kChanges,
       "Hand in the key of a member that waits for one"},
      [&](const Call& call, const api::PeerKey& asked) {
        return control.set_peer_key(who(call), call.parameters[0], call.parameters[1], asked);
      });
  routes.add<api::PeerRename, api::PeerView>(
      {"POST", "/v1/networks/{network}/peers/{peer}/rename", Reach::Network, kChanges,
       "Rename a member"},
      [&](const Call& call, const api::PeerRename& asked) {
        return control.rename_peer(who(call), call.parameters[0], call.parameters[1], asked);
      });
  routes.add<void, api::EnrolAnswer>(
      {"GET", "/v1/networks/{network}/peers/{peer}/profile", Reach::Network, kReads,
       "What the conf of a member is made of"},
      [&](const Call& call) {
        return control.peer_profile(call.parameters[0], call.parameters[1]);
      });
  routes.add<void, api::Revocation>({"POST", "/v1/networks/{network}/peers/{peer}/revoke",
                                     Reach::Network, kChanges, "Revoke a member"},
                                    [&](const Call& call) {
                                      return control.revoke(who(call), call.parameters[0],
                                                            call.parameters[1]);
                                    });
  routes.add<void, api::RevocationList>(
      {"POST", "/v1/networks/{network}/peers/{peer}/revoke-everywhere", Reach::Gateway, kChanges,
       "Revoke a member, and refuse its key in every network"},
      [&](const Call& call) {
        return control.revoke_everywhere(who(call), call.parameters[0], call.parameters[1]);
      });
  routes.add<void, api::RevocationList>(
      {"POST", "/v1/networks/{network}/persons/{person}/revoke", Reach::Network, kChanges,
       "Revoke the devices of a person"},
      [&](const Call& call) {
        return control.revoke_person(who(call), call.parameters[0], call.parameters[1]);
      });
  routes.add<void, api::RevocationList>(
      {"POST", "/v1/persons/{person}/revoke-everywhere", Reach::Gateway, kChanges,
       "Revoke the devices of a person in every network"},
      [&](const Call& call) { return control.revoke_person(who(call), "", call.parameters[0]); });
}

void add_gateway_routes(RouteTable& routes, control::Control& control, Reload reload) {
  routes.add<void, api::Status>(
      {"GET", "/v1/status", Reach::Filtered, kReads, "How the gateway is"},
      [&](const Call& call) { return seen_status(control, call.scope); });
  routes.add<void, api::Reloaded>(
      {"POST", "/v1/reload", Reach::Gateway, kChanges, "Read the settings again"},
      [reload = std::move(reload)](const Call&) -> base::Result<api::Reloaded> {
        if (reload) return reload();
        return base::make_error(base::ErrorKind::Unavailable,
                                "this daemon has no settings to read again");
      });
  const QueryParameter limit{"limit", "how many records at most", 1, kMaxAuditRecords};
  const QueryParameter after{"after", "only what is behind this record, oldest first", 0,
                             INT64_MAX};
  routes.add<void, api::AuditList>({"GET",
                                    "/v1/audit",
                                    Reach::Filtered,
                                    kReads,
                                    "Who changed what, newest first",
                                    {limit, after}},
                                   [&](const Call& call) { return seen_audit(control, call); });
  routes.add<void, api::AuditSpan>(
      {"GET", "/v1/audit/span", Reach::Gateway, kReads, "What the chain of the audit covers"},
      [&](const Call&) { return control.audit_span(); });
  routes.add_events({"GET",
                     "/v1/events",
                     Reach::Filtered,
                     kReads,
                     "What happens, as it happens",
                     {{"network", "of this network alone"}, after}},
                    [&](const Call& call) { return wanted_events(control, call); });
}

void add_token_routes(RouteTable& routes, control::Control& control) {
  routes.add<void, api::TokenList>(
      {"GET", "/v1/tokens", Reach::Host, kReads, "The tokens of administrators"},
      [&](const Call&) { return control.list_tokens(); });
  routes.add<api::TokenCreate, api::TokenCreated>(
      {"POST", "/v1/tokens", Reach::Host, kChanges, "Make a token; its secret is shown once"},
      [&](const Call& call, const api::TokenCreate& asked) {
        return control.create_token(who(call), asked);
      });
  routes.add<void, api::Empty>(
      {"DELETE", "/v1/tokens/{token}", Reach::Host, kChanges, "Delete a token, at once"},
      [&](const Call& call) { return control.delete_token(who(call), call.parameters[0]); });
}

}  // namespace

Router api_routes(control::Control& control, Reload reload) {
  RouteTable routes;
  add_gateway_routes(routes, control, std::move(reload));
  add_network_routes(routes, control);
  add_service_routes(routes, control);
  add_role_routes(routes, control);
  add_policy_routes(routes, control);
  add_forward_routes(routes, control);
  add_peer_routes(routes, control);
  add_certificate_routes(routes, control);
  add_token_routes(routes, control);
  const auto schemas = routes.schemas();
  Router router = std::move(routes).take_router();
  const std::string document = openapi_document(router, schemas);
  router.add(openapi_route(), {}, {},
             [document](const Call&) -> base::Result<Outcome> { return Outcome(document); });
  return router;
}

Router enrol_routes(control::Control& control) {
  RouteTable routes;
  // Strangers and members: whoever they are is in what they send.
  routes.add<api::EnrolRequest, api::EnrolAnswer>(
      {"POST", "/v1/enrol", Reach::Filtered, kChanges, "Become a member"},
      [&](const Call&, const api::EnrolRequest& asked) { return control.enrol(asked); });
  routes.add<api::MemberRequest, api::MemberLeft>(
      {"POST", "/v1/member/leave", Reach::Filtered, kChanges, "Leave"},
      [&](const Call& call, const api::MemberRequest& asked) -> base::Result<api::MemberLeft> {
        WARREN_TRY_ASSIGN(const control::Member member, control.find_member(asked, call.binding));
        return control.leave(member);
      });
  add_public_list_routes(routes, control);
  return std::move(routes).take_router();
}

}  // namespace warren::server
