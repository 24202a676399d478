// The paper's notation: C is the chaining key, H the hash of everything said so far, τ and κ the
// temporary outputs of Kdf. `mix_hash` is H := Hash(H ‖ x), `mix_key` is C := Kdf1(C, x), and
// `mix_key_and_key` is (C, κ) := Kdf2(C, x). Every AEAD here has counter 0 and H as its data,
// because each κ encrypts once.
#include "wg/handshake.hpp"

#include "base/assert.hpp"

namespace warren::wg {

namespace {

using Key = crypto::Secret<32>;

constexpr std::string_view kConstruction = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
constexpr std::string_view kIdentifier = "WireGuard v1 zx2c4 Jason@zx2c4.com";

void mix_hash(NoiseState& state, base::Bytes data) {
  state.hash = crypto::blake2s({state.hash, data});
}

void mix_key(NoiseState& state, base::Bytes data) {
  crypto::kdf(state.chaining_key.view(), data, {state.chaining_key.fill()});
}

void mix_key_and_key(NoiseState& state, base::Bytes data, Key& key) {
  crypto::kdf(state.chaining_key.view(), data, {state.chaining_key.fill(), key.fill()});
}

/// C of every handshake before its first key, and the hash of the protocol's two names.
const crypto::Hash& first_chaining_key() {
  static const crypto::Hash key = crypto::blake2s({base::as_bytes(kConstruction)});
  return key;
}
const crypto::Hash& first_hash() {
  static const crypto::Hash hash =
      crypto::blake2s({first_chaining_key(), base::as_bytes(kIdentifier)});
  return hash;
}

/// H after both sides know the responder's static key.
crypto::Hash hash_towards(const base::PublicKey& responder) {
  return crypto::blake2s({first_hash(), responder.bytes});
}

void start(NoiseState& state, const crypto::Hash& initiation_hash) {
  state.chaining_key = Key(first_chaining_key());
  state.hash = initiation_hash;
}

void mix_ephemeral(NoiseState& state, const base::PublicKey& ephemeral) {
  mix_hash(state, ephemeral.bytes);
  mix_key(state, ephemeral.bytes);
}

void encrypt(NoiseState& state, const Key& key, base::Bytes plain, base::MutableBytes out) {
  crypto::aead_seal(key.view(), 0, state.hash, plain, out);
  mix_hash(state, out);
}

bool decrypt(NoiseState& state, const Key& key, base::Bytes sealed, base::MutableBytes out) {
  if (!crypto::aead_open(key.view(), 0, state.hash, sealed, out)) return false;
  mix_hash(state, sealed);
  return true;
}

/// Both sides mix the pre-shared key in the same way, at the end.
void mix_preshared_key(NoiseState& state, const crypto::PresharedKey& preshared, Key& key) {
  Key middle;
  crypto::kdf(state.chaining_key.view(), preshared.view(),
              {state.chaining_key.fill(), middle.fill(), key.fill()});
  mix_hash(state, middle.view());
}

bool mix_shared(NoiseState& state, const crypto::X25519Key& ours, const base::PublicKey& theirs) {
  crypto::SharedSecret shared;
  if (!ours.derive(theirs, shared)) return false;
  mix_key(state, shared.view());
  return true;
}

NoiseState clone(const NoiseState& state) {
  return {.hash = state.hash, .chaining_key = state.chaining_key.clone()};
}

SessionKeys split(const NoiseState& state, bool initiator) {
  SessionKeys keys;
  crypto::kdf(state.chaining_key.view(), {}, {keys.send.fill(), keys.receive.fill()});
  if (!initiator) std::swap(keys.send, keys.receive);
  return keys;
}

}  // namespace

InitiatorState clone(const InitiatorState& state) {
  return {state.local_index, state.ephemeral.clone(), clone(state.noise)};
}

Identity::Identity(crypto::PrivateKey key)
    : private_key(std::move(key)),
      deriving_key(private_key),
      public_key(deriving_key.public_key()),
      initiation_hash(hash_towards(public_key)) {}

bool create_initiation(const Identity& ours, const Remote& theirs, Timestamp now, Index local_index,
                       base::RandomSource& random, InitiatorState& state, Initiation& message) {
  NoiseState noise;
  start(noise, hash_towards(theirs.public_key));
  crypto::PrivateKey ephemeral = crypto::generate_private_key(random);
  const crypto::X25519Key deriving_key(ephemeral);
  message = Initiation{.sender = local_index, .ephemeral = deriving_key.public_key()};
  mix_ephemeral(noise, message.ephemeral);

  crypto::SharedSecret shared;
  if (!deriving_key.derive(theirs.public_key, shared)) return false;
  Key key;
  mix_key_and_key(noise, shared.view(), key);
  encrypt(noise, key, ours.public_key.bytes, message.encrypted_static);

  if (theirs.static_shared.is_zero()) return false;
  mix_key_and_key(noise, theirs.static_shared.view(), key);
  encrypt(noise, key, now, message.encrypted_timestamp);

  state = InitiatorState{local_index, std::move(ephemeral), std::move(noise)};
  return true;
}

std::optional<base::PublicKey> read_initiator(const Identity& ours, const Initiation& message,
                                              ResponderState& state) {
  start(state.noise, ours.initiation_hash);
  mix_ephemeral(state.noise, message.ephemeral);
  state.remote_index = message.sender;
  state.remote_ephemeral = message.ephemeral;

  crypto::SharedSecret shared;
  if (!ours.deriving_key.derive(message.ephemeral, shared)) return std::nullopt;
  Key key;
  mix_key_and_key(state.noise, shared.view(), key);
  base::PublicKey sender;
  if (!decrypt(state.noise, key, message.encrypted_static, sender.bytes)) return std::nullopt;
  return sender;
}

std::optional<Timestamp> read_timestamp(const Remote& theirs, const Initiation& message,
                                        ResponderState& state) {
  if (theirs.static_shared.is_zero()) return std::nullopt;
  Key key;
  mix_key_and_key(state.noise, theirs.static_shared.view(), key);
  Timestamp timestamp{};
  if (!decrypt(state.noise, key, message.encrypted_timestamp, timestamp)) return std::nullopt;
  return timestamp;
}

std::optional<SessionKeys> create_response(const Remote& theirs, Index local_index,
                                           base::RandomSource& random, ResponderState& state,
                                           Response& message) {
  const crypto::X25519Key ephemeral(crypto::generate_private_key(random));
  message = Response{
      .sender = local_index, .receiver = state.remote_index, .ephemeral = ephemeral.public_key()};
  NoiseState noise = std::move(state.noise);
  mix_ephemeral(noise, message.ephemeral);
  if (!mix_shared(noise, ephemeral, state.remote_ephemeral)) return std::nullopt;
  if (!mix_shared(noise, ephemeral, theirs.public_key)) return std::nullopt;
  Key key;
  mix_preshared_key(noise, theirs.preshared_key, key);
  encrypt(noise, key, {}, message.encrypted_nothing);
  return split(noise, false);
}

std::optional<SessionKeys> consume_response(const Identity& ours, const Remote& theirs,
                                            const Response& message, const InitiatorState& state) {
  NoiseState noise = clone(state.noise);
  mix_ephemeral(noise, message.ephemeral);
  crypto::SharedSecret shared;
  if (!crypto::x25519(state.ephemeral, message.ephemeral, shared)) return std::nullopt;
  mix_key(noise, shared.view());
  if (!mix_shared(noise, ours.deriving_key, message.ephemeral)) return std::nullopt;
  Key key;
  mix_preshared_key(noise, theirs.preshared_key, key);
  if (!decrypt(noise, key, message.encrypted_nothing, {})) return std::nullopt;
  return split(noise, true);
}

}  // namespace warren::wg
