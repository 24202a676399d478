// What a gateway remembers of identities: the authorities of its networks, the certificates they
// issued, the last lists of authorities that are no more, and the tokens of remote administrators.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/time.hpp"
#include "model/network.hpp"

namespace warren::store {

/// An authority of a network (pki::Authority) with its key. One per network is current, the others
/// are retiring: what they issued is still accepted, and they sign nothing but their lists.
struct StoredAuthority {
  model::NetworkId network;
  std::uint32_t number = 1;  ///< 1, 2, 3 …: each roll-over takes the next
  std::string certificate_pem;
  std::string private_key_pem;
  std::string chain_pem;  ///< towards the root of one that was brought; may be empty
  bool retiring = false;
  bool brought = false;           ///< somebody gave it; otherwise the gateway made it
  std::uint64_t list_number = 0;  ///< of the last revocation list that it signed
  base::WallTime created;
  bool operator==(const StoredAuthority&) const = default;
};

/// A certificate that an authority issued. Outlives its peer's record: it is on the list of the
/// revoked ones until it has expired.
struct IssuedCertificate {
  std::string serial;  ///< as pki::Issued has it
  model::NetworkId network;
  std::uint32_t authority = 1;        ///< its number
  std::optional<model::PeerId> peer;  ///< nullopt: signed for a server or by hand
  std::string name;
  std::string role;
  bool is_server =
      false;  ///< for a server's names, not the member's own; a role may be "server" too
  base::WallTime issued;
  base::WallTime not_after;
  base::WallTime revoked{};  ///< 0: it is good
  bool operator==(const IssuedCertificate&) const = default;
};

/// What stays of an authority that is no more: the list of everything that it issued and that has
/// not ended. It needs no network: those that asked for its lists go on asking.
struct LastList {
  std::string authority;  ///< SHA-256 of its certificate, 64 hex digits
  std::string der;
  base::WallTime until;  ///< nothing that it issued is good any more
  bool operator==(const LastList&) const = default;
};

/// The stored half of an administrator's token.
struct ApiToken {
  std::string name;                            ///< unique
  std::array<std::uint8_t, 32> secret_hash{};  ///< SHA-256 of the secret bytes
  std::optional<model::NetworkId> network;     ///< the only one it is good for; nullopt: all
  bool read_only = false;
  base::WallTime created;
  base::WallTime expires{};  ///< 0: never
  bool operator==(const ApiToken&) const = default;
};

}  // namespace warren::store
