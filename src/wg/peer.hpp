// One peer: its configuration, its handshake, its sessions, its timers and its figures.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.hpp"
#include "wg/cookie.hpp"
#include "wg/handshake.hpp"
#include "wg/keyring.hpp"
#include "wg/ring.hpp"
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

struct Peer {
  Peer(PeerId the_id, std::uint64_t the_serial, const base::PublicKey& key,
       base::Duration cookie_lifetime)
      : id(the_id), serial(the_serial), public_key(key), cookies(key, cookie_lifetime) {}

  /// Our slot; used again after removal.
  PeerId id;
  /// Never used again: tells queued work of a removed peer from that of its successor.
  std::uint64_t serial;

  // Configuration.
  base::PublicKey public_key;
  crypto::PresharedKey preshared_key;
  std::optional<base::Endpoint> endpoint;
  std::uint16_t persistent_keepalive_s = 0;

  // Handshake.
  std::optional<crypto::SharedSecret> static_shared;  ///< made when first needed
  std::optional<PendingHandshake> pending;
  CookieGenerator cookies;
  Timestamp last_sent_timestamp{};
  Timestamp last_accepted_timestamp{};
  std::optional<base::Instant> last_initiation_accepted;
  std::optional<base::Instant> last_handshake_sent;
  base::Instant attempt_started{};
  bool renewed_in_last_minute = false;  ///< a receiving initiator renews a dying session once

  // Data.
  Keyring sessions;
  Ring<wire::Packet> staged;  ///< wait for a session
  Timers timers;
  bool another_keepalive = false;  ///< data came in while a keepalive was already due

  // Figures.
  base::WallTime last_handshake{};
  base::Instant last_activity{};
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_bytes = 0;
};

}  // namespace warren::wg
