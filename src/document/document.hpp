// Document: whole networks as people keep them in a file (docs/formats/document.md), what of them
// differs from what a gateway has, and the calls that make it so.
//
// Pure: text and the API's values in, text and the API's requests out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/types.hpp"
#include "base/result.hpp"

namespace warren::document {

inline constexpr std::size_t kMaxDocumentBytes = std::size_t{32} << 20;

/// Who signs in a network: an authority that the gateway makes (`certificates` is empty), or one
/// that is brought.
struct Authority {
  std::string certificates;             ///< PEM: its own, then its chain
  std::string file;                     ///< where those are, until somebody has read them
  std::optional<std::string> key_file;  ///< where its key is; a key is no part of a document
};

/// Where something stands in the text, counted from 1; 0: nowhere, it was not read from one.
struct Place {
  unsigned line = 0;
  unsigned column = 0;
};

/// A value, or a name, as the text has it.
struct Said {
  Place place;
  std::string text;  ///< of a scalar
};

/// A network of a document. What is absent is not said: it stays as it is, and is chosen as
/// `network create` chooses it where the network is made.
struct Network {
  std::string name;
  std::optional<std::string> subnet;
  std::optional<std::string> subnet6;
  std::optional<std::uint16_t> port;
  std::optional<std::string> endpoint;
  std::optional<std::vector<std::string>> dns;
  std::optional<bool> nat;
  std::optional<std::vector<std::string>> gateway_addresses;
  std::optional<std::vector<std::string>> listen;
  std::optional<std::vector<std::string>> reserve;
  std::optional<std::string> default_role;
  std::optional<std::uint32_t> max_members;
  std::optional<std::uint32_t> max_devices;
  std::optional<bool> names;
  std::optional<std::vector<std::string>> forwarders;
  std::optional<std::string> attach;
  std::optional<bool> host_access;
  std::optional<bool> stopped;
  std::optional<Authority> ca;
  std::vector<api::RoleAdd> roles;
  std::optional<std::vector<std::string>> policy;  ///< its lines; none: no policy
  std::vector<api::PeerAdd> peers;
  std::vector<api::ForwardAdd> forwards;

  /// Where what of it stands: "" (its name), "subnet", "roles/node", "peers/ann/role",
  /// "forwards/8080/tcp" …
  std::map<std::string, Said> said;
  Place policy_begin;  ///< of the first of `policy`'s lines

  /// Of this, or of what it is part of.
  [[nodiscard]] Place place(std::string path) const;
};

struct Document {
  std::vector<Network> networks;

  /// Invalid with "line L, column C: …": no YAML, an unknown key (with the nearest known one), a
  /// value that cannot be what its key wants, something said twice.
  [[nodiscard]] static base::Result<Document> parse(std::string_view text);
  /// The text that `parse` reads back as the same.
  [[nodiscard]] std::string write() const;
};

/// What a gateway has of one network.
struct Current {
  api::NetworkView network;
  api::RoleList roles;
  api::PolicyView policy;
  api::PeerList peers;
  api::ForwardList forwards;  ///< those of the network
  api::AuthorityList authorities;
  api::VerifyReport verify;  ///< drift of the host from what is declared
};

/// A network as a document says it; revoked, expired and ephemeral members are left out, and so are
/// those that wait for their token: what is secret or passes is no part of a document.
[[nodiscard]] Network describe(const Current& current);

enum class ChangeKind : std::uint8_t {
  CreateNetwork,
  SetNetwork,
  RotateAuthority,
  StopNetwork,
  StartNetwork,
  AddRole,
  SetRole,
  DeleteRole,
  SetPolicy,
  ClearPolicy,
  AddPeers,
  SetPeerKey,
  RemovePeer,
  AddForward,
  DeleteForward,
  Repair,
};

/// One call of the API. Only the members of its kind are filled.
struct Change {
  ChangeKind kind = ChangeKind::Repair;
  std::string network;
  std::vector<std::string> lines;  ///< for people: "+ peer broker  node  10.20.0.5"
  std::string target;              ///< the role, peer or forward
  api::NetworkCreate create;
  api::NetworkSet set;
  api::AuthorityRotate rotate;
  std::string
      key_file;  ///< of the authority that `create` or `rotate` brings; its key is to be added
  api::RoleAdd role;
  api::RoleSet role_set;
  api::PolicySet policy;
  std::vector<api::PeerAdd> peers;
  api::PeerKey key;
  api::ForwardAdd forward;
};

/// Why a document cannot be applied.
struct Problem {
  Place place;
  std::string text;
  std::string hint;
};

struct Difference {
  std::vector<Change> changes;  ///< in the order in which they can be made
  /// What a document says of something that cannot change: nothing of it may be applied.
  std::vector<Problem> conflicts;
};

/// What must be done so that the gateway has what the document says. With `prune` what it has
/// beyond that (roles, peers, forwards of the document's networks; never a network) goes; without,
/// it stays. `current` holds those of the document's networks that exist, by name.
[[nodiscard]] Difference difference(const Document& wanted,
                                    const std::map<std::string, Current>& current, bool prune);

/// What of a document can mean nothing, beside what the gateway has: roles and peers that are
/// nowhere, addresses that the network cannot give, what is given twice. What the gateway alone
/// knows is not looked at. In the order of the document; of many the first ones.
[[nodiscard]] std::vector<Problem> mistakes(const Document& wanted,
                                            const std::map<std::string, Current>& current,
                                            bool prune);

/// Where in the document stands what the gateway refused, as far as its message tells.
[[nodiscard]] Place place_of(const Document& wanted, const Change& change,
                             std::string_view message);
/// Takes "line L, column C: " out of a message, from its front or from behind what was attempted
/// ("set the policy of network lab: ").
[[nodiscard]] std::optional<Place> take_place(std::string& message);

}  // namespace warren::document
