// The keys and hashes that enrolment needs: WireGuard key pairs of gateways, checks of members'
// keys, hashes of token secrets.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/key.hpp"
#include "base/random.hpp"

namespace warren::pki {

/// A gateway's X25519 pair for one network. The caller wipes or stores the private half.
struct WgKeys {
  std::array<std::uint8_t, 32> private_key{};  ///< clamped
  base::PublicKey public_key;
};
[[nodiscard]] WgKeys create_wg_keys(base::RandomSource& random);
/// False for zero and for the other low-order points (RFC 7748 section 6.1): a handshake with such
/// a key has a result that anyone can compute.
[[nodiscard]] bool is_usable_public_key(const base::PublicKey& key);
/// SHA-256, as tokens are stored by.
[[nodiscard]] std::array<std::uint8_t, 32> secret_hash(base::Bytes secret);
/// The hash of one place of a token with several: of the secret for the first (0), of the secret
/// and the place's number (32 bits, big endian) for the others.
[[nodiscard]] std::array<std::uint8_t, 32> secret_hash(base::Bytes secret, std::uint32_t place);

}  // namespace warren::pki
