// The loopback of a network's namespace is the gateway's own: dnsmasq asks there, members get no
// packet to it. A relay has an address of its own, beside the one that everybody uses.
#include "gateway/forwarder_ways.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "gateway/limits.hpp"
#include "os/netns.hpp"

namespace warren::gateway {

namespace {

constexpr std::uint16_t kDnsPort = 53;

base::Endpoint relay_address(std::size_t number) {
  const auto last = static_cast<std::uint8_t>(number + 1);
  return {.address = base::IpAddress::v4({127, 0, 53, last}), .port = kDnsPort};
}

}  // namespace

base::Status ForwarderWays::enter(const os::Fd& netns) {
  struct stat there{};
  if (::fstat(netns.get(), &there) != 0) return base::os_error("look at a network namespace");
  const std::pair<std::uint64_t, std::uint64_t> inside{there.st_dev, there.st_ino};
  // Its number is nobody else's while sockets of ours are in it.
  if (inside != inside_) relayed_.clear();
  inside_ = inside;
  return {};
}

std::vector<base::IpAddress> ForwarderWays::make(boost::asio::io_context& io,
                                                 const model::NameZone& zone,
                                                 const std::vector<base::IpAddress>& forwarders,
                                                 const std::shared_ptr<RelayLoad>& load) {
  std::vector<base::IpAddress> out;
  std::size_t relays = 0;
  problem_.clear();
  const auto relay_to = [&](const base::IpAddress& resolver) -> base::Status {
    WARREN_TRY_ASSIGN(const os::Fd netns, os::open_named_netns("warren-" + zone.network_name));
    WARREN_TRY(enter(netns));
    if (relayed_.size() > relays && relayed_[relays].resolver == resolver) return {};
    relayed_.resize(std::min(relayed_.size(), relays));
    WARREN_TRY_ASSIGN(auto relay,
                      ResolverRelay::open(io, netns, relay_address(relays),
                                          {.address = resolver, .port = kDnsPort}, load));
    relayed_.push_back({.resolver = resolver, .relay = std::move(relay)});
    return {};
  };
  for (const base::IpAddress& forwarder : forwarders) {
    if (zone.reaches(forwarder)) {
      out.push_back(forwarder);
      continue;
    }
    if (relays == kRelaysPerNetwork) continue;
    if (const base::Status carried = relay_to(forwarder); !carried) {
      problem_ = carried.error().message;
      continue;
    }
    out.push_back(relay_address(relays).address);
    ++relays;
  }
  relayed_.resize(relays);
  return out;
}

}  // namespace warren::gateway
