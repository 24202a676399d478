#include <openssl/err.h>

#include "base/assert.hpp"
#include "crypto/crypto.hpp"
#include "crypto/openssl.hpp"

namespace warren::crypto {

namespace {

KeyHandle private_handle(const PrivateKey& key) {
  KeyHandle handle(EVP_PKEY_new_raw_private_key_ex(algorithms().library, "X25519", nullptr,
                                                   key.view().data(), key.view().size()));
  WARREN_ASSERT(handle);
  return handle;
}

}  // namespace

PrivateKey generate_private_key(base::RandomSource& random) {
  PrivateKey key;
  random.fill(key.fill());
  clamp(key);
  return key;
}

void clamp(PrivateKey& key) {
  const std::span<std::uint8_t, 32> bytes = key.fill();
  bytes[0] = static_cast<std::uint8_t>(bytes[0] & 248);
  bytes[31] = static_cast<std::uint8_t>((bytes[31] & 127) | 64);
}

base::PublicKey public_key(const PrivateKey& key) {
  const KeyHandle handle = private_handle(key);
  base::PublicKey out;
  std::size_t size = out.bytes.size();
  WARREN_ASSERT(EVP_PKEY_get_raw_public_key(handle.get(), out.bytes.data(), &size) == 1);
  return out;
}

bool x25519(const PrivateKey& ours, const base::PublicKey& theirs, SharedSecret& out) {
  out.clear();
  const KeyHandle private_key = private_handle(ours);
  const KeyHandle peer_key(EVP_PKEY_new_raw_public_key_ex(
      algorithms().library, "X25519", nullptr, theirs.bytes.data(), theirs.bytes.size()));
  const PublicKeyContext context(
      EVP_PKEY_CTX_new_from_pkey(algorithms().library, private_key.get(), nullptr));
  WARREN_ASSERT(peer_key && context);
  WARREN_ASSERT(EVP_PKEY_derive_init(context.get()) == 1);
  std::size_t size = out.fill().size();
  // Setting the peer without OpenSSL's validation: every 32 bytes are a valid X25519 input, and
  // the derivation itself fails for the low-order ones.
  const bool done = EVP_PKEY_derive_set_peer_ex(context.get(), peer_key.get(), 0) == 1 &&
                    EVP_PKEY_derive(context.get(), out.fill().data(), &size) == 1;
  if (done && !out.is_zero()) return true;
  ERR_clear_error();
  out.clear();
  return false;
}

}  // namespace warren::crypto
