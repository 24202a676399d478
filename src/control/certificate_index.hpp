// Certificates by whom they are of and by who issued them. The state keeps them by serial number
// alone; revoking somebody must not walk over everybody's. Private to this module.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/store.hpp"

namespace warren::control {

/// A network's authority: its network and number.
using AuthorityKey = std::pair<model::NetworkId, std::uint32_t>;

class CertificateIndex {
 public:
  using Serials = std::set<std::string>;

  void build(const store::State& state);
  /// To be called with each change before it is applied to `state`.
  void follow(const store::State& state, const store::Change& change);

  [[nodiscard]] const Serials& of_peer(model::PeerId peer) const;
  [[nodiscard]] const Serials& of_authority(const AuthorityKey& authority) const;
  /// Those that are on the authority's list, with the time since when.
  [[nodiscard]] const std::map<std::string, base::WallTime>& revoked(
      const AuthorityKey& authority) const;

 private:
  struct OfAuthority {
    Serials all;
    std::map<std::string, base::WallTime> revoked;
  };
  void add(const store::IssuedCertificate& certificate);
  void remove(const store::IssuedCertificate& certificate);
  void remove_all(const store::State& state, const AuthorityKey& authority);

  std::map<model::PeerId, Serials> peers_;
  std::map<AuthorityKey, OfAuthority> authorities_;
};

}  // namespace warren::control
