// Node: one WireGuard interface without its sockets. Sans-IO: datagrams, packets, time and
// randomness go in through handle_*; datagrams, packets, events and deadlines come out of poll_*.
//
// A caller's loop: hand in a batch, then drain poll_datagram and poll_packet, then look at
// poll_timeout. Nothing here allocates per packet once peers are configured.
//
// Source: WireGuard whitepaper (Donenfeld, 2020-06-01), sections 5 and 6.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.hpp"
#include "base/key.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "crypto/secret.hpp"
#include "node/batch.hpp"
#include "node/handshake_work.hpp"
#include "wire/packet.hpp"

namespace warren::node {

/// Why a packet or datagram was dropped. Counted, never logged per packet.
enum class Drop : std::uint8_t {
  Malformed,           ///< not a WireGuard message, or an inner packet that is not IP
  BadMac1,             ///< mac1 does not match our key
  UnderLoad,           ///< answered with a cookie instead, or over the source's rate
  UnknownPeer,         ///< a handshake by a key that is not configured
  BadHandshake,        ///< does not decrypt, or a replayed timestamp
  HandshakeFlood,      ///< a second initiation of one peer within 20 ms
  UnknownIndex,        ///< a transport or response message for no session of ours
  BadTag,              ///< transport message that does not authenticate
  Replayed,            ///< counter seen or behind the window
  SessionExpired,      ///< key too old or used up
  BadSource,           ///< inner source address not allowed for the peer
  NoRoute,             ///< no peer for the inner destination
  NoEndpoint,          ///< the peer's address is not known
  QueueFull,           ///< more packets waiting for a handshake than kept
  NoBuffer,            ///< packet pool exhausted
  Congestion,          ///< outer congestion mark on an inner packet that cannot carry it
  HandshakeQueueFull,  ///< more handshake messages waiting than kept
  kCount,
};
[[nodiscard]] std::string_view to_string(Drop drop);

/// Timing constants, so that a test can run the protocol in a compressed time. Shipped programs
/// use the defaults, which are the whitepaper's (section 6.1).
struct Timing {
  base::Duration rekey_after = std::chrono::seconds(120);
  base::Duration reject_after = std::chrono::seconds(180);
  base::Duration rekey_attempt = std::chrono::seconds(90);
  base::Duration rekey_timeout = std::chrono::seconds(5);
  base::Duration rekey_jitter = std::chrono::milliseconds(334);
  base::Duration keepalive = std::chrono::seconds(10);
  base::Duration cookie_secret = std::chrono::seconds(120);
  std::uint64_t rekey_after_messages = std::uint64_t{1} << 60;
  std::uint64_t reject_after_messages = ~std::uint64_t{0} - (std::uint64_t{1} << 13);
};

/// What survives a crash of the engine: hints, never secrets (DESIGN: section 3).
struct PeerHints {
  std::optional<base::Endpoint> endpoint;
  std::array<std::uint8_t, 12> last_sent_timestamp{};      ///< TAI64N
  std::array<std::uint8_t, 12> last_accepted_timestamp{};  ///< TAI64N
  base::Instant last_activity{};  ///< last authenticated packet either way; 0 = never
};

/// One peer as configured. Absent optionals leave an existing peer's value alone.
struct PeerUpdate {
  base::PublicKey public_key;
  bool remove = false;
  bool update_only = false;                           ///< do nothing if the peer does not exist
  std::optional<crypto::PresharedKey> preshared_key;  ///< all zero removes it
  std::optional<base::Endpoint> endpoint;
  std::optional<std::uint16_t> persistent_keepalive_s;  ///< 0 switches it off
  bool replace_allowed_ips = false;
  struct AllowedIp {
    base::Prefix prefix;
    bool remove = false;
  };
  std::vector<AllowedIp> allowed_ips;
};

/// A peer's state as `wg show` wants it.
struct PeerStatus {
  base::PublicKey public_key;
  const crypto::PresharedKey* preshared_key = nullptr;  ///< valid during the callback
  std::optional<base::Endpoint> endpoint;
  base::WallTime last_handshake{};  ///< 0 = never
  std::uint64_t rx_bytes = 0;       ///< outer transport bytes, as wg counts them
  std::uint64_t tx_bytes = 0;
  std::uint16_t persistent_keepalive_s = 0;
  std::vector<base::Prefix> allowed_ips;
};

struct Counters {
  std::array<std::uint64_t, static_cast<std::size_t>(Drop::kCount)> drops{};
  std::uint64_t handshakes_initiated = 0;
  std::uint64_t handshakes_answered = 0;
  std::uint64_t handshakes_completed = 0;
  std::uint64_t cookies_sent = 0;
};

/// What the shell is told about a peer, in order of occurrence.
struct Event {
  enum class Kind : std::uint8_t {
    HandshakeCompleted,  ///< a new session is usable
    EndpointChanged,     ///< the peer roamed
    HandshakeGivenUp,    ///< no answer within rekey_attempt
    HintsChanged,        ///< timestamps or endpoint changed: save `Node::hints`
  };
  Kind kind;
  base::PublicKey peer;
};

/// Peers of one node, unless its options say otherwise.
inline constexpr std::size_t kMaxPeers = std::size_t{1} << 20;

class Node {
 public:
  struct Options {
    Timing timing{};
    std::size_t max_peers = kMaxPeers;
    std::size_t mtu = 1420;          ///< of the tun: padding never grows a packet beyond it
    bool under_load_always = false;  ///< tests: answer every handshake with a cookie first
    /// Initiations wait for advance(), as what is received always does. Otherwise they are made, at
    /// 0.1 ms each, by the call that finds that one is needed.
    bool defer_initiations = false;
  };

  /// `random` and `pool` must outlive the node. Packets that wait for a handshake, keepalives and
  /// handshake messages are taken from `pool`, whose content must be at least 2048 bytes.
  Node(Options options, base::RandomSource& random, wire::PacketPool& pool);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // --- configuration ---

  /// Sets (or with a zero key clears) the interface's private key. Sessions of the old key end; a
  /// peer that has our own public key is removed, as the kernel does.
  void set_private_key(crypto::PrivateKey key, base::Instant now);
  [[nodiscard]] const crypto::PrivateKey& private_key() const;
  /// Our public key; nullopt while no private key is set.
  [[nodiscard]] std::optional<base::PublicKey> public_key() const;
  /// The tun's MTU changed.
  void set_mtu(std::size_t mtu);
  /// Adds, changes or removes one peer. An allowed IP held by another peer moves to this one.
  /// False only when the peer table is full. A peer whose key is our own is ignored.
  bool update_peer(const PeerUpdate& update, base::Instant now);
  void remove_all_peers();
  /// The same in pages: removes the peers of some `at_most` slots from `from` (0 to begin with) on
  /// and returns where to go on; nullopt at the end. No peer may be added in between.
  [[nodiscard]] std::optional<std::size_t> remove_some_peers(std::size_t from, std::size_t at_most);
  /// Called before traffic for a peer that existed in an earlier life of the engine.
  void restore_hints(const base::PublicKey& peer, const PeerHints& hints);
  /// Starts a handshake now with a peer that was active in an earlier life (no-op without endpoint
  /// or key, or when a session exists).
  void initiate(const base::PublicKey& peer, base::Instant now, base::WallTime wall);
  /// Lets a peer hear of us now: a keepalive, or a handshake where no session is of use. For peers
  /// that were active when the host was suspended: they may have given up, and so may the NAT.
  void wake(const base::PublicKey& peer, base::Instant now, base::WallTime wall);

  // --- input ---

  /// The hot path, in the steps that batch.hpp describes. Each of these three is short: no
  /// cryptography. A shell with several workers holds one lock
  /// around every call of a Node; keys and buffers of a batch stay valid without it until clear().
  ///
  /// Chooses peer, session and counters for every packet; without a session the packet is copied
  /// and waits for the handshake that this starts.  HOT PATH
  void plan(Outgoing& batch, base::Instant now, base::WallTime wall);
  /// Finds the session of every transport message. Handshake messages that have the right length
  /// and mac1 wait, copied, in a bounded queue for handle_handshakes.  HOT PATH
  void identify(Incoming& batch, base::Instant now, base::WallTime wall);
  /// Takes over what has authenticated: replay window, endpoint, timers, figures, allowed IPs,
  /// ECN. Packets of a peer that was removed meanwhile are dropped.  HOT PATH
  void accept(Incoming& batch, base::Instant now, base::WallTime wall);
  /// Takes over what `work` has computed, then begins the next handshake that waits: a message that
  /// came in or an initiation that is wanted. True: call work.compute(), which needs no lock, and
  /// come again. There may be nothing to compute (work.is_idle()), but others had their turn with
  /// the lock. False when `budget` is used up (handshake_budget(count) is enough for
  /// `count` handshakes) or no more wait; then `work` holds nothing.
  [[nodiscard]] bool advance(HandshakeWork& work, std::size_t& budget, base::Instant now,
                             base::WallTime wall);
  [[nodiscard]] static std::size_t handshake_budget(std::size_t count);
  [[nodiscard]] bool handshakes_wait() const;
  /// Handles at most `at_most` of the handshakes that wait (about 0.1 ms each); true when more do.
  /// Bounded so that data does not wait behind a storm of strangers.
  bool handle_handshakes(std::size_t at_most, base::Instant now, base::WallTime wall);

  /// The same in one call and without a lock, for tests, simulation and fuzzing: what goes out
  /// comes from poll_datagram (never as a train) and poll_packet; handshakes are handled at once.
  ///
  /// Datagrams from the network. Consumes the packets (they are moved out of the span).
  void handle_datagrams(std::span<Datagram> batch, base::Instant now, base::WallTime wall);
  /// IP packets from the tun. Consumes the packets.
  void handle_packets(std::span<wire::Packet> batch, base::Instant now, base::WallTime wall);
  /// Runs the timers that are due: all of them, or as many as fill the queue of poll_datagram or of
  /// wanted initiations to some length, when poll_timeout goes on saying that some are due. So
  /// neither a pool nor a lock has to bear a hundred thousand peers that are due in one moment.
  void handle_timeout(base::Instant now, base::WallTime wall);
  /// The link or its addresses changed: forgets which local address each peer knows, active peers
  /// are due a keepalive.
  void handle_network_change(base::Instant now);

  // --- output ---

  /// The next datagram to send: handshakes, keepalives, packets that had waited for a session. A
  /// packet from the node's own pool: a worker copies it. Order per peer is the send order.
  [[nodiscard]] std::optional<Datagram> poll_datagram();
  /// The next decrypted IP packet to write to the tun (already trimmed to its IP length).
  [[nodiscard]] std::optional<wire::Packet> poll_packet();
  [[nodiscard]] std::optional<Event> poll_event();
  /// When handle_timeout wants to be called next; nullopt when no timer runs.
  [[nodiscard]] std::optional<base::Instant> poll_timeout() const;

  // --- reading ---

  [[nodiscard]] std::size_t peer_count() const;
  void for_each_peer(const std::function<void(const PeerStatus&)>& visit) const;
  /// The same in pages: visits some `at_most` peers from `from` (0 to begin with) on, and returns
  /// where to go on; nullopt at the end. Peers may come and go between pages: one that stays is
  /// visited once.
  [[nodiscard]] std::optional<std::size_t> for_some_peers(
      std::size_t from, std::size_t at_most,
      const std::function<void(const PeerStatus&)>& visit) const;
  /// The same with the keys alone, which is cheap.
  [[nodiscard]] std::optional<std::size_t> for_some_keys(
      std::size_t from, std::size_t at_most,
      const std::function<void(const base::PublicKey&)>& visit) const;
  /// As for_some_keys, with those only that something authentic went to or came from since then.
  [[nodiscard]] std::optional<std::size_t> for_some_active(
      std::size_t from, std::size_t at_most, base::Instant since,
      const std::function<void(const base::PublicKey&)>& visit) const;
  /// The peer of something that poll_datagram or a batch gave out is still there, with the sessions
  /// that it had.
  [[nodiscard]] bool has(const Owner& owner) const;
  [[nodiscard]] std::optional<PeerHints> hints(const base::PublicKey& peer) const;
  [[nodiscard]] const Counters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warren::node
