// The daemon's API as typed calls: over its unix socket, or over TLS to a gateway somewhere else.
// Each call is one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "api/types.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/http.hpp"
#include "client/limits.hpp"
#include "client/remotes.hpp"

namespace warren::client {

/// Errors are the daemon's own, or: Unavailable "the daemon is not running", NotPermitted when the
/// socket may not be opened.
class Daemon {
 public:
  explicit Daemon(std::string socket_path, base::Duration timeout = kDaemonTimeout)
      : where_(std::move(socket_path)), timeout_(timeout) {}

  explicit Daemon(Remote remote, base::Duration timeout = kDaemonTimeout)
      : where_(std::move(remote)), timeout_(timeout) {}
  /// One that cannot be asked: every call gives this error.
  explicit Daemon(base::Error why) : where_(std::move(why)), timeout_(kDaemonTimeout) {}
  /// It is somewhere else: its namespaces and files are not to be had here.
  [[nodiscard]] bool is_remote() const { return std::holds_alternative<Remote>(where_); }

  [[nodiscard]] base::Result<api::Status> status() const;
  [[nodiscard]] base::Result<api::NetworkList> list_networks() const;
  [[nodiscard]] base::Result<api::NetworkView> create_network(const api::NetworkCreate& r) const;
  [[nodiscard]] base::Result<api::NetworkView> show_network(const std::string& name) const;
  [[nodiscard]] base::Status delete_network(const std::string& name) const;
  [[nodiscard]] base::Result<api::NetworkView> set_network(const std::string& name,
                                                           const api::NetworkSet& request) const;
  /// `verb` is "stop", "start" or "restart".
  [[nodiscard]] base::Result<api::NetworkView> switch_network(const std::string& name,
                                                              const std::string& verb) const;
  [[nodiscard]] base::Result<api::RoleList> list_roles(const std::string& network) const;
  [[nodiscard]] base::Result<api::RoleView> add_role(const std::string& network,
                                                     const api::RoleAdd& request) const;
  [[nodiscard]] base::Result<api::RoleView> set_role(const std::string& network,
                                                     const std::string& role,
                                                     const api::RoleSet& request) const;
  [[nodiscard]] base::Status delete_role(const std::string& network, const std::string& role) const;
  [[nodiscard]] base::Result<api::PolicyView> show_policy(const std::string& network) const;
  [[nodiscard]] base::Result<api::PolicyView> set_policy(const std::string& network,
                                                         const api::PolicySet& request) const;
  [[nodiscard]] base::Result<api::PolicyView> clear_policy(const std::string& network) const;
  [[nodiscard]] base::Result<api::PolicyAnswer> test_policy(const std::string& network,
                                                            const api::PolicyTest& request) const;
  /// What programs of its members are told of its services.
  [[nodiscard]] base::Result<api::Environment> environment(const std::string& network) const;
  /// Of all networks for an empty name.
  [[nodiscard]] base::Result<api::VerifyReport> verify(const std::string& network) const;
  /// Whether each public port is listened on, and reached from outside.
  [[nodiscard]] base::Result<api::DoctorReport> check_ports() const;
  [[nodiscard]] base::Result<api::DoctorReport> check_names() const;
  [[nodiscard]] base::Result<api::ForwardList> list_forwards() const;
  [[nodiscard]] base::Result<api::ForwardView> add_forward(const std::string& network,
                                                           const api::ForwardAdd& request) const;
  [[nodiscard]] base::Status delete_forward(const std::string& protocol, std::uint16_t port) const;
  [[nodiscard]] base::Result<api::Invitation> invite(const std::string& network,
                                                     const api::InviteRequest& request) const;
  [[nodiscard]] base::Result<api::PeerList> list_peers(const std::string& network) const;
  [[nodiscard]] base::Result<api::PeerView> show_peer(const std::string& network,
                                                      const std::string& peer) const;
  [[nodiscard]] base::Result<api::PeerView> add_peer(const std::string& network,
                                                     const api::PeerAdd& request) const;
  [[nodiscard]] base::Result<api::PeerList> add_peers(const std::string& network,
                                                      const api::PeerBatch& request) const;
  [[nodiscard]] base::Result<api::PeerView> set_peer_key(const std::string& network,
                                                         const std::string& peer,
                                                         const api::PeerKey& request) const;
  [[nodiscard]] base::Result<api::PeerView> rename_peer(const std::string& network,
                                                        const std::string& peer,
                                                        const api::PeerRename& request) const;
  [[nodiscard]] base::Result<api::EnrolAnswer> peer_profile(const std::string& network,
                                                            const std::string& peer) const;
  [[nodiscard]] base::Result<api::Revocation> revoke(const std::string& network,
                                                     const std::string& peer) const;
  [[nodiscard]] base::Result<api::RevocationList> revoke_everywhere(const std::string& network,
                                                                    const std::string& peer) const;
  /// On the whole gateway for an empty network.
  [[nodiscard]] base::Result<api::RevocationList> revoke_person(const std::string& network,
                                                                const std::string& person) const;
  [[nodiscard]] base::Result<api::AuthorityList> show_authorities(const std::string& network) const;
  [[nodiscard]] base::Result<api::AuthorityList> rotate_authority(
      const std::string& network, const api::AuthorityRotate& request) const;
  [[nodiscard]] base::Result<api::SignedCertificate> sign_certificate(
      const std::string& network, const api::CertificateSign& request) const;
  [[nodiscard]] base::Result<api::CertificateList> list_certificates(
      const std::string& network) const;
  [[nodiscard]] base::Result<api::CertificateView> revoke_certificate(
      const std::string& network, const std::string& serial) const;
  /// Lists of revoked certificates as they are: PEM, or one in DER.
  [[nodiscard]] base::Result<std::string> revocation_document(
      const std::string& network, bool der, std::optional<std::uint32_t> authority) const;
  [[nodiscard]] base::Result<api::DoctorReport> examine_certificates() const;
  [[nodiscard]] base::Result<api::Reloaded> reload() const;
  [[nodiscard]] base::Result<api::VerifyReport> repair(const std::string& network) const;
  /// The newest records, newest first.
  [[nodiscard]] base::Result<api::AuditList> audit(std::size_t limit) const;
  /// Those behind `number`, oldest first.
  [[nodiscard]] base::Result<api::AuditList> audit_after(std::uint64_t number,
                                                         std::size_t limit) const;
  [[nodiscard]] base::Result<api::AuditSpan> audit_span() const;
  [[nodiscard]] base::Result<api::TokenCreated> create_token(const api::TokenCreate& request) const;
  [[nodiscard]] base::Result<api::TokenList> list_tokens() const;
  [[nodiscard]] base::Status delete_token(const std::string& name) const;

  struct EventRequest {
    std::string network;                 ///< empty: all
    std::optional<std::uint64_t> after;  ///< absent: those to come
  };
  /// Calls `heard` with each event until it gives false or the stream ends; `tick` as
  /// HttpRequest's. Ends without an error when the daemon ended it. `request` then asks for what
  /// comes after.
  [[nodiscard]] base::Status listen(EventRequest& request,
                                    const std::function<bool(const api::Event&)>& heard,
                                    const std::function<base::Duration()>& tick) const;

 private:
  template <typename T>
  [[nodiscard]] base::Result<T> call(std::string method, std::string target,
                                     std::string body = {}) const;

  [[nodiscard]] base::Result<HttpAnswer> exchange(HttpRequest request) const;

  std::variant<std::string, Remote, base::Error> where_;  ///< the path of a socket
  base::Duration timeout_;
};

}  // namespace warren::client
