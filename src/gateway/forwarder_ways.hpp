// ForwarderWays: how the name server of one network gets to those whom it asks for other names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "gateway/resolver_relay.hpp"
#include "model/name_zone.hpp"

namespace warren::gateway {

class ForwarderWays {
 public:
  /// Whom the name server shall ask for these to be asked: those that the network reaches itself as
  /// they are, the others by relays, which are opened, kept or closed for it.
  [[nodiscard]] std::vector<base::IpAddress> make(boost::asio::io_context& io,
                                                  const model::NameZone& zone,
                                                  const std::vector<base::IpAddress>& forwarders,
                                                  const std::shared_ptr<RelayLoad>& load);
  /// Why not all of the last ones can be asked; empty: they can.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  struct Relayed {
    base::IpAddress resolver;
    std::unique_ptr<ResolverRelay> relay;
  };
  /// Which namespace the relays listen in.
  [[nodiscard]] base::Status enter(const os::Fd& netns);

  std::vector<Relayed> relayed_;  ///< the first listens on the first of the relays' addresses
  std::pair<std::uint64_t, std::uint64_t> inside_{};
  std::string problem_;
};

}  // namespace warren::gateway
