// Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s as WireGuard uses it (whitepaper sections 5.4.2, 5.4.3).
// Pure key agreement: no timers, no peers, no macs; those are in cookie.hpp and peer.hpp.
//
// Initiator:  create_initiation → (network) → consume_response
// Responder:  read_initiator → find the peer → read_timestamp → check it → create_response
#pragma once

#include <optional>

#include "base/random.hpp"
#include "crypto/crypto.hpp"
#include "wg/messages.hpp"

namespace warren::wg {

/// Our side: the interface's key pair. One thread at a time.
struct Identity {
  explicit Identity(crypto::PrivateKey key);

  crypto::PrivateKey private_key;
  crypto::X25519Key deriving_key;  ///< `private_key`, ready for derivations
  base::PublicKey public_key;
  crypto::Hash initiation_hash;  ///< H of every initiation to us, before its first field
};

/// Their side as far as the handshake needs it. `static_shared` is DH(ours, theirs).
struct Remote {
  const base::PublicKey& public_key;
  const crypto::SharedSecret& static_shared;
  const crypto::PresharedKey& preshared_key;
};

/// The running Noise state. Wipes itself.
struct NoiseState {
  crypto::Hash hash{};
  crypto::Secret<32> chaining_key;
};

/// What an initiator keeps between its initiation and the response.
struct InitiatorState {
  Index local_index = 0;
  crypto::PrivateKey ephemeral;
  NoiseState noise;
};

[[nodiscard]] InitiatorState clone(const InitiatorState& state);

/// What a responder keeps between reading an initiation and answering it.
struct ResponderState {
  Index remote_index = 0;
  base::PublicKey remote_ephemeral;
  NoiseState noise;
};

/// The two keys of a new session, as seen by the side that holds them.
struct SessionKeys {
  crypto::AeadKey send;
  crypto::AeadKey receive;
};

/// Fills `message` (without macs) and `state`. False when a key is a low-order point.
[[nodiscard]] bool create_initiation(const Identity& ours, const Remote& theirs, Timestamp now,
                                     Index local_index, base::RandomSource& random,
                                     InitiatorState& state, Initiation& message);

/// The sender's static key; nullopt when the message was not made for our key.
[[nodiscard]] std::optional<base::PublicKey> read_initiator(const Identity& ours,
                                                            const Initiation& message,
                                                            ResponderState& state);
/// The timestamp, which authenticates the sender; nullopt when it does not. The caller refuses a
/// timestamp that is not newer than the last one accepted.
[[nodiscard]] std::optional<Timestamp> read_timestamp(const Remote& theirs,
                                                      const Initiation& message,
                                                      ResponderState& state);
/// Fills `message` (without macs) and gives the session's keys; uses `state` up.
[[nodiscard]] std::optional<SessionKeys> create_response(const Remote& theirs, Index local_index,
                                                         base::RandomSource& random,
                                                         ResponderState& state, Response& message);

/// The session's keys; nullopt when the response does not authenticate, which leaves `state` as it
/// was: a forged response must not end a handshake.
[[nodiscard]] std::optional<SessionKeys> consume_response(const Identity& ours,
                                                          const Remote& theirs,
                                                          const Response& message,
                                                          const InitiatorState& state);

}  // namespace warren::wg
