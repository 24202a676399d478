// Store: desired state and audit, changed in transactions.
//
// The daemon keeps the whole state in memory (`State`) and is its only writer; the store makes each
// change durable before it is acted on. After `commit` returns, a crash at any instant finds either
// the state before or after the change, never a part of it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "model/network.hpp"
#include "store/audit_chain.hpp"
#include "store/identity.hpp"

namespace warren::store {

/// A network with the secret that only this host may know: the raw X25519 private key.
struct StoredNetwork {
  model::Network network;
  std::array<std::uint8_t, 32> gateway_private_key{};
  bool operator==(const StoredNetwork&) const = default;
};

/// A key that must never be accepted again in this network.
struct RefusedKey {
  model::NetworkId network;
  base::PublicKey key;
  base::WallTime since;
  auto operator<=>(const RefusedKey&) const = default;
};

struct State {
  std::map<model::NetworkId, StoredNetwork> networks;
  std::map<model::PeerId, model::Peer> peers;
  std::vector<model::Token> tokens;  ///< in the order of their hashes
  std::vector<RefusedKey> refused;   ///< sorted
  std::map<model::PublicPort, model::Forward> forwards;
  std::map<base::PublicKey, base::WallTime> refused_everywhere;  ///< in every network, and since
  std::map<std::pair<model::NetworkId, std::uint32_t>, StoredAuthority> authorities;
  std::map<std::string, IssuedCertificate> certificates;  ///< by serial
  std::map<std::string, LastList> last_lists;             ///< by authority
  std::map<std::string, ApiToken> api_tokens;             ///< by name
  std::uint32_t next_peer_id = 1;  ///< never given twice, not even after a deletion
  bool operator==(const State&) const = default;
};

struct PutNetwork {
  StoredNetwork network;
};
/// With its peers, tokens, refused keys, forwards, authorities, certificates, and the
/// administrators' tokens that are good for it alone; last lists stay.
struct DeleteNetwork {
  model::NetworkId id;
};
struct PutPeer {
  model::Peer peer;
};
/// With its tokens and forwards.
struct DeletePeer {
  model::PeerId id;
};
/// Replaces the token of the same hash.
struct PutToken {
  model::Token token;
};
struct DeleteTokensOf {
  model::PeerId peer;
};
/// Replaces the forward of the same public port.
struct PutForward {
  model::Forward forward;
};
struct DeleteForward {
  model::PublicPort from;
};
struct DeleteForwardsOf {
  model::PeerId peer;
};
/// Once refused, always refused: an earlier `since` stays.
struct RefuseKey {
  RefusedKey key;
};
/// In every network of this gateway, those to come too; an earlier `since` stays.
struct RefuseEverywhere {
  base::PublicKey key;
  base::WallTime since;
};
/// Replaces the one of the same network and number.
struct PutAuthority {
  StoredAuthority authority;
};
/// With the certificates that it issued.
struct DeleteAuthority {
  model::NetworkId network;
  std::uint32_t number = 0;
};
/// Replaces the one of the same serial.
struct PutCertificate {
  IssuedCertificate certificate;
};
struct DeleteCertificate {
  std::string serial;
};
/// Replaces the one of the same authority.
struct PutLastList {
  LastList list;
};
struct DeleteLastList {
  std::string authority;
};
/// Replaces the one of the same name.
struct PutApiToken {
  ApiToken token;
};
struct DeleteApiToken {
  std::string name;
};
using Change =
    std::variant<PutNetwork, DeleteNetwork, PutPeer, DeletePeer, PutToken, DeleteTokensOf,
                 PutForward, DeleteForward, DeleteForwardsOf, RefuseKey, RefuseEverywhere,
                 PutAuthority, DeleteAuthority, PutCertificate, DeleteCertificate, PutLastList,
                 DeleteLastList, PutApiToken, DeleteApiToken>;

/// Applies changes to a State in memory: what every Store does, and the twin of the SQL.
void apply(State& state, const std::vector<Change>& changes);
/// Internal when a state may not exist: a name, port, transit, address or key given twice, or a
/// record whose owner is missing. Every Store refuses a commit that would lead there.
[[nodiscard]] base::Status check_state(const State& state);

/// How others may get at what a store keeps, and what ends that.
struct Exposure {
  std::string what;
  std::string repair;
};

class Store {
 public:
  virtual ~Store() = default;
  [[nodiscard]] virtual base::Result<State> load() = 0;
  /// Of the state the authorities and certificates (of this network alone, where one is given) and
  /// the last lists, as they are kept at this moment.
  [[nodiscard]] virtual base::Result<State> load_identities(std::optional<model::NetworkId> only);
  /// What is wrong with where it is kept: others may use it, or it was moved away.
  [[nodiscard]] virtual std::vector<Exposure> find_exposed() { return {}; }
  /// All changes and the record, or nothing.
  [[nodiscard]] virtual base::Status commit(const std::vector<Change>& changes,
                                            const AuditRecord& record) = 0;
  /// As `commit`, without waiting for the disk: all or nothing too, but when the host loses its
  /// power it may be lost. For changes that are made again when they are missing.
  [[nodiscard]] virtual base::Status commit_soon(const std::vector<Change>& changes,
                                                 const AuditRecord& record) {
    return commit(changes, record);
  }
  /// Records of what happened by itself, without waiting for the disk: all of them or none.
  [[nodiscard]] virtual base::Status record_soon(const std::vector<AuditRecord>& records) {
    for (const AuditRecord& record : records) WARREN_TRY(commit_soon({}, record));
    return {};
  }
  /// The newest records first.
  [[nodiscard]] virtual base::Result<std::vector<AuditEntry>> audit(std::size_t limit) = 0;
  [[nodiscard]] virtual base::Result<AuditSpan> audit_span() = 0;
  /// The records after this number, oldest first, that the chain covers.
  [[nodiscard]] virtual base::Result<std::vector<AuditEntry>> audit_after(std::uint64_t number,
                                                                          std::size_t limit) = 0;
  /// Forgets the records before `time` up to the first one that is not; the chain then begins
  /// behind them. Returns how many they were.
  [[nodiscard]] virtual base::Result<std::uint64_t> forget_audit(base::WallTime time) = 0;
};

/// Keeps everything in memory: for tests of whatever needs a Store.
class MemoryStore final : public Store {
 public:
  [[nodiscard]] base::Result<State> load() override;
  [[nodiscard]] base::Status commit(const std::vector<Change>& changes,
                                    const AuditRecord& record) override;
  [[nodiscard]] base::Result<std::vector<AuditEntry>> audit(std::size_t limit) override;
  [[nodiscard]] base::Result<AuditSpan> audit_span() override;
  [[nodiscard]] base::Result<std::vector<AuditEntry>> audit_after(std::uint64_t number,
                                                                  std::size_t limit) override;
  [[nodiscard]] base::Result<std::uint64_t> forget_audit(base::WallTime time) override;

  /// Everything from now on fails with this error (a full disk); nullopt ends it.
  void fail_with(std::optional<base::Error> error) { failure_ = std::move(error); }

 private:
  State state_;
  AuditSpan span_;
  std::vector<AuditEntry> entries_;  ///< those of the span
  std::optional<base::Error> failure_;
};

}  // namespace warren::store
