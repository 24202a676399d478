// Follower: whoever knows the gateway of a run, and tells what changes while it lives.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "ipc/uapi.hpp"
#include "os/fd.hpp"

namespace warren::netns {

/// What a datagram of a follower means.
struct RunNews {
  /// Another network, other names and another configuration of the engine's peer from now on.
  bool changed = false;
  std::vector<base::Prefix> addresses;
  std::vector<base::Prefix> routes;
  std::uint32_t mtu = 0;
  std::optional<std::vector<base::IpAddress>> dns_servers;  ///< nullopt: as they are
  std::optional<std::vector<std::string>> dns_search;
  std::vector<ipc::UapiPeer> peers;  ///< only those that the engine has
  /// Set: the run ends, with code 125.
  std::optional<base::Error> end;
};

/// Writes what is new of the peers over what an engine is configured with.
void take_peers(const RunNews& news, std::vector<ipc::UapiPeer>& peers);

class Follower {
 public:
  Follower() = default;
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  virtual ~Follower() = default;
  /// The process that answers for this one, where that is not the one that made it: what is to be
  /// done at the end is done there.
  virtual void set_owner(pid_t owner) = 0;
  /// Runs in a process of its own, which has nothing but this socket (SOCK_SEQPACKET) and the
  /// standard streams. Returns when all is said for ever, or when nobody listens any more.
  virtual void follow(const os::Fd& supervisor) = 0;
  /// Runs in the supervisor, for each datagram that `follow` sent. May print a line for people.
  [[nodiscard]] virtual RunNews read(base::Bytes datagram) = 0;
};

inline constexpr std::size_t kMaxFollowerMessage = 128 << 10;

}  // namespace warren::netns
