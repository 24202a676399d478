// What an engine should be configured to, and the requests that bring it there. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "crypto/secret.hpp"
#include "ipc/uapi.hpp"

namespace warren::gateway {

struct EngineConfiguration {
  crypto::PrivateKey private_key;
  std::uint16_t port = 0;
  std::map<base::PublicKey, std::vector<base::Prefix>> peers;

  /// One request for an engine that has nothing yet.
  [[nodiscard]] ipc::UapiSet whole(std::uint32_t mark) const;

  /// Requests, to be sent in this order, for an engine that runs with another configuration.
  /// `denials` takes away what is not wanted and comes first; what is right stays untouched, with
  /// its session and counters. Absent: nothing to do.
  struct Difference {
    std::optional<ipc::UapiSet> denials;
    std::optional<ipc::UapiSet> grants;
  };
  [[nodiscard]] Difference difference_to(const ipc::UapiStatus& running) const;
};

}  // namespace warren::gateway
