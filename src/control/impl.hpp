// What the use cases share: the state in memory (memory.hpp) and the ways to change it. Private to
// this module; one .cpp per use case.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/control.hpp"
#include "control/memory.hpp"
#include "model/policy_table.hpp"
#include "plan/host_network.hpp"
#include "store/store.hpp"

namespace warren::control {

/// Who asks for what, as the audit shows it.
struct Request {
  std::string actor;
  std::string action;
  std::string target;
};

struct Control::Impl : Memory {
  Impl(Dependencies dependencies, Settings initial);
  ~Impl();

  // --- control.cpp: the state ---
  [[nodiscard]] base::Status start();
  void set_settings(Settings next);
  /// Makes the changes durable with an "ok" record, then applies them to the state in memory.
  [[nodiscard]] base::Status commit(const std::vector<store::Change>& changes,
                                    const Request& request);
  /// As `commit`, without waiting for the disk (store::Store::commit_soon).
  [[nodiscard]] base::Status commit_soon(const std::vector<store::Change>& changes,
                                         const Request& request);
  [[nodiscard]] store::AuditRecord audit_record(const Request& request, std::string result) const;
  /// Records a refusal; a store that cannot even do this is logged.
  void record_refusal(const Request& request, const base::Error& error);
  /// Runs a use case; a refusal is recorded and gets `what` before its message.
  template <typename UseCase>
  auto audited(const Request& request, std::string_view what, UseCase&& use_case) {
    auto result = std::forward<UseCase>(use_case)();
    if (!result) record_refusal(request, result.error());
    return std::move(result).within(what);
  }
  void log(base::LogLevel level, const std::string& message) {
    deps.log.write(level, "control", message);
  }

  // --- control.cpp: finding ---
  [[nodiscard]] base::Result<model::Network> find_network(const std::string& name) const;
  /// The invited or enrolled peer of this name; nullptr: none.
  [[nodiscard]] const model::Peer* current_peer(model::NetworkId network,
                                                std::string_view name) const;
  [[nodiscard]] base::Error unknown_peer(const model::Network& network,
                                         const std::string& name) const;

  // --- host.cpp: the host and the engines ---
  /// The networks that the host must have; those in `unapplied` are left out.
  [[nodiscard]] std::vector<plan::HostNetwork> desired_host() const;
  [[nodiscard]] base::Status reconcile_host();
  /// Brings up as many networks as can be; the others go to `unapplied` with their problem.
  void reconcile_what_can_be();
  /// Without those in `unapplied`; a failure is kept to be tried again.
  void reconcile_the_rest();
  [[nodiscard]] base::Status start_engine(model::NetworkId id);
  /// Those of all networks that the host has, several at once; what fails goes to `engineless`.
  void start_engines();
  /// The members that the network's engine is to know.
  [[nodiscard]] std::vector<EnginePeer> members_for_engine(model::NetworkId id) const;
  [[nodiscard]] static EnginePeer engine_peer(const model::Peer& peer);

  // --- networks.cpp ---
  [[nodiscard]] base::Result<api::NetworkView> create_network(const Request& request,
                                                              const api::NetworkCreate& wanted);
  /// Removes what `create_network` did; the reason with what could not be undone.
  [[nodiscard]] base::Error undo_create(const Request& request, const model::Network& network,
                                        base::Error reason);
  [[nodiscard]] base::Status delete_network(const Request& request, const std::string& name);
  bool retry_networks();
  /// Ends the engine of a network that is stopped; what fails is retried.
  void end_engine(const model::Network& network);
  /// Tries the networks again that could not be brought up.
  bool bring_up_the_rest();

  // --- network_changes.cpp ---
  [[nodiscard]] base::Result<api::NetworkView> set_network(const Request& request,
                                                           const std::string& name,
                                                           const api::NetworkSet& wanted);
  /// The network as `wanted` would have it; Invalid or Conflict when that may not be.
  [[nodiscard]] base::Result<model::Network> changed_network(const model::Network& network,
                                                             const api::NetworkSet& wanted) const;
  [[nodiscard]] base::Status check_reserved(const model::Network& network) const;
  [[nodiscard]] base::Result<api::NetworkView> stop_network(const Request& request,
                                                            const std::string& name);
  [[nodiscard]] base::Result<api::NetworkView> start_network(const Request& request,
                                                             const std::string& name);
  [[nodiscard]] base::Result<api::NetworkView> restart_network(const Request& request,
                                                               const std::string& name);
  /// Commits a network that differs in its settings alone.
  [[nodiscard]] base::Status commit_network(const Request& request, const model::Network& network);

  // --- forwards.cpp ---
  [[nodiscard]] api::ForwardList list_forwards() const;
  [[nodiscard]] api::ForwardView forward_view(const model::Forward& forward) const;
  [[nodiscard]] base::Result<api::ForwardView> add_forward(const Request& request,
                                                           const std::string& network,
                                                           const api::ForwardAdd& wanted);
  /// Adds the addresses that forwards answer on.
  void add_public_addresses(std::vector<api::ForwardView>& forwards) const;
  [[nodiscard]] base::Status check_port_is_free(const model::PublicPort& port);
  [[nodiscard]] base::Status delete_forward(const Request& request, const std::string& from,
                                            const std::optional<std::string>& network);
  [[nodiscard]] std::vector<plan::HostForward> host_forwards(model::NetworkId network) const;
  [[nodiscard]] plan::HostForward host_forward(const model::Forward& forward) const;
  /// What the host must have of a network.
  [[nodiscard]] plan::HostNetwork host_network(const model::Network& network) const;
  /// Takes the peer's forwards, which the state has no more, from the host, and ends their
  /// connections.
  [[nodiscard]] base::Status close_forwards(const model::Peer& peer);

  // --- network_choice.cpp: from a request to a whole, valid network ---
  [[nodiscard]] base::Result<model::Network> choose_network(const api::NetworkCreate& wanted);
  [[nodiscard]] base::Status choose_subnets(const api::NetworkCreate& wanted,
                                            model::Network& network);
  [[nodiscard]] base::Status choose_port(const api::NetworkCreate& wanted, model::Network& network);
  [[nodiscard]] base::Status choose_endpoint(const api::NetworkCreate& wanted,
                                             model::Network& network) const;
  [[nodiscard]] base::Status choose_transit(model::Network& network);
  [[nodiscard]] static base::Status choose_gateway(const std::vector<std::string>& wanted,
                                                   model::Network& network);
  /// NotPermitted where the daemon runs without root. `instead` is an option that asks for less.
  [[nodiscard]] base::Status check_may_change_host(const std::string& what,
                                                   const std::string& instead) const;
  [[nodiscard]] static base::Status choose_listen(const std::vector<std::string>& wanted,
                                                  model::Network& network);
  [[nodiscard]] static base::Status choose_reserved(const std::vector<std::string>& wanted,
                                                    model::Network& network);
  /// Conflict when members could not reach the endpoint for the subnet.
  [[nodiscard]] static base::Status check_endpoint_outside(const model::Network& network);
  [[nodiscard]] static base::Status set_endpoint(const std::string& host, model::Network& network);
  [[nodiscard]] static base::Status set_dns(const std::vector<std::string>& servers,
                                            model::Network& network);
  [[nodiscard]] std::vector<std::string> warnings_of(const model::Network& network);
  [[nodiscard]] model::NetworkId choose_id();

  // --- segment.cpp: networks on a segment of the host's, and the host on a network ---
  [[nodiscard]] base::Status choose_attach(const api::NetworkCreate& wanted,
                                           model::Network& network);
  /// Conflict, with the owner, when a route to the members has another meaning on the host already.
  [[nodiscard]] base::Status check_host_access(const model::Network& network) const;
  /// What is known of addresses of the segment that a network is attached to: the owner, or empty
  /// when nobody answered for it. Asks for what was not asked a moment ago, all at once.
  [[nodiscard]] base::Status look_at_segment(const model::Network& network,
                                             const std::vector<base::IpAddress>& addresses);
  [[nodiscard]] std::string seen_owner(const model::Network& network,
                                       const base::IpAddress& address) const;
  /// The gateway, or the member, of another network on the same link that has the address.
  [[nodiscard]] std::string owner_beside(const model::Network& network,
                                         const base::IpAddress& address) const;
  /// From an address that another network on the same link has to the last one behind it without a
  /// gap; nullopt: none has it.
  [[nodiscard]] std::optional<model::AddressRange> held_beside(
      const model::Network& network, const base::IpAddress& address) const;
  /// As next_address, and no other network on the same link has it: those are added to `taken`.
  [[nodiscard]] base::Result<base::IpAddress> next_beside(const model::Network& network,
                                                          const model::Role& role,
                                                          const base::Prefix& subnet,
                                                          std::vector<model::AddressRange>& taken);
  /// Conflict when somebody on the segment has one of the addresses.
  [[nodiscard]] base::Status check_unused(const model::Network& network,
                                          const std::vector<base::IpAddress>& addresses,
                                          const std::string& hint);
  /// The next addresses that could be handed out, when it is not known who has the first of them.
  [[nodiscard]] std::vector<base::IpAddress> next_to_ask(const model::Network& network,
                                                         const model::Role& role,
                                                         const base::Prefix& subnet,
                                                         std::vector<model::AddressRange> taken);
  /// Asks the network's segment, if it has one, for the addresses of both families that would be
  /// next for this peer and others, unless that is known.
  [[nodiscard]] base::Status look_ahead(const model::Network& network, const model::Role& role,
                                        const model::Peer& peer,
                                        const std::vector<model::AddressRange>& taken);
  /// As next_address, and nobody on the network's segment has it.
  [[nodiscard]] base::Result<base::IpAddress> next_unused(const model::Network& network,
                                                          const model::Role& role,
                                                          const base::Prefix& subnet,
                                                          std::vector<model::AddressRange> taken);
  [[nodiscard]] std::vector<base::IpAddress> attached_members(const model::Network& network) const;
  /// Lets a member come or go on its network's segment; nothing to do where there is none.
  [[nodiscard]] base::Status change_attachment(const model::Peer& peer, bool comes);
  /// What keeps a network from its segment; success: nothing does, or it has none.
  [[nodiscard]] base::Status check_segment(const model::Network& network) const;
  [[nodiscard]] std::vector<std::string> segment_warnings(const model::Network& network) const;
  /// Adds what of the host's filters keeps members and the hosts of their bridge apart.
  void check_bridge(const model::Network& network, std::vector<std::string>& warnings);
  [[nodiscard]] std::map<model::NetworkId, std::optional<std::uint32_t>> present_segments() const;
  /// Brings networks to segments that are there again, and away from those that are not.
  void follow_segments();

  // --- ports.cpp ---
  [[nodiscard]] base::Result<api::DoctorReport> check_ports();
  /// Failed when somebody's packet filter keeps members from the world, with the rule that it
  /// needs; what cannot be told so exactly is added to the warnings.
  [[nodiscard]] base::Status check_way_out(const model::Network& network,
                                           std::vector<std::string>& warnings);

  // --- invitations.cpp, enrolment.cpp ---
  [[nodiscard]] base::Result<api::Invitation> invite(const Request& request,
                                                     const std::string& network,
                                                     const api::InviteRequest& wanted);
  /// Where members enrol: as configured, otherwise at the host they will dial anyway.
  [[nodiscard]] std::string enrolment_address(const model::Network& network) const;
  /// Gives the peer the first free address of each family that it has none of yet.
  /// Those of `also`, which are not in the state yet, are taken too.
  [[nodiscard]] base::Status choose_addresses(const model::Network& network, model::Peer& peer,
                                              const std::vector<model::Peer>& also = {});
  /// The peer that a token will admit: a new one, or one of that name that waits or whose token
  /// lapsed.
  [[nodiscard]] base::Result<model::Peer> invited_peer(const model::Network& network,
                                                       const model::Role& role,
                                                       const std::string& name,
                                                       const std::vector<model::Peer>& also);
  /// The place of a token for whoever presents its secret and this key: the one that the key has,
  /// otherwise the first free one, otherwise any; nullptr when the secret is not known.
  [[nodiscard]] const model::Token* find_place(base::Bytes secret, const std::string& key) const;
  /// Conflict when the network may not have so many members more.
  [[nodiscard]] base::Status check_room(const model::Network& network, std::size_t more = 1) const;
  [[nodiscard]] base::Result<api::EnrolAnswer> enrol(const api::EnrolRequest& request);
  [[nodiscard]] base::Result<api::EnrolAnswer> enrol_peer(const Request& request,
                                                          const api::EnrolRequest& wanted,
                                                          const model::Token& token);
  [[nodiscard]] base::Status check_key(const model::Network& network, const model::Peer& peer,
                                       const base::PublicKey& key) const;
  /// Tells the engine of a peer; nothing to do while its network is stopped.
  [[nodiscard]] base::Status configure(const model::Peer& peer);
  /// Commits `changes`, which give `peer` its key, and configures the engine; when that fails,
  /// commits `inverse` and takes the key out again.
  [[nodiscard]] base::Status grant(const Request& request, const model::Peer& peer,
                                   const std::vector<store::Change>& changes,
                                   const std::vector<store::Change>& inverse);
  /// `more` is committed with it.
  [[nodiscard]] base::Status admit(const Request& request, const model::Token& token,
                                   const base::PublicKey& key, bool ephemeral,
                                   const std::vector<store::Change>& more);
  [[nodiscard]] api::EnrolAnswer enrol_answer(const model::Network& network,
                                              const model::Peer& peer) const;

  // --- members.cpp: those who ask for themselves ---
  /// Applies what was committed to the state in memory and tells who waits for it.
  void take_in(const std::vector<store::Change>& changes);
  void know_key(const model::Peer& peer);
  void forget_key(const model::Peer& peer);
  /// Indexes the peers of the state and gives every ephemeral member a whole lease.
  void know_members();
  void tell_changed(model::NetworkId network, std::optional<model::PeerId> peer) const {
    if (changed) changed(network, peer);
    if (deps.names != nullptr) deps.names->changed(network);
  }
  [[nodiscard]] base::Result<Member> find_member(const api::MemberRequest& request,
                                                 const pki::Binding& binding);
  [[nodiscard]] base::Result<api::MemberState> member_state(const Member& member);
  [[nodiscard]] api::MemberState told_to(const model::Network& network,
                                         const model::Peer& peer) const;
  [[nodiscard]] base::Result<api::MemberLeft> leave(const Member& member);
  void renew_lease(const model::Peer& peer);
  /// Enrolled, ephemeral and silent for longer than its lease.
  [[nodiscard]] bool lease_is_over(const model::Peer& peer, base::Instant now) const;
  /// Finds members whose packets come from two places by turns.
  void look_at_endpoint(model::PeerId member, const base::Endpoint& endpoint);
  [[nodiscard]] std::vector<std::string> alternating_endpoints(const model::Peer& peer) const;

  // --- presence.cpp: who is connected ---
  /// Looks at what engines say of their members, some networks at a time, and records who came and
  /// who went.
  void look_at_members();
  /// For the audit: who is connected and should be no more.
  void find_gone();
  void note_presence(const model::Peer& peer, const EnginePeerStatus& seen, bool first);
  void record_presence();

  // --- api_tokens.cpp: administrators from elsewhere ---
  [[nodiscard]] base::Result<api::TokenCreated> create_token(const Request& request,
                                                             const api::TokenCreate& wanted);
  [[nodiscard]] base::Status delete_token(const Request& request, const std::string& name);
  [[nodiscard]] api::TokenView token_view(const store::ApiToken& token) const;
  void tell_recorded() const {
    if (recorded) recorded();
  }

  // --- roles.cpp ---
  [[nodiscard]] static std::string default_role(const model::Network& network);
  /// The role of this name, the network's default one when it is left out; Invalid with the
  /// nearest name otherwise.
  [[nodiscard]] static base::Result<model::Role> role_for(const model::Network& network,
                                                          const std::string& wanted);
  /// Whether members of the role may have this address, which the network's members may.
  [[nodiscard]] base::Status check_role_address(const model::Network& network,
                                                const model::Role& role,
                                                const base::IpAddress& address) const;
  [[nodiscard]] base::Result<base::IpAddress> next_address(
      const model::Network& network, const model::Role& role, const base::Prefix& subnet,
      const std::vector<model::AddressRange>& also);
  /// Conflict when the role may not have so many members more.
  [[nodiscard]] base::Status check_role_room(const model::Network& network, const model::Role& role,
                                             std::size_t more = 1) const;
  [[nodiscard]] std::size_t members_of_role(const model::Network& network,
                                            const std::string& role) const;
  [[nodiscard]] base::Result<model::Role> changed_role(const model::Network& network,
                                                       model::Role role,
                                                       const api::RoleSet& wanted) const;
  [[nodiscard]] base::Status insert_role(model::Network& network, const api::RoleAdd& wanted) const;
  [[nodiscard]] api::RoleView role_view(const model::Network& network,
                                        const model::Role& role) const;
  [[nodiscard]] base::Result<api::RoleList> list_roles(const std::string& network) const;
  [[nodiscard]] base::Result<api::RoleView> add_role(const Request& request,
                                                     const std::string& network,
                                                     const api::RoleAdd& wanted);
  [[nodiscard]] base::Result<api::RoleView> set_role(const Request& request,
                                                     const std::string& network,
                                                     const std::string& name,
                                                     const api::RoleSet& wanted);
  [[nodiscard]] base::Status delete_role(const Request& request, const std::string& network,
                                         const std::string& name);

  // --- policy.cpp ---
  /// What the text of a network's policy says; nullptr: it has none. Good until the next call for
  /// this network.
  [[nodiscard]] const model::Policy* document_of(const model::Network& network) const;
  /// The same where it filters; nullptr: members reach each other.
  [[nodiscard]] const model::Policy* policy_of(const model::Network& network) const;
  [[nodiscard]] std::optional<model::PolicyTable> policy_table(const model::Network& network) const;
  /// Puts a member into its network's policy or takes it out; nothing to do where there is none.
  [[nodiscard]] base::Status change_membership(const model::Peer& peer, bool comes);
  /// As change_membership, for several that come at once.
  [[nodiscard]] base::Status admit_all(const model::Network& network,
                                       const std::vector<model::Peer>& peers);
  /// Conflict when the network's policy names a peer or role of this name.
  [[nodiscard]] base::Status check_unnamed(const model::Network& network,
                                           const std::string& name) const;
  [[nodiscard]] base::Status check_policy(const model::Network& network,
                                          const model::Policy& policy) const;
  [[nodiscard]] api::PolicyView policy_view(const model::Network& network) const;
  [[nodiscard]] base::Result<api::PolicyView> show_policy(const std::string& network) const;
  /// Commits a network with another policy and brings it in force.
  [[nodiscard]] base::Result<api::PolicyView> enforce(const Request& request,
                                                      const model::Network& network);
  [[nodiscard]] base::Result<api::PolicyView> set_policy(const Request& request,
                                                         const std::string& network,
                                                         const api::PolicySet& wanted);
  [[nodiscard]] base::Result<api::PolicyView> clear_policy(const Request& request,
                                                           const std::string& network);
  [[nodiscard]] base::Result<model::Subject> subject(const model::Network& network,
                                                     const std::string& word) const;
  /// Nobody of the network is called so, nor, where services count, any of them; with the nearest
  /// name.
  [[nodiscard]] base::Error unknown_subject(const model::Network& network, const std::string& word,
                                            bool services_count) const;
  /// Who is asked, and by which service where it is one that was named.
  struct Target {
    model::Subject subject;
    const model::Service* service = nullptr;
  };
  [[nodiscard]] base::Result<Target> target(const model::Network& network,
                                            const std::string& word) const;
  /// What is asked for: a port, a service's ports, or those of the service that is asked.
  [[nodiscard]] base::Result<std::vector<model::PortRange>> asked_ports(
      const model::Network& network, const Target& of, const std::string& text) const;
  [[nodiscard]] base::Result<api::PolicyAnswer> test_policy(const std::string& network,
                                                            const api::PolicyTest& wanted) const;

  // --- name_zone.cpp: names inside, and what services tell programs ---
  [[nodiscard]] const std::vector<model::Service>& services_of(const model::Network& network) const;
  [[nodiscard]] std::optional<model::NameZone> name_zone(model::NetworkId id) const;
  [[nodiscard]] static base::Status set_forwarders(const std::vector<std::string>& texts,
                                                   model::Network& network);
  /// Whether a network may have names: this host can, and no name stands for two.
  [[nodiscard]] base::Status check_names(const model::Network& network) const;
  [[nodiscard]] base::Status check_member_name(const model::Network& network,
                                               const std::string& name) const;
  [[nodiscard]] base::Status check_services(const model::Network& network,
                                            const model::Policy& document) const;
  /// Brings the network's name server to what the state says; returns when it answers.
  [[nodiscard]] base::Status apply_names(model::NetworkId id);
  /// None is as good.
  [[nodiscard]] base::Status stop_names(model::NetworkId id);
  void fill_dns(const model::Network& network, api::EnrolAnswer& answer) const;
  [[nodiscard]] std::vector<api::EnvironmentVariable> variables_of(
      const model::Network& network) const;
  /// A variable of the network's is the address of this peer.
  [[nodiscard]] bool is_told_by_address(model::NetworkId network, model::PeerId id) const;
  [[nodiscard]] std::vector<std::string> name_warnings(const model::Network& network) const;
  void verify_names(const model::Network& network, api::VerifyReport& report) const;

  // --- verify.cpp ---
  [[nodiscard]] base::Result<api::VerifyReport> verify(const std::string& network);
  /// Makes host and engine of a network what they should be; what still differs then.
  [[nodiscard]] base::Result<api::VerifyReport> repair(const Request& request,
                                                       const std::string& network);
  [[nodiscard]] base::Status repair_engine(const model::Network& network);
  void verify_host(api::VerifyReport& report);
  void verify_engine(const model::Network& network, api::VerifyReport& report);

  // --- by_hand.cpp ---
  [[nodiscard]] base::Result<api::PeerView> add_peer(const Request& request,
                                                     const std::string& network,
                                                     const api::PeerAdd& wanted);
  [[nodiscard]] base::Result<api::PeerList> add_peers(const Request& request,
                                                      const std::string& network,
                                                      const api::PeerBatch& wanted);
  /// The peers that a batch asks for, in its order; none of them is in the state afterwards.
  [[nodiscard]] base::Result<std::vector<model::Peer>> new_peers(const model::Network& network,
                                                                 const api::PeerBatch& wanted);
  [[nodiscard]] base::Status configure_all(const model::Network& network,
                                           const std::vector<model::Peer>& peers);
  [[nodiscard]] base::Result<model::Peer> new_peer(const model::Network& network,
                                                   const api::PeerAdd& wanted);
  [[nodiscard]] base::Status take_addresses(const model::Network& network, const model::Role& role,
                                            const std::vector<std::string>& wanted,
                                            model::Peer& peer) const;
  [[nodiscard]] base::Result<api::PeerView> set_peer_key(const Request& request,
                                                         const std::string& network,
                                                         const std::string& peer,
                                                         const api::PeerKey& wanted);
  [[nodiscard]] base::Result<api::PeerView> rename_peer(const Request& request,
                                                        const std::string& network,
                                                        const std::string& peer,
                                                        const api::PeerRename& wanted);
  [[nodiscard]] base::Result<api::EnrolAnswer> peer_profile(const std::string& network,
                                                            const std::string& peer) const;
  [[nodiscard]] base::Error name_in_use(const model::Network& network,
                                        const model::Peer& owner) const;

  // --- persons.cpp ---
  /// Invalid for what is no name of a person; Conflict, naming the devices, when the person may
  /// not have so many more in the network. `also` are about to be added, too.
  [[nodiscard]] base::Status check_devices(const model::Network& network, const model::Peer& peer,
                                           const std::vector<model::Peer>& also = {}) const;
  [[nodiscard]] base::Result<api::RevocationList> revoke_everywhere(const Request& request,
                                                                    const std::string& network,
                                                                    const std::string& peer);
  [[nodiscard]] base::Result<api::RevocationList> revoke_person(const Request& request,
                                                                const std::string& network,
                                                                const std::string& person);
  /// Revokes them in one transaction, refuses the keys everywhere, and closes every way in.
  [[nodiscard]] base::Result<api::RevocationList> revoke_all(
      const Request& request, const std::vector<model::PeerId>& peers,
      const std::set<base::PublicKey>& everywhere);
  /// Where a key that is refused everywhere was last, as a person would say it.
  [[nodiscard]] std::string owner_of_refused(const base::PublicKey& key) const;

  // --- revocation.cpp ---
  [[nodiscard]] base::Result<api::Revocation> revoke(const Request& request,
                                                     const std::string& network,
                                                     const std::string& peer);
  [[nodiscard]] base::Status commit_revocation(const Request& request, model::Peer peer);
  /// What revoking a peer changes, appended to `changes`; the forwards that are to be closed.
  [[nodiscard]] std::vector<plan::HostForward> deny(model::Peer peer,
                                                    std::vector<store::Change>& changes) const;
  /// Puts those out whose time is over; closing their ways in is left to retry_revocations. False
  /// when one of them could not be recorded.
  bool end_memberships();
  /// Closes every way in of a revoked peer and frees its addresses; what fails stays pending.
  void close_ways_in(const Request& request, model::PeerId id, base::Instant& since,
                     api::Revocation& report);
  bool retry_revocations();

  // --- views.cpp ---
  using EnginePeers = std::map<base::PublicKey, EnginePeerStatus>;
  /// What is known of the peers of a network beside their records.
  struct Known {
    EnginePeers live;
    std::map<model::PeerId, base::WallTime> tokens;  ///< when the last valid one ends
  };
  [[nodiscard]] EnginePeers engine_peers(model::NetworkId network);
  [[nodiscard]] Known known_of(model::NetworkId network);
  [[nodiscard]] static std::string_view shown_state(const model::Peer& peer, const Known& known);
  [[nodiscard]] api::NetworkView network_view(const model::Network& network);
  [[nodiscard]] api::PeerView peer_view(const model::Network& network, const model::Peer& peer,
                                        const Known& known) const;
  [[nodiscard]] base::Result<api::PeerList> list_peers(const std::string& network);
  [[nodiscard]] base::Result<api::PeerView> show_peer(const std::string& network,
                                                      const std::string& peer);
  [[nodiscard]] api::Status status();
  [[nodiscard]] std::vector<std::string> problem_texts() const;
  [[nodiscard]] base::Result<std::uint64_t> forget_audit(base::Duration keep);

  struct Certificates;  ///< certificates.hpp
  std::unique_ptr<Certificates> certificates;
};

}  // namespace warren::control
