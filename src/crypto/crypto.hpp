// Every primitive WireGuard needs; the only includer of a crypto library is this module's .cpp
// files.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

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

/// A private key made ready to derive more than once: costs about 2.5 us and some hundred bytes to
/// make, and then little more than the multiplication. Wiped when it dies. One thread at a time.
class X25519Key {
 public:
  /// Computes the public key, which takes as long as a derivation.
  explicit X25519Key(const PrivateKey& key);
  X25519Key(X25519Key&&) noexcept;
  X25519Key& operator=(X25519Key&&) noexcept;
  ~X25519Key();

  [[nodiscard]] base::PublicKey public_key() const;
  /// As x25519().
  [[nodiscard]] bool derive(const base::PublicKey& theirs, SharedSecret& out) const;

 private:
  struct Handles;

  std::unique_ptr<Handles> handles_;
};

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

/// One direction of a session: its key, wiped when it dies. Holds no cipher state, so that an idle
/// session costs 32 bytes and several threads may use one key at once. Movable. The nonce is
/// WireGuard's: 4 zero bytes, 64-bit counter LE; the additional data of a transport message is
/// empty.
class Aead {
 public:
  explicit Aead(const AeadKey& key) : key_(key.clone()) {}
  [[nodiscard]] std::span<const std::uint8_t, 32> key() const { return key_.view(); }

 private:
  AeadKey key_;
};

/// One packet to be sealed or opened where it lies. The jobs of one call may have different keys.
struct AeadJob {
  const Aead* key = nullptr;
  std::uint64_t counter = 0;
  base::MutableBytes text;      ///< encrypted or decrypted in place; may be empty
  std::uint8_t* tag = nullptr;  ///< kTagSize bytes: written by seal, read by open
  bool authentic = false;       ///< set by open
};
/// The batch size that the implementations are made for; a call may have more jobs or fewer.
inline constexpr std::size_t kAeadBatch = 64;

/// Encrypts every text and writes its tag. Thread-safe.  HOT PATH
void seal(std::span<AeadJob> jobs);
/// Checks every tag and decrypts every text. The text of a job that is not `authentic` is
/// unspecified and must not be used. Thread-safe.  HOT PATH
void open(std::span<AeadJob> jobs);

/// The implementation that seal and open were bound to when the program started: the fastest of
/// those measured for this processor (docs/design/0006-aead.md). WARREN_AEAD=NAME in the
/// environment chooses another one that runs here; an unknown name is ignored.
[[nodiscard]] std::string_view aead_implementation();
/// All that run on this processor, fastest first; `use_aead` is for tests and benchmarks.
[[nodiscard]] std::span<const std::string_view> aead_implementations();
bool use_aead(std::string_view name);

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
