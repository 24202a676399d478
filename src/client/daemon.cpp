#include "client/daemon.hpp"

#include "api/json.hpp"
#include "base/bytes.hpp"
#include "client/answer.hpp"
#include "client/event_reader.hpp"
#include "client/http.hpp"

namespace warren::client {
namespace {

std::string network_path(const std::string& name) { return "/v1/networks/" + percent_encode(name); }
std::string peer_path(const std::string& network, const std::string& peer) {
  return network_path(network) + "/peers/" + percent_encode(peer);
}

base::Status without_value(const base::Result<api::Empty>& result) {
  if (!result) return base::Error(result.error());
  return {};
}

/// The gateway says what a program does that has no token; who has one wants another.
base::Error refused_token(const std::string& remote) {
  return base::make_error(
      base::ErrorKind::NotPermitted,
      "the token of remote " + remote + " is not accepted (any more)",
      "on its gateway: warren token create NAME; then here: warren remote delete " + remote +
          ", warren remote add " + remote);
}

}  // namespace

base::Result<HttpAnswer> Daemon::exchange(HttpRequest request) const {
  if (const auto* why = std::get_if<base::Error>(&where_)) return *why;
  if (const auto* socket = std::get_if<std::string>(&where_)) {
    return exchange_unix(*socket, request, timeout_);
  }
  const Remote& remote = std::get<Remote>(where_);
  request.authorization = "Bearer " + base::to_base64url(remote.access.secret);
  const auto at = base::HostPort::parse(remote.access.enrol_at);
  if (!at) return base::make_error(base::ErrorKind::Invalid, "the remote has no address");
  bool sent = false;
  WARREN_TRY_ASSIGN(HttpAnswer answer,
                    exchange_pinned(
                        {.at = *at,
                         .pin = remote.access.pin,
                         .max_answer = kMaxAnswerBytes,
                         .administration = true},
                        [&request](const pki::Binding&) { return request; }, sent, timeout_)
                        .within("remote " + remote.name));
  constexpr unsigned kNoGoodToken = 401;
  if (answer.status == kNoGoodToken) return refused_token(remote.name);
  return answer;
}

template <typename T>
base::Result<T> Daemon::call(std::string method, std::string target, std::string body) const {
  WARREN_TRY_ASSIGN(const HttpAnswer answer, exchange({.method = std::move(method),
                                                       .target = std::move(target),
                                                       .body = std::move(body)}));
  return read_answer<T>(answer, is_remote() ? "the gateway" : "the daemon");
}

base::Result<api::Status> Daemon::status() const { return call<api::Status>("GET", "/v1/status"); }

base::Result<api::NetworkList> Daemon::list_networks() const {
  return call<api::NetworkList>("GET", "/v1/networks");
}

base::Result<api::NetworkView> Daemon::create_network(const api::NetworkCreate& r) const {
  return call<api::NetworkView>("POST", "/v1/networks", api::encode(r));
}

base::Result<api::NetworkView> Daemon::show_network(const std::string& name) const {
  return call<api::NetworkView>("GET", network_path(name));
}

base::Status Daemon::delete_network(const std::string& name) const {
  return without_value(call<api::Empty>("DELETE", network_path(name)));
}

base::Result<api::NetworkView> Daemon::set_network(const std::string& name,
                                                   const api::NetworkSet& request) const {
  return call<api::NetworkView>("PATCH", network_path(name), api::encode(request));
}

base::Result<api::NetworkView> Daemon::switch_network(const std::string& name,
                                                      const std::string& verb) const {
  return call<api::NetworkView>("POST", network_path(name) + "/" + verb);
}

base::Result<api::RoleList> Daemon::list_roles(const std::string& network) const {
  return call<api::RoleList>("GET", network_path(network) + "/roles");
}

base::Result<api::RoleView> Daemon::add_role(const std::string& network,
                                             const api::RoleAdd& request) const {
  return call<api::RoleView>("POST", network_path(network) + "/roles", api::encode(request));
}

base::Result<api::RoleView> Daemon::set_role(const std::string& network, const std::string& role,
                                             const api::RoleSet& request) const {
  return call<api::RoleView>("PATCH", network_path(network) + "/roles/" + percent_encode(role),
                             api::encode(request));
}

base::Status Daemon::delete_role(const std::string& network, const std::string& role) const {
  return without_value(
      call<api::Empty>("DELETE", network_path(network) + "/roles/" + percent_encode(role)));
}

base::Result<api::PolicyView> Daemon::show_policy(const std::string& network) const {
  return call<api::PolicyView>("GET", network_path(network) + "/policy");
}

base::Result<api::Environment> Daemon::environment(const std::string& network) const {
  return call<api::Environment>("GET", network_path(network) + "/environment");
}

base::Result<api::PolicyView> Daemon::set_policy(const std::string& network,
                                                 const api::PolicySet& request) const {
  return call<api::PolicyView>("PUT", network_path(network) + "/policy", api::encode(request));
}

base::Result<api::PolicyView> Daemon::clear_policy(const std::string& network) const {
  return call<api::PolicyView>("DELETE", network_path(network) + "/policy");
}

base::Result<api::PolicyAnswer> Daemon::test_policy(const std::string& network,
                                                    const api::PolicyTest& request) const {
  return call<api::PolicyAnswer>("POST", network_path(network) + "/policy/test",
                                 api::encode(request));
}

base::Result<api::DoctorReport> Daemon::check_ports() const {
  return call<api::DoctorReport>("GET", "/v1/doctor/ports");
}

base::Result<api::DoctorReport> Daemon::check_names() const {
  return call<api::DoctorReport>("GET", "/v1/doctor/names");
}

base::Result<api::VerifyReport> Daemon::verify(const std::string& network) const {
  return call<api::VerifyReport>(
      "GET", network.empty() ? std::string("/v1/verify") : network_path(network) + "/verify");
}

base::Result<api::ForwardList> Daemon::list_forwards() const {
  return call<api::ForwardList>("GET", "/v1/forwards");
}

base::Result<api::ForwardView> Daemon::add_forward(const std::string& network,
                                                   const api::ForwardAdd& request) const {
  return call<api::ForwardView>("POST", network_path(network) + "/forwards", api::encode(request));
}

base::Status Daemon::delete_forward(const std::string& protocol, std::uint16_t port) const {
  return without_value(
      call<api::Empty>("DELETE", "/v1/forwards/" + protocol + "/" + std::to_string(port)));
}

base::Result<api::Invitation> Daemon::invite(const std::string& network,
                                             const api::InviteRequest& request) const {
  return call<api::Invitation>("POST", network_path(network) + "/invites", api::encode(request));
}

base::Result<api::PeerList> Daemon::list_peers(const std::string& network) const {
  return call<api::PeerList>("GET", network_path(network) + "/peers");
}

base::Result<api::PeerView> Daemon::show_peer(const std::string& network,
                                              const std::string& peer) const {
  return call<api::PeerView>("GET", peer_path(network, peer));
}

base::Result<api::PeerView> Daemon::add_peer(const std::string& network,
                                             const api::PeerAdd& request) const {
  return call<api::PeerView>("POST", network_path(network) + "/peers", api::encode(request));
}

base::Result<api::PeerList> Daemon::add_peers(const std::string& network,
                                              const api::PeerBatch& request) const {
  return call<api::PeerList>("POST", network_path(network) + "/peers/batch", api::encode(request));
}

base::Result<api::PeerView> Daemon::set_peer_key(const std::string& network,
                                                 const std::string& peer,
                                                 const api::PeerKey& request) const {
  return call<api::PeerView>("POST", peer_path(network, peer) + "/key", api::encode(request));
}

base::Result<api::PeerView> Daemon::rename_peer(const std::string& network, const std::string& peer,
                                                const api::PeerRename& request) const {
  return call<api::PeerView>("POST", peer_path(network, peer) + "/rename", api::encode(request));
}

base::Result<api::EnrolAnswer> Daemon::peer_profile(const std::string& network,
                                                    const std::string& peer) const {
  return call<api::EnrolAnswer>("GET", peer_path(network, peer) + "/profile");
}

base::Result<api::Revocation> Daemon::revoke(const std::string& network,
                                             const std::string& peer) const {
  return call<api::Revocation>("POST", peer_path(network, peer) + "/revoke");
}

base::Result<api::RevocationList> Daemon::revoke_everywhere(const std::string& network,
                                                            const std::string& peer) const {
  return call<api::RevocationList>("POST", peer_path(network, peer) + "/revoke-everywhere");
}

base::Result<api::RevocationList> Daemon::revoke_person(const std::string& network,
                                                        const std::string& person) const {
  const std::string path = "/persons/" + percent_encode(person);
  return call<api::RevocationList>("POST", network.empty()
                                               ? "/v1" + path + "/revoke-everywhere"
                                               : network_path(network) + path + "/revoke");
}

base::Result<api::AuthorityList> Daemon::show_authorities(const std::string& network) const {
  return call<api::AuthorityList>("GET", network_path(network) + "/ca");
}

base::Result<api::AuthorityList> Daemon::rotate_authority(
    const std::string& network, const api::AuthorityRotate& request) const {
  return call<api::AuthorityList>("POST", network_path(network) + "/ca/rotate",
                                  api::encode(request));
}

base::Result<api::SignedCertificate> Daemon::sign_certificate(
    const std::string& network, const api::CertificateSign& request) const {
  return call<api::SignedCertificate>("POST", network_path(network) + "/ca/sign",
                                      api::encode(request));
}

base::Result<api::CertificateList> Daemon::list_certificates(const std::string& network) const {
  return call<api::CertificateList>("GET", network_path(network) + "/certificates");
}

base::Result<api::CertificateView> Daemon::revoke_certificate(const std::string& network,
                                                              const std::string& serial) const {
  return call<api::CertificateView>(
      "POST", network_path(network) + "/certificates/" + percent_encode(serial) + "/revoke");
}

base::Result<std::string> Daemon::revocation_document(
    const std::string& network, bool der, std::optional<std::uint32_t> authority) const {
  std::string target = network_path(network) + (der ? "/crl.der" : "/crl.pem");
  if (authority) target += "?authority=" + std::to_string(*authority);
  WARREN_TRY_ASSIGN(HttpAnswer answer,
                    exchange({.method = "GET", .target = std::move(target), .body = {}}));
  if (answer.status == 200) return std::move(answer.body);
  return answer_error(answer, is_remote() ? "the gateway" : "the daemon");
}

base::Result<api::DoctorReport> Daemon::examine_certificates() const {
  return call<api::DoctorReport>("GET", "/v1/doctor/certificates");
}

base::Result<api::Reloaded> Daemon::reload() const {
  return call<api::Reloaded>("POST", "/v1/reload");
}

base::Result<api::VerifyReport> Daemon::repair(const std::string& network) const {
  return call<api::VerifyReport>("POST", network_path(network) + "/repair");
}

base::Result<api::AuditList> Daemon::audit_after(std::uint64_t number, std::size_t limit) const {
  return call<api::AuditList>(
      "GET", "/v1/audit?after=" + std::to_string(number) + "&limit=" + std::to_string(limit));
}

base::Result<api::AuditSpan> Daemon::audit_span() const {
  return call<api::AuditSpan>("GET", "/v1/audit/span");
}

base::Result<api::AuditList> Daemon::audit(std::size_t limit) const {
  return call<api::AuditList>("GET", "/v1/audit?limit=" + std::to_string(limit));
}

base::Result<api::TokenCreated> Daemon::create_token(const api::TokenCreate& request) const {
  return call<api::TokenCreated>("POST", "/v1/tokens", api::encode(request));
}

base::Result<api::TokenList> Daemon::list_tokens() const {
  return call<api::TokenList>("GET", "/v1/tokens");
}

base::Status Daemon::delete_token(const std::string& name) const {
  return without_value(call<api::Empty>("DELETE", "/v1/tokens/" + percent_encode(name)));
}

base::Status Daemon::listen(EventRequest& request,
                            const std::function<bool(const api::Event&)>& heard,
                            const std::function<base::Duration()>& tick) const {
  std::string target = "/v1/events?";
  if (!request.network.empty()) target += "network=" + percent_encode(request.network) + "&";
  if (request.after) target += "after=" + std::to_string(*request.after);
  while (target.ends_with('&') || target.ends_with('?')) target.pop_back();
  EventReader reader(heard);
  const auto answer =
      exchange({.method = "GET",
                .target = target,
                .body = {},
                .take = [&reader](std::string_view bytes) { return reader.take(bytes); },
                .tick = tick});
  if (reader.position()) request.after = reader.position();
  if (!answer) return base::Error(answer.error());
  if (answer->status != 200) return answer_error(*answer, "the daemon");
  return reader.problem();
}

}  // namespace warren::client
