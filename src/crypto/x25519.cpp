// X25519 is OpenSSL's; this file keeps its ceremony small beside the multiplication. A key is
// imported through the thread's context, which names the algorithm once. A peer's key is not
// imported at all: each thread keeps one public handle and writes the bytes into it.
//
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

// OSSL_PARAM has no const; an import only reads.
OSSL_PARAM octets(const char* name, std::span<const std::uint8_t, 32> bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::uint8_t*>(bytes.data()),
                                           bytes.size());
}

/// Imports a private key; its public half is computed.
KeyHandle whole_handle(const PrivateKey& key) {
  OSSL_PARAM parameters[] = {octets(OSSL_PKEY_PARAM_PRIV_KEY, key.view()),
                             OSSL_PARAM_construct_end()};
  return import_x25519(contexts().import_x25519.get(), parameters, EVP_PKEY_KEYPAIR);
}

/// A key that can derive and nothing else: its public half is not the key's.
KeyHandle deriving_handle(const PrivateKey& key) {
  static constexpr std::array<std::uint8_t, 32> kUnused{};
  OSSL_PARAM parameters[] = {octets(OSSL_PKEY_PARAM_PRIV_KEY, key.view()),
                             octets(OSSL_PKEY_PARAM_PUB_KEY, kUnused), OSSL_PARAM_construct_end()};
  return import_x25519(contexts().import_x25519.get(), parameters, EVP_PKEY_KEYPAIR);
}

base::PublicKey public_of(EVP_PKEY* handle) {
  base::PublicKey out;
  std::size_t size = out.bytes.size();
  WARREN_ASSERT(EVP_PKEY_get_raw_public_key(handle, out.bytes.data(), &size) == 1);
  return out;
}

PublicKeyContext deriving_context(EVP_PKEY* key) {
  PublicKeyContext context(EVP_PKEY_CTX_new_from_pkey(algorithms().library, key, nullptr));
  WARREN_ASSERT(context && EVP_PKEY_derive_init(context.get()) == 1);
  return context;
}

bool derive_with(EVP_PKEY_CTX* context, const base::PublicKey& theirs, SharedSecret& out) {
  out.clear();
  EVP_PKEY* peer = contexts().peer_x25519.get();
  OSSL_PARAM parameters[] = {octets(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, theirs.bytes),
                             OSSL_PARAM_construct_end()};
  WARREN_ASSERT(EVP_PKEY_set_params(peer, parameters) == 1);
  std::size_t size = out.fill().size();
  // Setting the peer without OpenSSL's validation: every 32 bytes are a valid X25519 input, and
  // the derivation itself fails for the low-order ones.
  const bool done = EVP_PKEY_derive_set_peer_ex(context, peer, 0) == 1 &&
                    EVP_PKEY_derive(context, out.fill().data(), &size) == 1;
  if (done && !out.is_zero()) return true;
  ERR_clear_error();
  out.clear();
  return false;
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

base::PublicKey public_key(const PrivateKey& key) { return public_of(whole_handle(key).get()); }

bool x25519(const PrivateKey& ours, const base::PublicKey& theirs, SharedSecret& out) {
  const KeyHandle key = deriving_handle(ours);
  return derive_with(deriving_context(key.get()).get(), theirs, out);
}

struct X25519Key::Handles {
  KeyHandle key;
  PublicKeyContext context;
};

X25519Key::X25519Key(const PrivateKey& key) : handles_(std::make_unique<Handles>()) {
  handles_->key = whole_handle(key);
  handles_->context = deriving_context(handles_->key.get());
}

X25519Key::X25519Key(X25519Key&&) noexcept = default;
X25519Key& X25519Key::operator=(X25519Key&&) noexcept = default;
X25519Key::~X25519Key() = default;

base::PublicKey X25519Key::public_key() const { return public_of(handles_->key.get()); }

bool X25519Key::derive(const base::PublicKey& theirs, SharedSecret& out) const {
  return derive_with(handles_->context.get(), theirs, out);
}

}  // namespace warren::crypto
