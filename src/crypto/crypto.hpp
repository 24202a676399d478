// Every primitive WireGuard needs; the only includer of a crypto library is this module's .cpp
// files.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/key.hpp"
#include "base/random.hpp"
#include "crypto/secret.hpp"

namespace warren::crypto {

inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kHashSize = 32;
using Hash = std::array<std::uint8_t, kHashSize>;
using Mac = std::array<std::uint8_t, 16>;

// --- X25519 (RFC 7748) ---

/// A fresh clamped private key.
[[nodiscard]] PrivateKey generate_private_key(base::RandomSource& random);
/// Clamps in place (RFC 7748 section 5).
void clamp(PrivateKey& key);
[[nodiscard]] base::PublicKey public_key(const PrivateKey& key);
/// DH(private, public). False (and `out` zero) when the result is all zero (a low-order point).
[[nodiscard]] bool x25519(const PrivateKey& ours, const base::PublicKey& theirs, SharedSecret& out);

// --- BLAKE2s (RFC 7693) ---

/// Hash of the concatenation of the parts, 32 bytes.
[[nodiscard]] Hash blake2s(std::initializer_list<base::Bytes> parts);
/// Keyed BLAKE2s with 16 bytes of output: WireGuard's Mac(key, input). Key of 1..32 bytes.
[[nodiscard]] Mac keyed_blake2s_128(base::Bytes key, base::Bytes input);
/// HMAC-BLAKE2s, 32 bytes.
void hmac_blake2s(base::Bytes key, std::initializer_list<base::Bytes> parts,
                  std::span<std::uint8_t, 32> out);
/// WireGuard's Kdf1..Kdf3 (HKDF with HMAC-BLAKE2s, no info): fills as many outputs as are given.
void kdf(base::Bytes chaining_key, base::Bytes input,
         std::initializer_list<std::span<std::uint8_t, 32>> outputs);

// --- ChaCha20-Poly1305 (RFC 8439) and XChaCha20-Poly1305 ---

/// One direction of a session: a key with its cipher state kept ready, so that a packet costs no
/// set-up. Not thread-safe. Movable. The nonce is WireGuard's: 4 zero bytes, 64-bit counter LE.
class Aead {
 public:
  explicit Aead(const AeadKey& key);
  ~Aead();
  Aead(Aead&&) noexcept;
  Aead& operator=(Aead&&) noexcept;

  /// Encrypts `text` in place and writes the tag. `aad` may be empty.  HOT PATH
  void seal(std::uint64_t counter, base::Bytes aad, base::MutableBytes text,
            std::span<std::uint8_t, kTagSize> tag);
  /// Checks the tag and decrypts `text` in place. On false `text` is unspecified and must not be
  /// used.  HOT PATH
  [[nodiscard]] bool open(std::uint64_t counter, base::Bytes aad, base::MutableBytes text,
                          std::span<const std::uint8_t, kTagSize> tag);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One-shot AEAD for handshake messages: `out` = ciphertext || tag (plaintext size + 16).
void aead_seal(std::span<const std::uint8_t, 32> key, std::uint64_t counter, base::Bytes aad,
               base::Bytes plaintext, base::MutableBytes out);
/// `out` has ciphertext size - 16. False when the tag is wrong.
[[nodiscard]] bool aead_open(std::span<const std::uint8_t, 32> key, std::uint64_t counter,
                             base::Bytes aad, base::Bytes ciphertext, base::MutableBytes out);
/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a 24-byte nonce, for cookie replies.
void xaead_seal(std::span<const std::uint8_t, 32> key, std::span<const std::uint8_t, 24> nonce,
                base::Bytes aad, base::Bytes plaintext, base::MutableBytes out);
[[nodiscard]] bool xaead_open(std::span<const std::uint8_t, 32> key,
                              std::span<const std::uint8_t, 24> nonce, base::Bytes aad,
                              base::Bytes ciphertext, base::MutableBytes out);

// --- SHA-256 and HMAC-SHA-256, for pins and tokens ---

[[nodiscard]] Hash sha256(base::Bytes input);

}  // namespace warren::crypto
