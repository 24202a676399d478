// OpenSSL keeps a private key with its public key, and making the public key costs as much as the
// derivation that follows and does not use it. So a key that only derives is imported as a pair
// whose public half is zeros; such a handle never leaves `x25519`.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

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

// OSSL_PARAM has no const; an import only reads.
OSSL_PARAM octets(const char* name, std::span<const std::uint8_t, 32> bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                           bytes.size());
}

/// Imports through the thread's context: naming the algorithm anew costs another 1.2 us a key.
KeyHandle import(OSSL_PARAM* parameters, int selection) {
  EVP_PKEY* imported = nullptr;
  WARREN_ASSERT(
      EVP_PKEY_fromdata(contexts().import_x25519.get(), &imported, selection, parameters) == 1);
  return KeyHandle(imported);
}

/// A key that can derive and nothing else: its public half is not the key's.
KeyHandle deriving_handle(const PrivateKey& key) {
  static constexpr std::array<std::uint8_t, 32> kUnused{};
  OSSL_PARAM parameters[] = {octets(OSSL_PKEY_PARAM_PRIV_KEY, key.view()),
                             octets(OSSL_PKEY_PARAM_PUB_KEY, kUnused), OSSL_PARAM_construct_end()};
  return import(parameters, EVP_PKEY_KEYPAIR);
}

KeyHandle public_handle(const base::PublicKey& key) {
  OSSL_PARAM parameters[] = {octets(OSSL_PKEY_PARAM_PUB_KEY, key.bytes),
                             OSSL_PARAM_construct_end()};
  return import(parameters, EVP_PKEY_PUBLIC_KEY);
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
  const KeyHandle private_key = deriving_handle(ours);
  const KeyHandle peer_key = public_handle(theirs);
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
