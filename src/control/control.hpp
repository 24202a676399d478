// Control: the use cases of the control plane. Each validates whole, commits with its audit record,
// applies, and reports. Runs on the daemon's one thread; the only writer of the state.
//
// A refused change leaves store and host untouched. A grant that cannot be applied is rolled back.
// A denial (revoke, delete) is committed first and never undone; what could not be applied at once
// is retried (`retry_pending`).
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/types.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "control/name_servers.hpp"
#include "model/network.hpp"
#include "pki/member_proof.hpp"
#include "plan/host.hpp"
#include "store/store.hpp"

namespace warren::control {

struct EnginePeer {
  base::PublicKey public_key;
  std::vector<base::Prefix> allowed_ips;
};
struct EnginePeerStatus {
  base::PublicKey public_key;
  std::optional<base::Endpoint> endpoint;
  base::WallTime last_handshake{};
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
};
/// What an engine runs with, as it says itself.
struct EngineFacts {
  bool has_the_key = false;  ///< its private key is the network's
  std::uint16_t port = 0;
  std::vector<EnginePeer> peers;
};
enum class EngineState : std::uint8_t { Running, Restarting, Stopped };

/// What an engine says about itself: the features in use, in a line, and its counters.
struct EngineReport {
  std::string features;
  std::vector<std::pair<std::string, std::uint64_t>> counters;
};

/// The engines of the gateway's networks. Implemented by gateway, faked in tests.
class EngineControl {
 public:
  virtual ~EngineControl() = default;
  /// Starts (or adopts) the engine of a network whose host objects exist, with these peers. It is
  /// kept running (restarted with configuration and hints) until `stop`.
  [[nodiscard]] virtual base::Status start(const store::StoredNetwork& network,
                                           const std::vector<EnginePeer>& peers) = 0;
  /// As `start`, in two halves, so that several engines start at once: the first sets the start
  /// going, the second returns when the engine runs. No other call for the network in between;
  /// after an error of the first there is no second.
  [[nodiscard]] virtual base::Status begin_start(const store::StoredNetwork& network,
                                                 const std::vector<EnginePeer>& peers) {
    return start(network, peers);
  }
  [[nodiscard]] virtual base::Status finish_start(model::NetworkId) { return {}; }
  /// Ends the engine; returns when the process is gone. NotFound: there is none, which is as good.
  [[nodiscard]] virtual base::Status stop(model::NetworkId network) = 0;
  /// The network is no more: whatever is kept for its next engine may go.
  virtual void forget(model::NetworkId) {}
  /// Adds a peer, or sets the allowed IPs of one that is there. An error means: not added.
  [[nodiscard]] virtual base::Status add_peer(model::NetworkId network, const EnginePeer& peer) = 0;
  /// Adds several; an error means: some of them, or none, were added.
  [[nodiscard]] virtual base::Status add_peers(model::NetworkId network,
                                               const std::vector<EnginePeer>& peers) {
    for (const EnginePeer& peer : peers) WARREN_TRY(add_peer(network, peer));
    return {};
  }
  /// Returns only when nothing of the peer can reach tun or UDP any more. NotFound: there is no
  /// such peer or no such engine, which is as good.
  [[nodiscard]] virtual base::Status remove_peer(model::NetworkId network,
                                                 const base::PublicKey& peer) = 0;
  [[nodiscard]] virtual base::Result<std::vector<EnginePeerStatus>> peers(
      model::NetworkId network) = 0;
  /// Reads the configuration of a running engine back.
  [[nodiscard]] virtual base::Result<EngineFacts> read_back(model::NetworkId network) = 0;
  [[nodiscard]] virtual EngineState state(model::NetworkId network) const = 0;
  /// The last report of a running engine; nullopt: none yet.
  [[nodiscard]] virtual std::optional<EngineReport> report(model::NetworkId) const {
    return std::nullopt;
  }
  /// Whether a UDP port can be bound now on these addresses of the host (all, when there are none).
  /// Conflict names what is known of its owner.
  [[nodiscard]] virtual base::Status check_port(std::uint16_t port,
                                                const std::vector<base::IpAddress>& listen) = 0;
};

/// The clocks, passed in.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual base::Instant now() const = 0;
  [[nodiscard]] virtual base::WallTime wall() const = 0;
};

struct Settings {
  plan::TransitPool transit;
  std::uint16_t first_port = 51820;  ///< range that ports of networks come from
  std::uint16_t last_port = 52819;
  std::string endpoint_host;  ///< what members dial by default; empty: --endpoint is required
  std::string enrol_at;       ///< "host:port" written into tokens; empty: the network's endpoint …
  std::uint16_t enrol_port = 0;  ///< … with this port
  /// "host:port" of the listener for administration, written into tokens; empty: there is none.
  std::string admin_at;
  std::array<std::uint8_t, 32> identity_pin{};  ///< SHA-256 of the identity key's SPKI
  base::Duration clock_tolerance = std::chrono::minutes(10);
  std::string state_dir;  ///< shown by `status`
};

/// A member that has proved its key.
struct Member {
  model::NetworkId network;
  model::PeerId peer;
};

/// Somebody who administers this gateway by a token.
struct Administrator {
  std::string token;                        ///< its name
  std::optional<model::NetworkId> network;  ///< the only one it is good for; nullopt: everything
  bool read_only = false;
  std::array<std::uint8_t, 32> secret_hash{};
};

/// Records as events, oldest first.
struct EventPage {
  std::vector<api::Event> events;
  std::uint64_t through = 0;  ///< the last record that was looked at
  bool more = false;          ///< there may be others behind it
};

/// The network that a record of the audit is about; empty: the gateway as a whole.
[[nodiscard]] std::string network_of(const std::string& action, const std::string& target);

enum class ListForm : std::uint8_t { Pem, Der };
/// Lists of revoked certificates as they are served; public data.
struct RevocationDocument {
  std::string content;
  std::string tag;  ///< another one for other content
};

class Control {
 public:
  struct Dependencies {
    store::Store& store;
    plan::Host& host;
    EngineControl& engines;
    Clock& clock;
    base::RandomSource& random;
    base::Log& log;
    NameServers* names = nullptr;  ///< nobody answers for names
  };
  Control(Dependencies dependencies, Settings settings);
  ~Control();

  /// Loads the state, applies pending denials, reconciles the host, starts or adopts every engine.
  /// Problems of single networks do not stop the others: they are listed by `status`.
  [[nodiscard]] base::Status start();
  /// New settings for what comes; running networks keep their sessions.
  void set_settings(Settings settings);

  /// `actor` is who asks, for the audit ("uid 0").
  [[nodiscard]] base::Result<api::NetworkView> create_network(const std::string& actor,
                                                              const api::NetworkCreate& request);
  [[nodiscard]] base::Status delete_network(const std::string& actor, const std::string& name);
  /// Endpoint, DNS, NAT and reserved ranges, without touching a session. Conflict, with the reason,
  /// for what cannot change.
  [[nodiscard]] base::Result<api::NetworkView> set_network(const std::string& actor,
                                                           const std::string& name,
                                                           const api::NetworkSet& request);
  /// Ends its engine, until `start_network` and across restarts of the daemon; everything else of
  /// the network stays. A stopped one is stopped again with success.
  [[nodiscard]] base::Result<api::NetworkView> stop_network(const std::string& actor,
                                                            const std::string& name);
  [[nodiscard]] base::Result<api::NetworkView> start_network(const std::string& actor,
                                                             const std::string& name);
  [[nodiscard]] base::Result<api::NetworkView> restart_network(const std::string& actor,
                                                               const std::string& name);
  [[nodiscard]] api::ForwardList list_forwards();
  [[nodiscard]] base::Result<api::ForwardView> add_forward(const std::string& actor,
                                                           const std::string& network,
                                                           const api::ForwardAdd& request);
  /// `from` is "8080/tcp". Its connections end. With a network: of that one alone; another's
  /// forward is as if it were not there.
  [[nodiscard]] base::Status delete_forward(const std::string& actor, const std::string& from,
                                            const std::optional<std::string>& network = {});
  [[nodiscard]] base::Result<api::RoleList> list_roles(const std::string& network);
  [[nodiscard]] base::Result<api::RoleView> add_role(const std::string& actor,
                                                     const std::string& network,
                                                     const api::RoleAdd& request);
  [[nodiscard]] base::Result<api::RoleView> set_role(const std::string& actor,
                                                     const std::string& network,
                                                     const std::string& role,
                                                     const api::RoleSet& request);
  [[nodiscard]] base::Status delete_role(const std::string& actor, const std::string& network,
                                         const std::string& role);
  [[nodiscard]] base::Result<api::PolicyView> show_policy(const std::string& network);
  /// In force when it returns, and connections that it does not allow are cut.
  [[nodiscard]] base::Result<api::PolicyView> set_policy(const std::string& actor,
                                                         const std::string& network,
                                                         const api::PolicySet& request);
  [[nodiscard]] base::Result<api::PolicyView> clear_policy(const std::string& actor,
                                                           const std::string& network);
  [[nodiscard]] base::Result<api::PolicyAnswer> test_policy(const std::string& network,
                                                            const api::PolicyTest& request);
  /// What is in force, read back, beside what is declared; of all networks for an empty name.
  [[nodiscard]] base::Result<api::VerifyReport> verify(const std::string& network);
  /// Whether each public port is listened on and reached from outside; nothing stays of the test.
  [[nodiscard]] base::Result<api::DoctorReport> check_ports();
  /// Whether each network that has names answers for them, and those whom it asks answer it.
  [[nodiscard]] base::Result<api::DoctorReport> check_names();
  /// Puts right what differs; what still does then is in the answer.
  [[nodiscard]] base::Result<api::VerifyReport> repair(const std::string& actor,
                                                       const std::string& network);
  [[nodiscard]] api::NetworkList list_networks();
  [[nodiscard]] base::Result<api::NetworkView> show_network(const std::string& name);
  [[nodiscard]] base::Result<api::Invitation> invite(const std::string& actor,
                                                     const std::string& network,
                                                     const api::InviteRequest& request);
  [[nodiscard]] base::Result<api::EnrolAnswer> enrol(const api::EnrolRequest& request);
  /// Who asks, when the request's proof is made with that member's key for this connection;
  /// NotFound otherwise, whatever is wrong. Renews its lease.
  [[nodiscard]] base::Result<Member> find_member(const api::MemberRequest& request,
                                                 const pki::Binding& binding);
  /// What the member needs now. NotPermitted: it was revoked, Expired: its time
  /// is over, NotFound: its record is gone.
  [[nodiscard]] base::Result<api::MemberState> member_state(const Member& member);
  /// The member goes by itself: every way in is closed and its record removed; its key is not
  /// refused.
  [[nodiscard]] base::Result<api::MemberLeft> leave(const Member& member);
  /// Called after each change of what `member_state` says: to one peer, else to all of a network.
  using Changed = std::function<void(model::NetworkId, std::optional<model::PeerId>)>;
  void on_change(Changed changed);
  /// A member whose key is handed in, now or later.
  [[nodiscard]] base::Result<api::PeerView> add_peer(const std::string& actor,
                                                     const std::string& network,
                                                     const api::PeerAdd& request);
  /// All of them in one transaction, or none.
  [[nodiscard]] base::Result<api::PeerList> add_peers(const std::string& actor,
                                                      const std::string& network,
                                                      const api::PeerBatch& request);
  /// The key of a peer that waits for one. The same key again changes nothing.
  [[nodiscard]] base::Result<api::PeerView> set_peer_key(const std::string& actor,
                                                         const std::string& network,
                                                         const std::string& peer,
                                                         const api::PeerKey& request);
  [[nodiscard]] base::Result<api::PeerView> rename_peer(const std::string& actor,
                                                        const std::string& network,
                                                        const std::string& peer,
                                                        const api::PeerRename& request);
  /// Everything a conf for this peer needs but its private key.
  [[nodiscard]] base::Result<api::EnrolAnswer> peer_profile(const std::string& network,
                                                            const std::string& peer);
  /// What the name server of a network answers; nullopt: it has none, or none that shall run.
  [[nodiscard]] std::optional<model::NameZone> name_zone(model::NetworkId network) const;
  /// What programs of its members are told of its services.
  [[nodiscard]] base::Result<api::Environment> environment(const std::string& network) const;
  [[nodiscard]] base::Result<api::PeerList> list_peers(const std::string& network);
  [[nodiscard]] base::Result<api::PeerView> show_peer(const std::string& network,
                                                      const std::string& peer);
  [[nodiscard]] base::Result<api::Revocation> revoke(const std::string& actor,
                                                     const std::string& network,
                                                     const std::string& peer);
  /// As `revoke`, and the key of the peer (of the last one of that name) is refused in every
  /// network of this gateway, those to come too: whoever has it in another one is revoked as well.
  [[nodiscard]] base::Result<api::RevocationList> revoke_everywhere(const std::string& actor,
                                                                    const std::string& network,
                                                                    const std::string& peer);
  /// Every device of a person in a network. For an empty network: in all of them, and the keys are
  /// refused everywhere.
  [[nodiscard]] base::Result<api::RevocationList> revoke_person(const std::string& actor,
                                                                const std::string& network,
                                                                const std::string& person);
  [[nodiscard]] base::Result<api::AuthorityList> show_authorities(const std::string& network);
  /// Another authority signs from now on; the old ones are accepted until all members have renewed.
  [[nodiscard]] base::Result<api::AuthorityList> rotate_authority(
      const std::string& actor, const std::string& network, const api::AuthorityRotate& request);
  /// As PEM those of all authorities, the current one's first; as DER the current one's; or those
  /// of the authority that is asked for. Never over, also when nobody asked for long.
  [[nodiscard]] base::Result<RevocationDocument> revocation_document(
      const std::string& network, ListForm form, std::optional<std::uint32_t> authority);
  /// The list of one authority, which is known by the SHA-256 of its certificate (64 hex digits);
  /// of one that is no more, the last, while something that it issued would still be good. NotFound
  /// says nothing of what there is.
  [[nodiscard]] base::Result<RevocationDocument> published_list(const std::string& fingerprint,
                                                                ListForm form);
  /// What a member asks for itself; PEM, empty when it gets none now.
  [[nodiscard]] base::Result<std::string> issue_certificate(const Member& member,
                                                            const std::string& request_pem);
  [[nodiscard]] base::Result<api::SignedCertificate> sign_certificate(
      const std::string& actor, const std::string& network, const api::CertificateSign& request);
  [[nodiscard]] base::Result<api::CertificateList> list_certificates(const std::string& network);
  /// One of them; on the list when it returns.
  [[nodiscard]] base::Result<api::CertificateView> revoke_certificate(const std::string& actor,
                                                                      const std::string& network,
                                                                      const std::string& serial);
  /// What runs out, or is about to.
  [[nodiscard]] api::DoctorReport examine_certificates() const;
  /// When the certificate of the gateway's own listener ends.
  void set_gateway_certificate_end(base::WallTime end);
  [[nodiscard]] api::Status status();
  /// The newest records, newest first.
  [[nodiscard]] base::Result<api::AuditList> audit(std::size_t limit);
  /// Those behind record `number`, oldest first.
  [[nodiscard]] base::Result<api::AuditList> audit_after(std::uint64_t number, std::size_t limit);
  /// The same two of one network alone, without the chain, which is of all. An older network of the
  /// same name is another one. Of each call a bounded number of records is looked at.
  [[nodiscard]] base::Result<api::AuditList> audit_of(const std::string& network,
                                                      std::size_t limit);
  [[nodiscard]] base::Result<api::AuditList> audit_of_after(const std::string& network,
                                                            std::uint64_t number,
                                                            std::size_t limit);
  [[nodiscard]] base::Result<api::AuditSpan> audit_span();
  /// Forgets the records that are older than this, and records how many they were.
  [[nodiscard]] base::Result<std::uint64_t> forget_audit(base::Duration keep);
  /// Of the `limit` records behind record `number` those of this network, or (empty) all.
  [[nodiscard]] base::Result<EventPage> events_after(std::uint64_t number, std::size_t limit,
                                                     const std::string& network = {});
  /// Called after records were added to the audit.
  void on_record(std::function<void()> recorded);

  /// A token for remote administration; its secret is in the answer and nowhere else.
  [[nodiscard]] base::Result<api::TokenCreated> create_token(const std::string& actor,
                                                             const api::TokenCreate& request);
  [[nodiscard]] api::TokenList list_tokens() const;
  [[nodiscard]] base::Status delete_token(const std::string& actor, const std::string& name);
  /// Whose secret this is. NotPermitted: nobody's, or its time is over.
  [[nodiscard]] base::Result<Administrator> find_administrator(base::Bytes secret) const;
  /// Its token is still the same, and its time is not over.
  [[nodiscard]] bool is_valid(const Administrator& administrator) const;
  /// The present name of a network; empty when it is gone.
  [[nodiscard]] std::string network_name(model::NetworkId id) const;

  /// Ends the memberships whose time is over, tries again what a denial could not apply and
  /// networks that could not be brought up; true when nothing is left.
  bool retry_pending();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::control
