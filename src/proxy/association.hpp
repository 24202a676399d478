// Association: one client's UDP, RFC 1928 section 7: datagrams with a header on a socket of the
// loopback, without it through the tunnel.
#pragma once

#include <sys/socket.h>

#include <memory>
#include <set>

#include "proxy/services.hpp"

namespace warren::proxy {

class Association {
 public:
  /// Takes a relay from the services and gives it back. `port` is the one that the client says it
  /// will send from, 0: it does not say; then the first sender is the client.
  [[nodiscard]] static base::Result<std::unique_ptr<Association>> create(Services& services,
                                                                         std::uint16_t port);
  ~Association();
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;

  /// Where the client sends its datagrams to.
  [[nodiscard]] const base::Endpoint& relay() const { return relay_.at; }
  [[nodiscard]] base::Instant last_activity() const { return last_activity_; }

 private:
  Association(Services& services, Relay relay, std::uint16_t port);
  void handle_relay();
  void handle_datagram(base::Bytes datagram);
  void send_to(const base::Endpoint& remote, base::Bytes payload);
  void handle_answer(const base::Endpoint& from, base::Bytes payload);
  [[nodiscard]] bool is_client(const sockaddr_storage& from, socklen_t size);

  Services& services_;
  Relay relay_;
  std::uint16_t announced_port_;
  sockaddr_storage client_{};
  socklen_t client_size_ = 0;  // 0: not known yet
  std::unique_ptr<UdpPipe> pipes_[2];
  std::set<Resolver::LookupId> lookups_;
  base::Instant last_activity_;
};

}  // namespace warren::proxy
