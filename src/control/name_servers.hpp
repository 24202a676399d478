// NameServers: who answers for the names inside the gateway's networks. Implemented by gateway,
// faked in tests.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "model/name_zone.hpp"
#include "model/network.hpp"

namespace warren::control {

/// What `warren doctor names` says of one thing.
struct NameFinding {
  std::string network;
  std::string what;   ///< "name server of network lab"
  std::string state;  ///< "good", "weak" or "bad"
  std::string text;
  std::string remedy;
};

class NameServers {
 public:
  virtual ~NameServers() = default;
  /// NotFound, with what to install: this host cannot answer for names.
  [[nodiscard]] virtual base::Status check() = 0;
  /// Starts (or adopts) the server of a network whose host objects exist, or tells the running one
  /// what is new; returns when it answers. On an error none is left that was not there before.
  [[nodiscard]] virtual base::Status serve(const model::NameZone& zone) = 0;
  /// Ends the server of a network, also one that a former daemon left; none is as good.
  [[nodiscard]] virtual base::Status stop(model::NetworkId network) = 0;
  /// Something of a network changed. Soon (limits.hpp of gateway) its zone is asked for
  /// (`Control::name_zone`), and is served, or no longer where there is none.
  virtual void changed(model::NetworkId network) = 0;
  /// Why the names of a network are not answered; empty: they are, as far as is known.
  [[nodiscard]] virtual std::string problem(model::NetworkId network) const = 0;
  /// What may surprise: other names that are not answered, a host that cannot be told.
  [[nodiscard]] virtual std::vector<std::string> warnings(const model::NameZone& zone) const = 0;
  /// Asks the server, and reads back what it was told: what differs from the zone.
  [[nodiscard]] virtual std::vector<std::string> differences(const model::NameZone& zone) = 0;
  /// Asks all servers, and all whom they ask, at once; what was found of each.
  [[nodiscard]] virtual std::vector<NameFinding> examine(
      const std::vector<model::NameZone>& zones) = 0;
};

}  // namespace warren::control
