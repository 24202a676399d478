// One peer: its configuration, its handshake, its sessions, its timers and its figures.
//
// A gateway may have a hundred thousand peers of which few are talking. What only a talking peer
// needs (shared secret, running handshake, cookies, waiting packets, sessions) is made when it is
// first needed; a peer that is only configured is this struct and nothing else on the heap.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "wg/cookie.hpp"
#include "wg/handshake.hpp"
#include "wg/keyring.hpp"
#include "wg/on_demand.hpp"
#include "wg/timers.hpp"
#include "wire/packet.hpp"

namespace warren::wg {

/// An initiation of ours that waits for its response. It is kept apart from what the peer
/// initiates, so that two initiations that cross both lead to a session.
struct PendingHandshake {
  IndexLease lease;
  InitiatorState state;
  base::Instant sent{};
};

/// A peer's CookieGenerator, made with the first message that needs macs.
class PeerCookies {
 public:
  /// `theirs` outlives this.
  PeerCookies(const base::PublicKey& theirs, base::Duration secret_lifetime)
      : theirs_(theirs), lifetime_(secret_lifetime) {}

  void add_macs(base::MutableBytes datagram, base::Instant now) {
    if (!generator_) generator_ = CookieGenerator(theirs_, lifetime_);
    generator_->add_macs(datagram, now);
  }
  [[nodiscard]] bool consume(const CookieReply& reply, base::Instant now) {
    return generator_ && generator_->consume(reply, now);
  }

 private:
  const base::PublicKey& theirs_;
  base::Duration lifetime_;
  Boxed<CookieGenerator> generator_;
};

struct Peer {
  Peer(PeerId the_id, std::uint64_t the_serial, const base::PublicKey& key,
       base::Duration cookie_lifetime)
      : id(the_id), serial(the_serial), public_key(key), cookies(public_key, cookie_lifetime) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  /// Our slot; used again after removal.
  PeerId id;
  std::uint16_t persistent_keepalive_s = 0;
  bool renewed_in_last_minute = false;  ///< a receiving initiator renews a dying session once
  bool another_keepalive = false;       ///< data came in while a keepalive was already due
  bool initiation_wanted = false;       ///< one waits to be made
  /// Never used again: tells queued work of a removed peer from that of its successor, and that of
  /// an ended life of the peer from that of its present one.
  std::uint64_t serial;

  // Configuration.
  base::PublicKey public_key;
  crypto::PresharedKey preshared_key;
  std::optional<base::Endpoint> endpoint;
  base::LocalAddress local{};  ///< where the endpoint's last authentic message came to

  // Handshake.
  Timestamp last_sent_timestamp{};
  Timestamp last_accepted_timestamp{};
  Boxed<crypto::SharedSecret> static_shared;  ///< made when first needed
  Boxed<PendingHandshake> pending;
  PeerCookies cookies;
  std::optional<base::Instant> last_initiation_accepted;
  std::optional<base::Instant> last_handshake_sent;
  base::Instant attempt_started{};

  // Data.
  Keyring sessions;
  BriefRing<wire::Packet> staged;  ///< wait for a session
  Timers timers;

  // Figures.
  base::WallTime last_handshake{};
  base::Instant last_activity{};
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
};

}  // namespace warren::wg
