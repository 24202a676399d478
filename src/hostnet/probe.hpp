// Packets of our own, to see what others do to them.
//
// A table that counts is put behind all others for the time (nftables asks the chains of a hook in
// the order of their priorities, and whoever drops ends it): what it sees has passed everybody
// else. It then drops the packet, so that nothing leaves the host and no program of the host's is
// asked.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "hostnet/nftables.hpp"
#include "model/forward.hpp"
#include "os/fd.hpp"
#include "os/rtnl.hpp"

namespace warren::hostnet {

/// By the name of a table's counter: how many packets.
using Counters = std::map<std::string, std::uint64_t>;

/// The last of all: behind every priority that anybody gives a chain.
inline constexpr const char* kLast = "priority 2147483647; policy accept;\n";
inline constexpr const char* kFirst = "priority raw; policy accept;\n";

/// An address that is written in the source.
[[nodiscard]] base::IpAddress known(const char* text);
/// A socket address, and how long it is.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
[[nodiscard]] SocketAddress socket_address(const base::IpAddress& address, std::uint16_t port);
/// A line of a table that makes a counter.
[[nodiscard]] std::string counter_line(const std::string& name);
/// A socket of the calling thread's namespace with this source, which has begun to connect.
[[nodiscard]] base::Result<os::Fd> connect_from(const base::IpAddress& from,
                                                std::uint16_t from_port, const base::IpAddress& to,
                                                const model::PublicPort& port);
/// Sends now and then until `done` says so, or the time is over; the last counters.
[[nodiscard]] base::Result<Counters> watch(const OwnedTable& table,
                                           const std::function<base::Status()>& send,
                                           const std::function<bool(const Counters&)>& done);

/// The interface and the next hop of the default route; nullopt: there is none.
struct WayOut {
  std::uint32_t link = 0;
  base::IpAddress next;
};
[[nodiscard]] std::optional<WayOut> way_out(const std::vector<os::Route>& routes,
                                            base::Family family);

}  // namespace warren::hostnet
