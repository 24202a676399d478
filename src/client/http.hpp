// One HTTP exchange, synchronous with deadlines: over the daemon's unix socket, or over TLS to a
// gateway whose key is pinned. Shows neither Asio nor Beast.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace warren::client {

struct HttpRequest {
  std::string method;
  std::string target;
  std::string body;  ///< JSON; empty: none
};
struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// Unavailable: no daemon listens there, or it did not answer in time. NotPermitted: the socket may
/// not be opened.
[[nodiscard]] base::Result<HttpAnswer> exchange_unix(const std::string& socket_path,
                                                     const HttpRequest& request,
                                                     base::Duration timeout);

struct PinnedGateway {
  base::HostPort at;
  std::array<std::uint8_t, 32> pin{};  ///< SHA-256 of the SPKI, the only thing that is verified
};
/// Tries every address of the host in turn. NotPermitted when the key is not the pinned one.
/// Unavailable when no address answers; `sent` tells whether the request may have arrived.
[[nodiscard]] base::Result<HttpAnswer> exchange_pinned(const PinnedGateway& gateway,
                                                       const HttpRequest& request, bool& sent);

/// A path segment with everything but unreserved characters as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace warren::client
