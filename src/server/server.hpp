// The daemon's HTTP listeners: the API on a unix socket, enrolment over TLS and, where it is asked
// for, the API over TLS for holders of a token.
//
// All run on the daemon's one Asio thread, as coroutines; a handler calls control synchronously.
// Who may use the API is decided by peer credentials (root and the members of one group), never by
// anything the client says. The enrolment listener is open to strangers: it speaks TLS 1.3 only,
// limits each source address, and has one route for them. Its other routes are for members, who
// prove their key on each connection; `/v1/member/sync` may wait for a change.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "control/control.hpp"
#include "server/limits.hpp"

namespace boost::asio {
class io_context;
}

namespace warren::server {

/// Reads the settings again, and says what of them counts at the next start only.
using Reload = std::function<base::Result<api::Reloaded>()>;

struct Options {
  std::string socket_path;       ///< the API; its directory must exist
  std::string group = "warren";  ///< may use the API beside root, if the group exists

  /// "host:port" of the enrolment listener; empty: none. "[::]:PORT" takes IPv4 too, and falls back
  /// to 0.0.0.0 where the host has no IPv6. Port 0 picks one (tests).
  std::string enrol_listen = "[::]:51800";
  /// The same of the listener for administration; empty: none.
  std::string admin_listen = {};
  std::string identity_key_pem;  ///< the key that tokens pin
  /// A fresh self-signed certificate (PEM) of that key: asked at start and at each renewal, which
  /// is when two thirds of its life are over.
  std::function<base::Result<std::string>()> make_certificate;
  /// What that is told by; absent: the system's clock.
  std::function<base::WallTime()> wall_clock = {};

  /// POST /v1/reload; absent: 503.
  Reload reload;
  Limits limits;
};

class Server {
 public:
  /// Binds both sockets and starts to accept when `io` runs. Errors: Conflict (the port or socket
  /// is taken, named in the message), NotPermitted. `control`, `log` and `io` outlive the server.
  [[nodiscard]] static base::Result<std::unique_ptr<Server>> create(boost::asio::io_context& io,
                                                                    control::Control& control,
                                                                    base::Log& log,
                                                                    Options options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  /// Stops, and removes the socket file.
  ~Server();

  /// The port of the enrolment listener; 0 when there is none.
  [[nodiscard]] std::uint16_t enrol_port() const;
  [[nodiscard]] std::uint16_t admin_port() const;
  /// Closes the listeners and every connection; their coroutines end when `io` runs once more.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::server
