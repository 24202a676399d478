// ScaledHost: a node::Node on a real UDP socket, whose time runs kScale times as fast as the
// world's. Its protocol constants are the shipped ones: it rekeys after its own 120 seconds.
//
// Inside the tunnel it is a small host: it sends ICMP echo requests at a steady pace and answers
// those it gets.
#pragma once

#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "icmp.hpp"
#include "node/node.hpp"
#include "os/clock.hpp"
#include "os/fd.hpp"
#include "os/udp.hpp"

namespace warren::rekey {

inline constexpr int kScale = 20;
/// Time of the node, in time of the world.
[[nodiscard]] constexpr base::Duration real(base::Duration of_the_node) {
  return of_the_node / kScale;
}

class ScaledHost {
 public:
  /// Opens its socket inside `netns`.
  explicit ScaledHost(const os::Fd& netns);

  [[nodiscard]] node::Node& node() { return node_; }
  [[nodiscard]] base::PublicKey key() const { return *node_.public_key(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] base::Instant now() const;

  /// Makes `peer` our peer, at 127.0.0.1; without a port we do not know where it is.
  void know(const base::PublicKey& peer, std::optional<std::uint16_t> port,
            std::uint16_t keepalive_s = 0);
  /// Echo requests from now on: one each `interval` of real time; zero ends them.
  void send_echoes(base::Duration interval);
  /// Whether echo requests of the other side are answered.
  void answer(bool on) { answering_ = on; }
  /// Works for this much real time.
  void run_for(base::Duration real_time);
  /// Works until `done` or the real time is over; whether it was done.
  template <typename Condition>
  bool run_until(Condition done, base::Duration at_most) {
    const base::Instant end = os::now() + at_most;
    while (!done() && os::now() < end) step(end);
    return done();
  }

  [[nodiscard]] std::uint64_t echoes_sent() const { return echoes_sent_; }
  [[nodiscard]] std::uint64_t echoes_lost() const { return outstanding_.size(); }
  [[nodiscard]] std::uint64_t requests_received() const { return requests_received_; }
  /// Empty transport messages that went out.
  [[nodiscard]] std::uint64_t keepalives_sent() const { return keepalives_sent_; }
  [[nodiscard]] std::uint64_t drops(node::Drop reason) const {
    return node_.counters().drops[static_cast<std::size_t>(reason)];
  }
  /// Real times at which sessions became usable.
  [[nodiscard]] const std::vector<base::Instant>& handshakes() const { return handshakes_; }

 private:
  void step(base::Instant until);
  void wait(base::Instant until);
  void receive();
  void send_due_echoes();
  void hand_in(const Echo& echo);
  void drain();
  void handle_inner(base::Bytes packet);

  os::SystemRandom random_;
  wire::PacketPool pool_{2048, 4096};
  node::Node node_;
  os::Fd socket_;
  std::uint16_t port_ = 0;
  base::Instant born_;
  base::Duration interval_{};
  base::Instant next_echo_;
  std::uint64_t echoes_sent_ = 0;
  std::set<std::uint16_t> outstanding_;
  bool answering_ = true;
  std::uint64_t requests_received_ = 0;
  std::uint64_t keepalives_sent_ = 0;
  std::vector<base::Instant> handshakes_;
  std::vector<std::uint8_t> room_;
};

}  // namespace warren::rekey
