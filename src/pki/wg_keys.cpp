#include "pki/wg_keys.hpp"

#include <algorithm>
#include <vector>

#include "crypto/crypto.hpp"

namespace warren::pki {

WgKeys create_wg_keys(base::RandomSource& random) {
  const crypto::PrivateKey secret = crypto::generate_private_key(random);
  WgKeys keys;
  std::ranges::copy(secret.view(), keys.private_key.begin());
  keys.public_key = crypto::public_key(secret);
  return keys;
}

bool is_usable_public_key(const base::PublicKey& key) {
  // Whether the result is zero depends on the point alone: a clamped scalar is a multiple of the
  // cofactor and smaller than the group's order.
  crypto::PrivateKey any;
  any.fill()[0] = 8;
  crypto::clamp(any);
  crypto::SharedSecret shared;
  return crypto::x25519(any, key, shared);
}

std::array<std::uint8_t, 32> secret_hash(base::Bytes secret) { return crypto::sha256(secret); }

std::array<std::uint8_t, 32> secret_hash(base::Bytes secret, std::uint32_t place) {
  if (place == 0) return secret_hash(secret);
  std::vector<std::uint8_t> text;
  text.reserve(secret.size() + 4);  // growing would leave a copy behind
  text.assign(secret.begin(), secret.end());
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    text.push_back(static_cast<std::uint8_t>(place >> shift));
  }
  const auto hash = crypto::sha256(text);
  crypto::wipe(text);
  return hash;
}

}  // namespace warren::pki
