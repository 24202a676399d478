// The inside of a Node, shared by its .cpp files: node.cpp (configuration, output), receive.cpp,
// handshakes.cpp, send.cpp, timers.cpp.
#pragma once

#include <optional>

#include "node/batch_state.hpp"
#include "node/handshake_state.hpp"
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

/// Whether handshakes are more than we should trust strangers with. The rule is in handshakes.cpp.
class Load {
 public:
  void note_waiting(std::size_t count, base::Instant now) {
    if (count >= kUnderLoadWaiting) high_until_ = now + wg::kUnderLoadPeriod;
  }
  /// A message has cost public-key work and has not authenticated.
  void note_futile(base::Instant now);
  [[nodiscard]] bool is_high(base::Instant now) const { return high_until_ && now < *high_until_; }

 private:
  base::Instant second_began_{};
  std::size_t futile_in_this_second_ = 0;
  std::optional<base::Instant> high_until_;
};

struct Node::State {
  State(Options the_options, base::RandomSource& the_random, wire::PacketPool& the_pool)
      : options(the_options),
        random(the_random),
        pool(the_pool),
        peers(the_options.max_peers, &the_random),
        single_out(pool, 1),
        own_work(random),
        own_initiations(random) {}

  struct OutgoingPacket {
    std::uint64_t peer_serial = 0;
    wire::Packet packet;
  };
  /// A peer that an initiation is to be made for.
  struct WantedInitiation {
    wg::PeerId peer;
    std::uint64_t serial = 0;
  };

  // node.cpp
  void drop(Drop reason) { ++counters.drops[static_cast<std::size_t>(reason)]; }
  void emit(Event::Kind kind, const wg::Peer& peer);
  void remove(wg::Peer& peer);
  /// Takes a peer out of everything but the queues of output.
  void unlink(wg::Peer& peer);
  void forget_orphans();
  [[nodiscard]] bool has(const Owner& owner) const {
    return peers.find({owner.slot}, owner.serial) != nullptr;
  }
  void apply(const PeerUpdate& update, wg::Peer& peer, base::Instant now);
  void expire(wg::Peer& peer);
  [[nodiscard]] PeerStatus status_of(const wg::Peer& peer) const;

  // receive.cpp
  /// The session that the last transport message belonged to: a train names one many times.
  struct KnownIndex {
    std::optional<wg::Index> index;
    wg::Session* session = nullptr;
    const crypto::Aead* key = nullptr;
  };
  void identify(Incoming::State& batch, Moment at);
  void identify_message(Incoming::State& batch, base::MutableBytes bytes, std::uint32_t datagram,
                        KnownIndex& known, Moment at);
  void identify_transport(Incoming::State& batch, base::MutableBytes bytes, std::uint32_t datagram,
                          KnownIndex& known, base::Instant now);
  /// Messages of one session in one datagram or train, of which at least one has authenticated.
  struct Run {
    const crypto::Aead* key = nullptr;
    std::uint32_t datagram = 0;
    wg::Peer* peer = nullptr;  ///< nullptr: removed meanwhile
    wg::Session* session = nullptr;
    bool heard = false;          ///< one was not a replay
    unsigned data_messages = 0;  ///< told to the timers
  };
  void accept(Incoming::State& batch, Moment at);
  [[nodiscard]] Run begin_run(const Incoming::State::Message& message);
  [[nodiscard]] bool accept_message(const Incoming::State::Message& message, Run& run,
                                    const Datagram& from, Moment at);
  void on_first_of_run(wg::Peer& peer, wg::Session& session, const Datagram& from, Moment at);
  void learn_endpoint(wg::Peer& peer, const base::Endpoint& from, const base::LocalAddress& local);
  /// Moves what was accepted into the queue of poll_packet.
  void queue_accepted(Incoming::State& batch);

  // handshakes.cpp
  enum class Cost : std::uint8_t { Cheap, PublicKey };
  using Work = HandshakeWork::State;
  using Task = HandshakeWork::State::Task;
  void enqueue_handshake(base::Bytes bytes, const Datagram& from, base::Instant now);
  [[nodiscard]] bool handshakes_wait() const {
    return !(proven.empty() && unproven.empty() && wanted.empty());
  }
  [[nodiscard]] bool advance(Work& work, std::size_t& budget, Moment at);
  [[nodiscard]] Cost begin(Work& work, Moment at);
  [[nodiscard]] bool take_over(Work& work, Moment at);
  void lend_identity(Work& work);
  [[nodiscard]] Cost begin_received(Task& task, Moment at);
  [[nodiscard]] bool is_under_load(base::Instant now) const {
    return options.under_load_always || load.is_high(now);
  }
  void send_cookie(const WaitingHandshake& message, base::Instant now);
  [[nodiscard]] Cost begin_response(Task& task);
  [[nodiscard]] Cost begin_initiation(Task& task, Moment at);
  [[nodiscard]] bool find_initiator(Task& task, Moment at);
  void take_answer(Task& task, Moment at);
  void take_conclusion(Task& task, Moment at);
  void take_initiation(Task& task, Moment at);
  /// The task's peer, if it is still there.
  [[nodiscard]] wg::Peer* partner_of(Task& task);
  void receive_cookie(base::Bytes bytes, base::Instant now);
  void drop_futile(Drop reason, base::Instant now);
  void answer(wg::Peer& peer, Task& task, Moment at);
  [[nodiscard]] bool is_too_soon(const wg::Peer& peer, base::Instant now) const {
    return peer.last_initiation_accepted &&
           now - *peer.last_initiation_accepted < wg::kInitiationInterval;
  }
  /// Starts a handshake unless one was sent within rekey_timeout. A retry goes on with the attempt
  /// that runs; anything else begins a new one.
  enum class Attempt : std::uint8_t { New, Retry };
  void send_initiation(wg::Peer& peer, Attempt attempt, Moment at);
  [[nodiscard]] bool may_initiate(wg::Peer& peer, Moment at);
  void initiate_wanted(Moment at);
  void install(wg::Peer& peer, const wg::SessionKeys& keys, wg::IndexLease lease, wg::Index remote,
               wg::Role role, base::Instant now);
  void handshake_completed(wg::Peer& peer, base::WallTime wall);

  // send.cpp
  /// Where packets for one destination go: the next is mostly for the same.
  struct Route {
    std::optional<base::IpAddress> destination;
    wg::Peer* peer = nullptr;
    wg::Session* session = nullptr;
    const crypto::Aead* key = nullptr;
  };
  void plan(Outgoing::State& batch, Moment at);
  void plan_input(Outgoing::State& batch, Outgoing::State::Input& input, Route& route, Moment at);
  void reserve(Outgoing::State& batch, Outgoing::State::Input& input, const Route& route);
  void stage_input(wg::Peer& peer, Outgoing::State::Input& input, bool may_keep, Moment at);
  /// Moves what was sealed into the queue of poll_datagram.
  void queue_sealed(Outgoing::State& batch);
  /// False when the packet was dropped because too many wait for other peers.
  [[nodiscard]] bool stage(wg::Peer& peer, wire::Packet packet);
  [[nodiscard]] wire::Packet unstage(wg::Peer& peer);
  void drop_staged(wg::Peer& peer);
  /// Sends what waits for the peer, or starts a handshake for it.
  void send_staged(wg::Peer& peer, Moment at);
  void send_keepalive(wg::Peer& peer, Moment at);
  void seal_and_queue(wg::Peer& peer, wg::Session& session, wire::Packet packet, Moment at);
  void queue(wg::Peer& peer, wire::Packet packet, TrafficClass traffic_class);
  /// A session that `count` more messages may be sent with.
  [[nodiscard]] wg::Session* usable_session(wg::Peer& peer, base::Instant now,
                                            std::uint64_t count = 1);
  void renew_if_old(wg::Peer& peer, const wg::Session& session, Moment at);

  // timers.cpp
  void run_timers(wg::Peer& peer, Moment at);
  void zero_keys_if_due(wg::Peer& peer, base::Instant now);
  void retransmit(wg::Peer& peer, Moment at);
  void arm(wg::Peer& peer, wg::Timer timer, base::Instant at);
  [[nodiscard]] base::Duration jitter();
  void on_authenticated_sent(wg::Peer& peer, base::Instant now);
  void on_authenticated_received(wg::Peer& peer, base::Instant now);
  void on_data_sent(wg::Peer& peer, base::Instant now);
  void on_data_received(wg::Peer& peer, base::Instant now);

  Options options;
  base::RandomSource& random;
  std::uint64_t jitter_state = 0;  ///< 0: not seeded yet
  wire::PacketPool& pool;

  crypto::PrivateKey no_key;  ///< what private_key() shows while none is set
  std::optional<Interface> interface;
  std::uint64_t key_serial = 0;  ///< of the private key: every one has another
  /// Copies of the interface's identity, which one thread at a time may use, to be lent.
  std::vector<std::unique_ptr<wg::Identity>> identities;
  wg::IndexTable indices;  // before the peers, whose sessions hold indices
  wg::PeerTable peers;
  wg::AllowedIps allowed_ips;
  wg::Deadlines deadlines;
  wg::RateLimit rate_limit;
  Load load;

  std::size_t staged_count = 0;         ///< of all peers together
  wg::Ring<WaitingHandshake> proven;    ///< of senders that receive at their address: first
  wg::Ring<WaitingHandshake> unproven;  ///< of anybody who knows our public key
  wg::Ring<WantedInitiation> wanted;    ///< each peer at most once
  bool own_turn = true;                 ///< initiations of ours and of others take turns

  Outgoing single_out;  ///< for handle_packets
  Incoming single_in;   ///< for handle_datagrams

  Work own_work;         ///< for handle_handshakes
  Work own_initiations;  ///< for initiations that are made at once

  wg::Ring<Datagram> datagrams;
  wg::Ring<OutgoingPacket> packets;
  wg::Ring<Event> events;
  Counters counters;
};

}  // namespace warren::node
