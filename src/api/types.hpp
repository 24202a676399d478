// Requests and answers of the HTTP/JSON API, shared by server and command line.
//
// Every document carries "schema": 1. Routes (paths under /v1, over the unix socket):
//   GET    /status                                  -> Status
//   GET    /networks                                -> NetworkList
//   POST   /networks            NetworkCreate       -> NetworkView
//   GET    /networks/N                              -> NetworkView
//   PATCH  /networks/N          NetworkSet          -> NetworkView
//   DELETE /networks/N                              -> Empty
//   POST   /networks/N/stop | start | restart       -> NetworkView
//   GET    /networks/N/roles                        -> RoleList
//   POST   /networks/N/roles    RoleAdd             -> RoleView
//   PATCH  /networks/N/roles/R  RoleSet             -> RoleView
//   DELETE /networks/N/roles/R                      -> Empty
//   GET    /networks/N/policy                       -> PolicyView
//   PUT    /networks/N/policy   PolicySet           -> PolicyView
//   DELETE /networks/N/policy                       -> PolicyView
//   POST   /networks/N/policy/test  PolicyTest      -> PolicyAnswer
//   GET    /verify, /networks/N/verify              -> VerifyReport
//   POST   /networks/N/repair                       -> VerifyReport (what still differs then)
//   GET    /forwards                                -> ForwardList
//   POST   /networks/N/forwards ForwardAdd          -> ForwardView
//   DELETE /forwards/tcp/8080                       -> Empty
//   POST   /networks/N/invites  InviteRequest       -> Invitation
//   GET    /networks/N/peers                        -> PeerList
//   POST   /networks/N/peers    PeerAdd             -> PeerView
//   POST   /networks/N/peers/batch  PeerBatch       -> PeerList     (all of them, or none)
//   GET    /networks/N/peers/P                      -> PeerView
//   POST   /networks/N/peers/P/key     PeerKey      -> PeerView
//   POST   /networks/N/peers/P/rename  PeerRename   -> PeerView
//   GET    /networks/N/peers/P/profile              -> EnrolAnswer  (what its conf is made of)
//   GET    /networks/N/environment                  -> Environment  (variables of its services)
//   POST   /networks/N/peers/P/revoke               -> Revocation
//   POST   /networks/N/peers/P/revoke-everywhere    -> RevocationList (its key in every network)
//   POST   /networks/N/persons/WHO/revoke           -> RevocationList (all devices of a person)
//   POST   /persons/WHO/revoke-everywhere           -> RevocationList (in every network)
//   GET    /networks/N/ca                           -> AuthorityList
//   POST   /networks/N/ca/rotate AuthorityRotate    -> AuthorityList
//   POST   /networks/N/ca/sign   CertificateSign    -> SignedCertificate
//   GET    /networks/N/certificates                 -> CertificateList
//   POST   /networks/N/certificates/SERIAL/revoke   -> CertificateView
//   GET    /networks/N/crl.pem, crl.der             (no JSON: the lists of revoked certificates)
//   GET    /doctor/certificates                     -> DoctorReport
//   GET    /doctor/ports                            -> DoctorReport (the public ports, tried)
//   GET    /doctor/names                            -> DoctorReport (names inside, asked)
//   POST   /reload                                  -> Reloaded     (re-reads the settings)
//   GET    /audit?limit=N                           -> AuditList    (the newest, newest first)
//   GET    /audit?after=K&limit=N                   -> AuditList    (behind record K, oldest first)
//   GET    /audit/span                              -> AuditSpan
//   GET    /tokens                                  -> TokenList
//   POST   /tokens              TokenCreate         -> TokenCreated (the secret is shown once)
//   DELETE /tokens/T                                -> Empty
//   GET    /events?network=N&after=K                -> Event after Event, as text/event-stream
//   GET    /openapi.json                            -> all of this as an OpenAPI 3.1 document
// and on the enrolment listener (TLS):
//   POST   /enrol               EnrolRequest        -> EnrolAnswer
//   POST   /member/sync         MemberRequest       -> MemberState  (may wait; renews a lease)
//   POST   /member/leave        MemberRequest       -> MemberLeft
//   GET    /networks/N/crl.pem, crl.der             (as above: they are public)
// The two of members carry a proof of the member's key: docs/formats/member-api.md.
// Errors: {"schema":1,"error":{"kind":…,"message":…,"hint":…}} with 400 invalid, 403 not-permitted,
// 404 not-found, 409 conflict, 410 expired, 503 unavailable, 500 others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "api/certificates.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::api {

struct Empty {};

struct RoleAdd {
  std::string name;
  std::optional<std::string> range;   ///< "A-B" or a prefix inside the IPv4 subnet
  std::optional<std::string> range6;  ///< the same of IPv6
  std::optional<std::uint32_t> max_members;
  std::optional<std::uint32_t> expires_s;  ///< how long its memberships last
};
/// What shall change; an empty range or "none", and 0, take away.
struct RoleSet {
  std::optional<std::string> range;
  std::optional<std::string> range6;
  std::optional<std::uint32_t> max_members;
  std::optional<std::uint32_t> expires_s;
};
struct RoleView {
  std::string network;
  std::string name;
  std::string range;  ///< empty: whatever no other role holds
  std::string range6;
  std::uint32_t members = 0;
  std::uint32_t max_members = 0;  ///< 0: no limit of its own
  std::uint32_t expires_s = 0;    ///< 0: until it is ended
  bool is_default = false;        ///< of who is given none
};
struct RoleList {
  std::vector<RoleView> roles;
};

/// A policy's text (docs/formats/policy.md), line by line.
struct PolicySet {
  std::vector<std::string> lines;
};
struct PolicyView {
  std::string network;
  bool present = false;   ///< otherwise members reach each other
  bool in_force = false;  ///< the kernel holds it
  std::vector<std::string> lines;
  struct Rule {
    std::uint32_t line = 0;
    std::string text;
  };
  std::vector<Rule> rules;
  std::vector<std::string> warnings;
};
/// "gateway", "internet", a peer or a role; "tcp/22", "udp/53" or "icmp".
struct PolicyTest {
  std::string from;
  std::string to;    ///< a service of the policy stands for who offers it
  std::string port;  ///< "tcp/22", or a service; empty: those of the service in `to`
};
struct PolicyAnswer {
  std::string network;
  bool allowed = false;
  std::uint32_t line = 0;  ///< of the rule that decided; 0: none did
  std::string rule;
  std::string reason;  ///< where no rule decided
};

/// What is in force beside what is declared.
struct VerifyReport {
  std::vector<std::string> networks;  ///< those that were looked at
  struct Difference {
    std::string network;  ///< empty: the host's own
    std::string part;     ///< "host", "policy", "engine", "state"
    std::string what;     ///< "missing: address warren-lab wr… 10.20.0.1/32"
    std::string repair;   ///< as an administrator would type it; empty: none
  };
  std::vector<Difference> differences;
};

struct NetworkCreate {
  std::string name;
  std::optional<std::string> subnet;    ///< IPv4 prefix
  std::optional<std::string> subnet6;   ///< absent: a random ULA /64; "none": no IPv6
  std::optional<std::uint16_t> port;    ///< absent: the first free one of the configured range
  std::optional<std::string> endpoint;  ///< host that members dial; absent: the daemon's default
  std::vector<std::string> dns;
  bool nat = true;
  /// The gateway's own addresses, at most one per family; absent: the first of each subnet.
  std::vector<std::string> gateway_addresses;
  std::vector<std::string> reserve;  ///< never handed out: "A-B", "A/N" or "A"
  std::vector<RoleAdd> roles;
  std::optional<std::string> default_role;   ///< of who is given none; absent: member
  std::optional<std::uint32_t> max_members;  ///< 0: as many as any network may have
  std::optional<std::uint32_t> max_devices;  ///< members that one person may have; 0: no limit
  std::optional<bool> names;                 ///< the gateway answers for names inside
  std::optional<std::vector<std::string>> forwarders;  ///< asked for others; empty: the host's
  std::optional<std::string> attach;                   ///< a bridge or interface of the host
  std::optional<bool> host_access;  ///< the gateway's host has a route to the members
  /// Addresses of the host that the port is bound to, one per family; absent: all.
  std::optional<std::vector<std::string>> listen;
  /// An authority that is brought: its certificate, then its chain; and its key. PEM.
  std::optional<std::string> ca_certificates;
  std::optional<std::string> ca_key;
};

/// What shall change; absent members stay. The last four cannot change: they are accepted as they
/// are and refused with the reason otherwise.
struct NetworkSet {
  std::optional<std::string> endpoint;
  std::optional<std::vector<std::string>> dns;
  std::optional<bool> nat;
  std::optional<std::vector<std::string>> reserve;
  std::optional<std::string> default_role;
  std::optional<std::uint32_t> max_members;
  std::optional<std::uint32_t> max_devices;
  std::optional<bool> names;
  std::optional<std::vector<std::string>> forwarders;
  std::optional<bool> host_access;
  std::optional<std::string> subnet;
  std::optional<std::string> subnet6;
  std::optional<std::uint16_t> port;
  std::optional<std::vector<std::string>> gateway_addresses;
};

/// What an engine has said about itself last.
struct EngineReport {
  std::string features;  ///< in use: "offloads: tun …; udp …; aead …; workers 1 of 2"
  struct Counter {
    std::string name;
    std::uint64_t value = 0;
  };
  std::vector<Counter> counters;  ///< since it started; those that are 0 are left out
};

struct NetworkView {
  std::string id;
  std::string name;
  std::string subnet;  ///< empty: none
  std::string subnet6;
  std::string gateway;  ///< the gateway's address
  std::string gateway6;
  std::uint16_t port = 0;
  std::string endpoint;  ///< "host:port"
  std::string interface_name;
  std::string netns;
  std::string public_key;
  std::vector<std::string> dns;
  bool nat = true;
  std::uint32_t peers = 0;      ///< enrolled
  std::uint32_t connected = 0;  ///< with a handshake in the last 180 s
  std::string engine;           ///< "running", "restarting", "stopped"
  std::optional<EngineReport> engine_report;
  std::int64_t created = 0;  ///< seconds since 1970
  bool stopped = false;      ///< by `network stop`; otherwise its engine shall run
  std::vector<std::string> reserved;
  std::string default_role;
  std::vector<std::string> roles;  ///< those that were made
  std::uint32_t max_members = 0;   ///< 0: no limit of its own
  bool policy = false;             ///< has one
  std::uint32_t max_devices = 0;   ///< of one person; 0: no limit
  bool names = false;
  std::vector<std::string> forwarders;
  std::string attach;  ///< empty: none
  bool host_access = false;
  std::vector<std::string> listen;  ///< empty: all addresses of the host
  /// What is not wrong but may surprise: known when it is made, changed or shown.
  std::vector<std::string> warnings;
};
struct NetworkList {
  std::vector<NetworkView> networks;
};

struct ForwardAdd {
  std::string from;  ///< "8080/tcp", "53/udp"
  std::string peer;
  std::optional<std::uint16_t> to_port;  ///< absent: the same
};
struct ForwardView {
  std::string from;            ///< "8080/tcp"
  std::string public_address;  ///< "host:port" as the network's endpoint is named
  std::string network;
  std::string peer;
  std::string address;  ///< of the peer; empty: none
  std::string address6;
  std::uint16_t to_port = 0;
  /// "host:port" of each address that answers: the endpoint where it is one, and the host's own on
  /// the links that lead out, of the families that the member has.
  std::vector<std::string> public_addresses;
};
struct ForwardList {
  std::vector<ForwardView> forwards;
};

struct InviteRequest {
  std::string name;
  std::string role;
  std::uint32_t expires_s = 24 * 3600;
  std::uint32_t uses = 1;  ///< more: the token is good for the peers NAME-1, NAME-2 …
  /// Of those who join for a run only: how long one may be silent; absent: two minutes.
  std::optional<std::uint32_t> lease_s;
  std::optional<std::string> person;  ///< whose device it is; absent: nobody's
};
struct Invitation {
  std::string network;
  std::string name;
  std::string token;  ///< shown once
  std::int64_t expires = 0;
  std::uint32_t uses = 1;
};

/// A member that is added by hand.
struct PeerAdd {
  std::string name;
  std::string role;                        ///< empty: the network's default one
  std::optional<std::string> public_key;   ///< absent: the peer waits for its key
  std::vector<std::string> addresses;      ///< at most one per family; absent: the first free one
  std::optional<std::uint32_t> expires_s;  ///< absent: its membership does not end by itself
  std::optional<std::string> person;       ///< whose device it is; absent: nobody's
};
/// Several, in one transaction.
struct PeerBatch {
  std::vector<PeerAdd> peers;
};
struct PeerKey {
  std::string public_key;
};
struct PeerRename {
  std::string name;
};

struct PeerView {
  std::string network;
  std::string name;
  std::string role;
  /// "invited", "waits-for-key", "enrolled", "expired" (its membership or invitation), "revoked".
  std::string state;
  std::string address;
  std::string address6;
  std::string public_key;
  std::string endpoint;             ///< last seen from; empty: never
  std::int64_t last_handshake = 0;  ///< seconds since 1970; 0 = never
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
  std::int64_t invited = 0;
  std::int64_t enrolled = 0;
  std::int64_t revoked = 0;
  std::int64_t expires = 0;  ///< end of the membership, else of the invitation; 0: never
  std::optional<std::uint32_t> lease_s;       ///< of an ephemeral peer
  std::optional<std::uint32_t> lease_left_s;  ///< until it is put out, unless it is heard of
  /// Two endpoints that its packets come from by turns: the key is used in two places at once.
  std::vector<std::string> alternates;
  std::string person;  ///< whose device it is; empty: nobody's
};
struct PeerList {
  std::vector<PeerView> peers;
};

/// What was closed, in this order, and how long each took.
struct Revocation {
  std::string network;
  std::string name;
  struct StepTime {
    std::string step;  ///< "committed", "engine", "connections", "address"
    double ms = 0;
  };
  std::vector<StepTime> steps;
  double total_ms = 0;
  std::vector<std::string> pending;  ///< what failed and is being retried; empty when all is closed
};

/// Several at once, one transaction.
struct RevocationList {
  std::vector<Revocation> revocations;
  /// Keys that every network of this gateway refuses from now on, those to come too.
  std::vector<std::string> refused_keys;
  double total_ms = 0;
};

struct Status {
  std::string version;
  std::string state_dir;
  std::int64_t started = 0;
  std::uint32_t networks = 0;
  std::uint32_t peers = 0;
  bool ready = false;  ///< every network's engine runs
  std::vector<std::string> problems;
};

/// What came of reading the settings again.
struct Reloaded {
  std::vector<std::string> at_next_start;  ///< keys that changed and that a start alone reads
};

struct AuditEntry {
  std::uint64_t number = 0;  ///< 1, 2, 3 … without gaps
  std::int64_t time = 0;
  std::int64_t time_ns = 0;  ///< since 1970, as `chain` covers it
  std::string actor;
  std::string action;
  std::string target;
  std::string result;
  std::string chain;  ///< hex; empty in records that are older than the chain
};
/// What the audit's chain covers: the records behind `before`, up to `last`.
struct AuditSpan {
  std::uint64_t before = 0;
  std::string anchor;  ///< hex, of record `before`
  std::uint64_t last = 0;
  std::string head;  ///< hex, of record `last`
};
struct AuditList {
  std::vector<AuditEntry> records;
  /// Nothing up to this record is missing here that the asker may see: behind it goes who follows.
  std::optional<std::uint64_t> through;
};

/// A token for somebody who administers this gateway from elsewhere.
struct TokenCreate {
  std::string name;
  std::optional<std::string> network;  ///< the only one it is good for; absent: everything
  std::optional<bool> read_only;
  std::optional<std::uint32_t> expires_s;  ///< absent or 0: until it is deleted
};
struct TokenView {
  std::string name;
  std::string network;  ///< empty: good for everything
  bool read_only = false;
  std::int64_t created = 0;
  std::int64_t expires = 0;  ///< 0: never
};
struct TokenList {
  std::vector<TokenView> tokens;
};
struct TokenCreated {
  TokenView token;
  std::string secret;  ///< after "Authorization: Bearer"; shown once
  std::string bundle;  ///< for `warren remote add`; empty: no listener for administration
};

/// Something that happened: a record of the audit, taken apart.
struct Event {
  std::uint64_t number = 0;  ///< of the record
  std::int64_t time = 0;
  std::string kind;  ///< "connect", "disconnect", "enrol", "revoke", "change" or "refused"
  std::string actor;
  std::string action;
  std::string target;
  std::string network;  ///< empty: the gateway as a whole
  std::string peer;     ///< empty: none
  std::string result;
};

struct EnrolRequest {
  std::string secret;      ///< base64url of the 16 bytes
  std::string public_key;  ///< base64
  std::int64_t time = 0;   ///< the member's clock, seconds since 1970
  /// Joins for the duration of a run: it renews a lease and is put out when that ends.
  std::optional<bool> ephemeral;
  std::optional<std::string> certificate_request;  ///< PKCS#10, PEM
};
/// A variable for the programs of a member.
struct EnvironmentVariable {
  std::string name;
  std::string value;
};
/// What programs of a network's members are told of its services.
struct Environment {
  std::string network;
  std::vector<EnvironmentVariable> variables;
};
struct EnrolAnswer {
  std::string network;
  std::string name;
  std::string address;  ///< "10.20.0.2/24", empty: none
  std::string address6;
  std::string gateway;  ///< echo target
  std::string gateway6;
  std::string gateway_key;
  std::string endpoint;  ///< "host:port"
  std::vector<std::string> routes;
  std::vector<std::string> dns;  ///< name servers and search domains, as in a conf
  std::uint16_t mtu = 1420;
  std::optional<std::uint32_t> lease_s;  ///< of an ephemeral member
  std::optional<std::string> revision;   ///< of all the above, as in MemberState
  /// Certificates of the network's authorities, PEM; several during a roll-over.
  std::optional<std::string> authorities;
  std::optional<std::string> certificate;  ///< the answer to a request for one, PEM
  std::optional<std::vector<EnvironmentVariable>> environment;
};

/// What a member asks of its gateway; the connection it comes on carries the proof of its key.
struct MemberRequest {
  std::string network;
  std::string public_key;    ///< base64
  std::string proof;         ///< base64url of 32 bytes
  std::string revision;      ///< of the state that it has; empty: none
  std::uint32_t wait_s = 0;  ///< how long the answer may wait for another revision
  std::optional<std::string> certificate_request;  ///< PKCS#10, PEM
};
struct MemberState {
  std::string revision;
  EnrolAnswer profile;
  std::string enrol_at;    ///< "host:port" of this listener
  bool come_back = false;  ///< too many wait here: ask again in half a minute
};
struct MemberLeft {
  std::string network;
  std::string name;
};

// to_json/from_json for each type above are in api/json.hpp; from_json refuses unknown keys and
// wrong types with the key's name.

}  // namespace warren::api
