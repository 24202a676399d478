// The inside of a Node, shared by its .cpp files: node.cpp (configuration, output), receive.cpp,
// handshakes.cpp, send.cpp, timers.cpp.
#pragma once

#include <optional>

#include "node/inner.hpp"
#include "node/limits.hpp"
#include "node/node.hpp"
#include "wg/allowed_ips.hpp"
#include "wg/deadlines.hpp"
#include "wg/peer_table.hpp"
#include "wg/rate_limit.hpp"
#include "wg/tai64n.hpp"

namespace warren::node {

/// Outer DSCP of handshake messages: AF41, as other implementations send it.
inline constexpr TrafficClass kHandshakeClass = 0x88;
/// Serial of output that belongs to no peer.
inline constexpr std::uint64_t kNobody = 0;

struct Moment {
  base::Instant now;
  base::WallTime wall;
};

/// The private key with everything that depends on it.
struct Interface {
  Interface(crypto::PrivateKey key, base::Duration cookie_lifetime)
      : identity(std::move(key)), cookies(identity.public_key, cookie_lifetime) {}

  wg::Identity identity;
  wg::CookieChecker cookies;
};

/// Counts handshake messages per second and says whether they are too many.
class Load {
 public:
  void count(base::Instant now);
  [[nodiscard]] bool is_high(base::Instant now) const { return high_until_ && now < *high_until_; }

 private:
  base::Instant second_began_{};
  std::size_t in_this_second_ = 0;
  std::optional<base::Instant> high_until_;
};

struct Node::State {
  State(Options the_options, base::RandomSource& the_random, wire::PacketPool& the_pool)
      : options(the_options), random(the_random), pool(the_pool), peers(the_options.max_peers) {}

  struct OutgoingDatagram {
    std::uint64_t peer_serial = kNobody;
    Datagram datagram;
  };
  struct OutgoingPacket {
    std::uint64_t peer_serial = kNobody;
    wire::Packet packet;
  };

  // node.cpp
  void drop(Drop reason) { ++counters.drops[static_cast<std::size_t>(reason)]; }
  void emit(Event::Kind kind, const wg::Peer& peer);
  void remove(wg::Peer& peer);
  void apply(const PeerUpdate& update, wg::Peer& peer, base::Instant now);
  void expire(wg::Peer& peer);

  // receive.cpp
  void receive(Datagram& datagram, Moment at);
  void receive_transport(Datagram& datagram, Moment at);
  void consume_data(wg::Peer& peer, Datagram& datagram);
  void learn_endpoint(wg::Peer& peer, const base::Endpoint& from);

  // handshakes.cpp
  [[nodiscard]] bool admit_handshake(const Datagram& datagram, wg::Index sender, base::Instant now);
  void receive_initiation(const Datagram& datagram, Moment at);
  void receive_response(const Datagram& datagram, Moment at);
  void receive_cookie(const Datagram& datagram, base::Instant now);
  void answer(wg::Peer& peer, wg::ResponderState& state, Moment at);
  /// Starts a handshake unless one was sent within rekey_timeout. A retry goes on with the attempt
  /// that runs; anything else begins a new one.
  enum class Attempt : std::uint8_t { New, Retry };
  void send_initiation(wg::Peer& peer, Attempt attempt, Moment at);
  [[nodiscard]] std::optional<wg::Remote> remote_of(wg::Peer& peer);
  void install(wg::Peer& peer, const wg::SessionKeys& keys, wg::IndexLease lease, wg::Index remote,
               wg::Role role, base::Instant now);
  void handshake_completed(wg::Peer& peer, base::WallTime wall);

  // send.cpp
  void send_packet(wire::Packet& packet, Moment at);
  /// False when the packet was dropped because too many wait for other peers.
  [[nodiscard]] bool stage(wg::Peer& peer, wire::Packet packet);
  [[nodiscard]] wire::Packet unstage(wg::Peer& peer);
  void drop_staged(wg::Peer& peer);
  /// Sends what waits for the peer, or starts a handshake for it.
  void send_staged(wg::Peer& peer, Moment at);
  void send_keepalive(wg::Peer& peer, Moment at);
  void seal_and_queue(wg::Peer& peer, wg::Session& session, wire::Packet packet, Moment at);
  void queue(wg::Peer& peer, wire::Packet packet, TrafficClass traffic_class);
  [[nodiscard]] wg::Session* usable_session(wg::Peer& peer, base::Instant now);
  void renew_if_old(wg::Peer& peer, const wg::Session& session, Moment at);

  // timers.cpp
  void run_timers(wg::Peer& peer, Moment at);
  void retransmit(wg::Peer& peer, Moment at);
  void arm(wg::Peer& peer, wg::Timer timer, base::Instant at);
  [[nodiscard]] base::Duration jitter();
  void on_authenticated_sent(wg::Peer& peer, base::Instant now);
  void on_authenticated_received(wg::Peer& peer, base::Instant now);
  void on_data_sent(wg::Peer& peer, base::Instant now);
  void on_data_received(wg::Peer& peer, base::Instant now);

  Options options;
  base::RandomSource& random;
  wire::PacketPool& pool;

  crypto::PrivateKey no_key;  ///< what private_key() shows while none is set
  std::optional<Interface> interface;
  wg::IndexTable indices;  // before the peers, whose sessions hold indices
  wg::PeerTable peers;
  wg::AllowedIps allowed_ips;
  wg::Deadlines deadlines;
  wg::RateLimit rate_limit;
  Load load;

  std::size_t staged_count = 0;  ///< of all peers together

  wg::Ring<OutgoingDatagram> datagrams;
  wg::Ring<OutgoingPacket> packets;
  wg::Ring<Event> events;
  Counters counters;
};

}  // namespace warren::node
