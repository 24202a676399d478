// ResolverRelay: the way of a network's name server to a resolver that it cannot reach itself.
//
// A resolver on the host's loopback cannot be asked from another network namespace, and one outside
// cannot from a network without a way out. So the daemon listens in the namespace, on the loopback
// there, which members do not reach, and asks from the host. Questions are carried, not read.
#pragma once

#include <cstdint>
#include <memory>

#include "base/address.hpp"
#include "base/result.hpp"
#include "os/fd.hpp"

namespace boost::asio {
class io_context;
}

namespace warren::gateway {

/// What all relays of a daemon have in flight.
struct RelayLoad {
  unsigned questions = 0;
  unsigned connections = 0;
};

class ResolverRelay {
 public:
  /// Listens on UDP and TCP in the namespace and carries to `resolver`, asked from the namespace of
  /// the caller. An error tells who could not listen where (EADDRINUSE: somebody does already).
  [[nodiscard]] static base::Result<std::unique_ptr<ResolverRelay>> open(
      boost::asio::io_context& io, const os::Fd& netns, const base::Endpoint& listen,
      const base::Endpoint& resolver, std::shared_ptr<RelayLoad> load);
  /// What is in flight is given up.
  ~ResolverRelay();
  ResolverRelay(const ResolverRelay&) = delete;
  ResolverRelay& operator=(const ResolverRelay&) = delete;

 private:
  struct State;
  explicit ResolverRelay(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace warren::gateway
