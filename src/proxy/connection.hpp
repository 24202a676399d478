// Connection: one client of the proxy, from its first byte to its last.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "proxy/association.hpp"
#include "proxy/byte_queue.hpp"
#include "proxy/http_request.hpp"
#include "proxy/services.hpp"

namespace warren::proxy {

class Connection {
 public:
  Connection(os::Fd client, Services& services);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] base::Status start();
  /// What a handler has put aside: see Services::attention.
  void proceed();
  /// About once a second: ends what takes too long.
  void handle_tick(base::Instant now);
  /// The tunnel has room again.
  void handle_tunnel_writable();
  /// Nothing more will happen: destroy it.
  [[nodiscard]] bool is_over() const { return state_ == State::Over; }

 private:
  enum class State : std::uint8_t {
    Hello,         // the first byte tells the protocol
    SocksLogin,    // a password method was chosen
    SocksRequest,  // the client is who it says
    HttpRequest,
    Resolving,
    Connecting,
    Relaying,
    Associated,
    Farewell,  // refused: the answer goes out, the rest is not wanted
    Over,
  };

  void handle_client(os::Ready ready);
  void handle_hangup();
  void read_request();
  void parse();
  [[nodiscard]] bool parse_one();
  [[nodiscard]] bool parse_socks_hello();
  [[nodiscard]] bool parse_socks_login();
  [[nodiscard]] bool parse_socks_request();
  [[nodiscard]] bool parse_http();
  void take_input(std::size_t count);

  void begin(const Target& target);
  void associate(const Target& target);
  void connect_next();
  void handle_connected();
  void handle_received(base::Bytes bytes);
  void handle_finished();
  void handle_writable();
  void handle_failed(Failure failure);

  void refuse(Failure failure);
  void say_farewell(base::Bytes answer);
  void answer(base::Bytes bytes);
  void pump_up();
  [[nodiscard]] bool send_up();
  void pump_down();
  void drain_farewell();
  void finish_if_done();
  void watch_reading(bool wanted);
  void end(bool reset);

  os::Fd client_;
  Services& services_;
  State state_ = State::Hello;
  bool socks_ = false;
  bool http_connect_ = false;
  bool watched_ = false;
  bool reading_ = true;
  bool try_next_ = false;
  base::Instant deadline_;       // of the states before Relaying, and of Farewell
  base::Instant last_activity_;  // while Relaying

  std::vector<std::uint8_t> in_;  // of a request that is not whole yet
  std::uint16_t port_ = 0;
  std::vector<base::IpAddress> targets_;
  std::size_t next_target_ = 0;
  Failure last_failure_ = Failure::TimedOut;
  std::optional<Resolver::LookupId> lookup_;
  std::unique_ptr<TcpPipe> pipe_;
  std::unique_ptr<Association> association_;

  ByteQueue up_;                          // read from the client, not in the pipe yet
  std::optional<std::uint64_t> up_left_;  // of an HTTP body that is still to be read
  bool up_ended_ = false;                 // the client will send no more, or may not
  bool up_finished_ = false;              // and the pipe knows
  base::Instant last_ack_;
  ByteQueue down_;            // to be written to the client
  std::size_t own_down_ = 0;  // of its front: answers of ours, which no window accounts for
  bool down_ended_ = false;
  bool down_finished_ = false;
};

}  // namespace warren::proxy
