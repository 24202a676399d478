#include "server/routes.hpp"

#include <string>
#include <utility>

#include "api/json.hpp"
#include "base/bytes.hpp"

namespace warren::server {
namespace {

constexpr std::size_t kDefaultAuditRecords = 100;
constexpr std::size_t kMaxAuditRecords = 10'000;

template <typename T>
base::Result<std::string> encoded(const base::Result<T>& result) {
  if (!result) return base::Error(result.error());
  return api::encode(*result);
}

base::Result<std::string> encoded(const base::Status& status) {
  if (!status) return base::Error(status.error());
  return api::encode(api::Empty{});
}

base::Result<std::size_t> audit_limit(const Call& call) {
  const auto given = call.query.find("limit");
  if (given == call.query.end()) return kDefaultAuditRecords;
  const auto limit = base::parse_number(given->second, 1, kMaxAuditRecords);
  if (!limit) {
    return base::make_error(base::ErrorKind::Invalid, "limit=" + given->second + " is not valid",
                            "give a number from 1 to " + std::to_string(kMaxAuditRecords));
  }
  return static_cast<std::size_t>(*limit);
}

void add_network_routes(Router& router, control::Control& control) {
  router.add("GET", "/v1/networks", [&control](const Call&) -> base::Result<std::string> {
    return api::encode(control.list_networks());
  });
  router.add("POST", "/v1/networks", [&control](const Call& call) -> base::Result<std::string> {
    WARREN_TRY_ASSIGN(const auto request, api::decode<api::NetworkCreate>(call.body));
    return encoded(control.create_network(std::string(call.actor), request));
  });
  router.add("GET", "/v1/networks/*", [&control](const Call& call) {
    return encoded(control.show_network(call.parameters[0]));
  });
  router.add("DELETE", "/v1/networks/*", [&control](const Call& call) {
    return encoded(control.delete_network(std::string(call.actor), call.parameters[0]));
  });
  router.add("PATCH", "/v1/networks/*", [&control](const Call& call) -> base::Result<std::string> {
    WARREN_TRY_ASSIGN(const auto request, api::decode<api::NetworkSet>(call.body));
    return encoded(control.set_network(std::string(call.actor), call.parameters[0], request));
  });
  router.add("POST", "/v1/networks/*/stop", [&control](const Call& call) {
    return encoded(control.stop_network(std::string(call.actor), call.parameters[0]));
  });
  router.add("POST", "/v1/networks/*/start", [&control](const Call& call) {
    return encoded(control.start_network(std::string(call.actor), call.parameters[0]));
  });
  router.add("POST", "/v1/networks/*/restart", [&control](const Call& call) {
    return encoded(control.restart_network(std::string(call.actor), call.parameters[0]));
  });
}

void add_role_routes(Router& router, control::Control& control) {
  router.add("GET", "/v1/networks/*/roles", [&control](const Call& call) {
    return encoded(control.list_roles(call.parameters[0]));
  });
  router.add(
      "POST", "/v1/networks/*/roles", [&control](const Call& call) -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto request, api::decode<api::RoleAdd>(call.body));
        return encoded(control.add_role(std::string(call.actor), call.parameters[0], request));
      });
  router.add("PATCH", "/v1/networks/*/roles/*",
             [&control](const Call& call) -> base::Result<std::string> {
               WARREN_TRY_ASSIGN(const auto request, api::decode<api::RoleSet>(call.body));
               return encoded(control.set_role(std::string(call.actor), call.parameters[0],
                                               call.parameters[1], request));
             });
  router.add("DELETE", "/v1/networks/*/roles/*", [&control](const Call& call) {
    return encoded(
        control.delete_role(std::string(call.actor), call.parameters[0], call.parameters[1]));
  });
}

void add_policy_routes(Router& router, control::Control& control) {
  router.add("GET", "/v1/networks/*/policy", [&control](const Call& call) {
    return encoded(control.show_policy(call.parameters[0]));
  });
  router.add(
      "PUT", "/v1/networks/*/policy", [&control](const Call& call) -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto request, api::decode<api::PolicySet>(call.body));
        return encoded(control.set_policy(std::string(call.actor), call.parameters[0], request));
      });
  router.add("DELETE", "/v1/networks/*/policy", [&control](const Call& call) {
    return encoded(control.clear_policy(std::string(call.actor), call.parameters[0]));
  });
  router.add("POST", "/v1/networks/*/policy/test",
             [&control](const Call& call) -> base::Result<std::string> {
               WARREN_TRY_ASSIGN(const auto request, api::decode<api::PolicyTest>(call.body));
               return encoded(control.test_policy(call.parameters[0], request));
             });
  router.add("GET", "/v1/verify", [&control](const Call&) { return encoded(control.verify("")); });
  router.add("GET", "/v1/networks/*/verify",
             [&control](const Call& call) { return encoded(control.verify(call.parameters[0])); });
  router.add("POST", "/v1/networks/*/repair", [&control](const Call& call) {
    return encoded(control.repair(std::string(call.actor), call.parameters[0]));
  });
}

void add_forward_routes(Router& router, control::Control& control) {
  router.add("GET", "/v1/forwards", [&control](const Call&) -> base::Result<std::string> {
    return api::encode(control.list_forwards());
  });
  router.add(
      "POST", "/v1/networks/*/forwards", [&control](const Call& call) -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto request, api::decode<api::ForwardAdd>(call.body));
        return encoded(control.add_forward(std::string(call.actor), call.parameters[0], request));
      });
  router.add("DELETE", "/v1/forwards/*/*", [&control](const Call& call) {
    return encoded(control.delete_forward(std::string(call.actor),
                                          call.parameters[1] + "/" + call.parameters[0]));
  });
}

void add_peer_routes(Router& router, control::Control& control) {
  router.add("POST", "/v1/networks/*/invites",
             [&control](const Call& call) -> base::Result<std::string> {
               WARREN_TRY_ASSIGN(const auto request, api::decode<api::InviteRequest>(call.body));
               return encoded(control.invite(std::string(call.actor), call.parameters[0], request));
             });
  router.add("GET", "/v1/networks/*/peers", [&control](const Call& call) {
    return encoded(control.list_peers(call.parameters[0]));
  });
  router.add("GET", "/v1/networks/*/peers/*", [&control](const Call& call) {
    return encoded(control.show_peer(call.parameters[0], call.parameters[1]));
  });
  router.add(
      "POST", "/v1/networks/*/peers", [&control](const Call& call) -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto request, api::decode<api::PeerAdd>(call.body));
        return encoded(control.add_peer(std::string(call.actor), call.parameters[0], request));
      });
  router.add(
      "POST", "/v1/networks/*/peers/batch",
      [&control](const Call& call) -> base::Result<std::string> {
        WARREN_TRY_ASSIGN(const auto request, api::decode<api::PeerBatch>(call.body));
        return encoded(control.add_peers(std::string(call.actor), call.parameters[0], request));
      });
  router.add("POST", "/v1/networks/*/peers/*/key",
             [&control](const Call& call) -> base::Result<std::string> {
               WARREN_TRY_ASSIGN(const auto request, api::decode<api::PeerKey>(call.body));
               return encoded(control.set_peer_key(std::string(call.actor), call.parameters[0],
                                                   call.parameters[1], request));
             });
  router.add("POST", "/v1/networks/*/peers/*/rename",
             [&control](const Call& call) -> base::Result<std::string> {
               WARREN_TRY_ASSIGN(const auto request, api::decode<api::PeerRename>(call.body));
               return encoded(control.rename_peer(std::string(call.actor), call.parameters[0],
                                                  call.parameters[1], request));
             });
  router.add("GET", "/v1/networks/*/peers/*/profile", [&control](const Call& call) {
    return encoded(control.peer_profile(call.parameters[0], call.parameters[1]));
  });
  router.add("POST", "/v1/networks/*/peers/*/revoke", [&control](const Call& call) {
    return encoded(control.revoke(std::string(call.actor), call.parameters[0], call.parameters[1]));
  });
}

}  // namespace

Router api_routes(control::Control& control, std::function<base::Status()> reload) {
  Router router;
  router.add("GET", "/v1/status", [&control](const Call&) -> base::Result<std::string> {
    return api::encode(control.status());
  });
  add_network_routes(router, control);
  add_role_routes(router, control);
  add_policy_routes(router, control);
  add_forward_routes(router, control);
  add_peer_routes(router, control);
  router.add("POST", "/v1/reload", [reload = std::move(reload)](const Call&) {
    if (!reload) {
      return encoded(base::Status(base::make_error(base::ErrorKind::Unavailable,
                                                   "this daemon has no settings to read again")));
    }
    return encoded(reload());
  });
  router.add("GET", "/v1/audit", [&control](const Call& call) -> base::Result<std::string> {
    WARREN_TRY_ASSIGN(const std::size_t limit, audit_limit(call));
    const auto after = call.query.find("after");
    if (after == call.query.end()) return encoded(control.audit(limit));
    const auto number = base::parse_number(after->second, 0, INT64_MAX);
    if (number) return encoded(control.audit_after(*number, limit));
    return base::make_error(base::ErrorKind::Invalid, "after=" + after->second + " is not valid",
                            "give the number of a record");
  });
  router.add("GET", "/v1/audit/span",
             [&control](const Call&) { return encoded(control.audit_span()); });
  return router;
}

Router enrol_routes(control::Control& control) {
  Router router;
  router.add("POST", "/v1/enrol", [&control](const Call& call) -> base::Result<std::string> {
    WARREN_TRY_ASSIGN(const auto request, api::decode<api::EnrolRequest>(call.body));
    return encoded(control.enrol(request));
  });
  router.add("POST", "/v1/member/leave", [&control](const Call& call) -> base::Result<std::string> {
    WARREN_TRY_ASSIGN(const auto request, api::decode<api::MemberRequest>(call.body));
    WARREN_TRY_ASSIGN(const control::Member member, control.find_member(request, call.binding));
    return encoded(control.leave(member));
  });
  return router;
}

}  // namespace warren::server
