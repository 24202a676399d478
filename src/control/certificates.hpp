// The certificates of a gateway's networks: who signs, who has one, and the lists of what is
// revoked. A part of Control::Impl with a state of its own; private to this module.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/certificate_index.hpp"
#include "control/impl.hpp"
#include "pki/authority.hpp"

namespace warren::control {

struct Control::Impl::Certificates {
  explicit Certificates(Impl& owner) : impl(owner), state(owner.state), deps(owner.deps) {}

  /// A certificate that is signed and not yet in the state.
  struct Signed {
    std::string pem;
    store::IssuedCertificate record;
  };

  // --- authorities.cpp: who signs, and the lists ---
  /// Knows what was loaded, and gives every network that has none an authority.
  void start();
  /// To be called with each change before it is applied to the state.
  void follow(const store::Change& change);
  /// What makes a new one, or takes the one that is brought; Conflict: its key is in use already.
  [[nodiscard]] base::Result<std::vector<store::Change>> new_authority(
      const model::Network& network, std::uint32_t number,
      const std::optional<std::string>& brought, const std::optional<std::string>& key);
  /// What members trust, the current one first.
  [[nodiscard]] std::string authorities_pem(model::NetworkId network) const;
  /// A list of the network's does not say yet what is committed.
  [[nodiscard]] bool awaits_lists(model::NetworkId network) const;
  [[nodiscard]] base::Status sign_lists(model::NetworkId network);
  /// Signs the lists anew that are old or say too little, some at a time, and drops authorities
  /// that nobody needs any more; true when nothing failed.
  bool keep_up();
  [[nodiscard]] base::Result<api::AuthorityList> show(const std::string& network) const;
  [[nodiscard]] base::Result<api::AuthorityList> rotate(const Request& request,
                                                        const std::string& network,
                                                        const api::AuthorityRotate& wanted);
  [[nodiscard]] base::Result<RevocationDocument> list_document(const std::string& network,
                                                               ListForm form,
                                                               std::optional<std::uint32_t> number);

  // --- last_lists.cpp: what the world is told, and the ends of authorities ---
  /// What deleting a network changes: its last lists, and all of it gone.
  [[nodiscard]] std::vector<store::Change> deletion(model::NetworkId network) const;
  /// The list of one authority, living or not.
  [[nodiscard]] base::Result<RevocationDocument> published(const std::string& fingerprint,
                                                           ListForm form);

  // --- certificates.cpp ---
  /// nullopt, with a line in the log, when the gateway cannot sign or signed enough for today: that
  /// keeps nobody out of the tunnel. Invalid for a malformed request.
  [[nodiscard]] base::Result<std::optional<Signed>> sign_for_member(const model::Network& network,
                                                                    const model::Peer& peer,
                                                                    const std::string& request_pem,
                                                                    bool ephemeral);
  /// Empty where `sign_for_member` gives none.
  [[nodiscard]] base::Result<std::string> issue(const Member& member,
                                                const std::string& request_pem);
  [[nodiscard]] base::Result<api::SignedCertificate> sign_by_hand(
      const Request& request, const std::string& network, const api::CertificateSign& wanted);
  [[nodiscard]] base::Result<api::CertificateList> list(const std::string& network) const;
  /// Appends what revoking every good certificate of a peer changes.
  void deny_all(model::PeerId peer, base::WallTime since,
                std::vector<store::Change>& changes) const;
  /// Those that say the peer's name.
  void deny_name(model::PeerId peer, std::vector<store::Change>& changes) const;
  [[nodiscard]] base::Result<api::CertificateView> revoke(const Request& request,
                                                          const std::string& network,
                                                          const std::string& serial);

  // --- certificate_verify.cpp ---
  void verify(const model::Network& network, api::VerifyReport& report) const;
  /// What the store has, and who else may use it; of all networks or one.
  void verify_kept(std::optional<model::NetworkId> only, api::VerifyReport& report) const;
  [[nodiscard]] base::Status repair(const Request& request, const model::Network& network);

  // --- certificate_health.cpp ---
  [[nodiscard]] api::DoctorReport examine() const;
  std::optional<base::WallTime> gateway_certificate_ends;

 private:
  [[nodiscard]] static pki::Authority pki_authority(const store::StoredAuthority& stored);
  /// A list begins a little earlier than now: clocks differ.
  [[nodiscard]] base::WallTime list_begin() const;
  /// Of the list after the one with number `last`.
  [[nodiscard]] std::uint64_t next_number(std::uint64_t last) const;
  [[nodiscard]] static std::string tag_of(const std::string& der);
  [[nodiscard]] static std::string fingerprint_of(const store::StoredAuthority& authority);
  /// nullopt: nothing that it issued is running.
  [[nodiscard]] base::Result<std::optional<store::LastList>> last_list(
      const store::StoredAuthority& authority) const;
  /// Appends what ends an authority.
  void end(const store::StoredAuthority& authority, std::vector<store::Change>& changes) const;
  void forget_last_lists();
  /// Conflict when an authority has this key.
  [[nodiscard]] base::Status check_unused(const std::string& key_pem) const;
  /// Lets one that is brought go on where it may have been before.
  [[nodiscard]] base::Status resume(store::StoredAuthority& authority,
                                    std::vector<store::Change>& changes) const;
  /// One after another; none of them is over.
  [[nodiscard]] base::Result<RevocationDocument> lists_of(const std::vector<AuthorityKey>& wanted,
                                                          ListForm form);
  [[nodiscard]] std::string authority_name(const AuthorityKey& key) const;
  [[nodiscard]] bool is_good(const store::IssuedCertificate& certificate) const;
  /// The current one first.
  [[nodiscard]] std::vector<const store::StoredAuthority*> authorities_of(
      model::NetworkId network) const;
  /// nullptr: there is none.
  [[nodiscard]] const store::StoredAuthority* current_authority(model::NetworkId network) const;
  [[nodiscard]] static AuthorityKey key_of(const store::StoredAuthority& authority) {
    return {authority.network, authority.number};
  }
  [[nodiscard]] bool is_list_due(const AuthorityKey& key) const;
  /// With the number that the state has.
  [[nodiscard]] base::Status sign_list(const AuthorityKey& key);
  /// With the next numbers where those of the state are used.
  [[nodiscard]] base::Status renew_lists(const std::vector<AuthorityKey>& due);
  /// Whose good certificates are of this authority and of no later one.
  [[nodiscard]] std::vector<std::string> awaited(const AuthorityKey& key, std::size_t limit) const;
  void drop_retired();
  [[nodiscard]] base::Result<Signed> sign(const model::Network& network,
                                          const std::string& request_pem, const pki::Holder& holder,
                                          std::optional<model::PeerId> peer, int days);
  void deny(const std::vector<std::string>& serials, base::WallTime since,
            std::vector<store::Change>& changes) const;
  /// Good certificates that are of nobody, or of somebody who is called something else now.
  [[nodiscard]] std::vector<std::string> strangers(model::NetworkId network) const;
  /// What is wrong with the list that is served.
  [[nodiscard]] std::vector<std::string> verify_list(const store::StoredAuthority& authority) const;
  [[nodiscard]] std::vector<std::string> verify_authority(
      const store::StoredAuthority& authority) const;
  /// What of the state Store::load_identities tells of a network.
  [[nodiscard]] store::State identities_of(model::NetworkId network) const;
  /// What makes the store have again what is in the state.
  [[nodiscard]] std::vector<store::Change> restoration(model::NetworkId network,
                                                       const store::State& kept) const;
  void examine_authorities(const model::Network& network, api::DoctorReport& report) const;
  void examine_issued(const model::Network& network, api::DoctorReport& report) const;

  /// The last list of an authority.
  struct SignedList {
    bool number_is_free = false;   ///< no list has the number of the state yet
    bool says_too_little = false;  ///< something was revoked since
    std::uint64_t number = 0;      ///< 0: none is signed since the start
    base::WallTime signed_at{};
    pki::RevocationList list;
    std::string tag;
  };

  Impl& impl;
  const store::State& state;
  Dependencies& deps;
  CertificateIndex index;
  std::map<AuthorityKey, SignedList> lists;
  std::map<std::string, AuthorityKey> fingerprints;  ///< of the authorities' certificates
  std::string list_problem;                          ///< the last one that was logged
};

}  // namespace warren::control
