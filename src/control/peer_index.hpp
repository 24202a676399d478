// Peers by what they are looked for: their network, name, address and person. The state keeps them
// by number alone; with a hundred thousand of them a walk over all is milliseconds, and adding ten
// thousand is ten thousand such walks. Private to this module.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/network.hpp"

namespace warren::control {

/// Refers to peers that live elsewhere: each is taken out before it is changed or goes, and put in
/// again afterwards.
class PeerIndex {
 public:
  using ById = std::map<model::PeerId, const model::Peer*>;
  using ByAddress = std::map<base::IpAddress, const model::Peer*>;
  using Devices = std::map<model::PeerId, const model::Peer*>;

  void add(const model::Peer& peer);
  void remove(const model::Peer& peer);

  /// All of a network, the revoked too.
  [[nodiscard]] const ById& in(model::NetworkId network) const;
  /// The invited or enrolled one of this name; nullptr: none.
  [[nodiscard]] const model::Peer* named(model::NetworkId network, std::string_view name) const;
  /// The one that holds an address, a revoked one too.
  [[nodiscard]] const model::Peer* holder(model::NetworkId network,
                                          const base::IpAddress& address) const;
  [[nodiscard]] const ByAddress& addresses(model::NetworkId network) const;
  /// The invited and enrolled ones: of a network, of a role.
  [[nodiscard]] std::size_t members(model::NetworkId network) const;
  [[nodiscard]] std::size_t members(model::NetworkId network, const std::string& role) const;
  /// The invited and enrolled ones of a person in a network.
  [[nodiscard]] const Devices& devices(model::NetworkId network, std::string_view person) const;
  /// As model::next_free_address with the addresses that are held. The answer for a network's role
  /// is remembered, so that asking again does not begin at the bottom; `barred` may change only
  /// together with the network's record (`forget_places`). Nothing is remembered of an answer that
  /// leaves out `also`.
  [[nodiscard]] std::optional<base::IpAddress> next_free(
      model::NetworkId network, const std::string& role, const base::Prefix& subnet,
      const base::IpAddress& gateway, std::vector<model::AddressRange> barred,
      const std::vector<model::AddressRange>& also);
  void forget_places(model::NetworkId network);

 private:
  struct OfNetwork {
    ById all;
    std::map<std::string_view, const model::Peer*> names;
    ByAddress addresses;
    std::map<std::string, std::size_t, std::less<>> roles;
    std::map<std::string, Devices, std::less<>> persons;
    std::size_t members = 0;
    /// Below the address of a role everything is held or barred.
    std::map<std::pair<std::string, base::Family>, base::IpAddress> places;
  };
  [[nodiscard]] const OfNetwork& known(model::NetworkId network) const;
  std::map<model::NetworkId, OfNetwork> networks_;
};

}  // namespace warren::control
