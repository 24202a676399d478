// One HTTP exchange, synchronous with deadlines: over the daemon's unix socket, or over TLS to a
// gateway whose key is pinned. Shows neither Asio nor Beast.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "client/limits.hpp"
#include "pki/member_proof.hpp"

namespace warren::client {

struct HttpRequest {
  std::string method;
  std::string target;
  std::string body;                ///< JSON; empty: none
  std::string authorization = {};  ///< of the header of this name; empty: none
  /// Set: the body of an answer of status 200 is handed over as it comes, until this gives false
  /// or the server ends it; HttpAnswer::body stays empty then.
  std::function<bool(std::string_view)> take = {};
  /// With `take`: called meanwhile, each time the duration that it gave last is over.
  std::function<base::Duration()> tick = {};
};
struct HttpAnswer {
  unsigned status = 0;
  std::string body;
  std::uint32_t retry_after_s = 0;  ///< what a busy server asked for
};

/// Unavailable: no daemon listens there, or it did not answer in time. NotPermitted: the socket may
/// not be opened.
[[nodiscard]] base::Result<HttpAnswer> exchange_unix(const std::string& socket_path,
                                                     const HttpRequest& request,
                                                     base::Duration timeout);

struct PinnedGateway {
  base::HostPort at;
  std::array<std::uint8_t, 32> pin{};  ///< SHA-256 of the SPKI, the only thing that is verified
  std::uint32_t mark = 0;              ///< of the socket (SO_MARK); 0: none
  std::size_t max_answer = kMaxEnrolAnswerBytes;
  bool administration = false;  ///< not as a member: errors speak of that
};
/// Tries every address of the host in turn. NotPermitted when the key is not the pinned one.
/// Unavailable when no address answers (with ECONNRESET where one is there but closed the
/// connection at once: it has too many); `sent` tells whether the request may have arrived.
[[nodiscard]] base::Result<HttpAnswer> exchange_pinned(const PinnedGateway& gateway,
                                                       const HttpRequest& request, bool& sent);
/// The same with a request that is made for the connection it goes out on, and a time of its own
/// for the answer.
using MakeRequest = std::function<HttpRequest(const pki::Binding&)>;
[[nodiscard]] base::Result<HttpAnswer> exchange_pinned(const PinnedGateway& gateway,
                                                       const MakeRequest& make, bool& sent,
                                                       base::Duration answer_timeout);

/// All addresses of a host, looked up with the host's resolver.
[[nodiscard]] base::Result<std::vector<base::IpAddress>> look_up(const base::HostPort& at);

/// A path segment with everything but unreserved characters as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace warren::client
