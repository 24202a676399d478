#include "crypto/openssl.hpp"

#include "base/assert.hpp"

namespace warren::crypto {

// A library context of our own loads no openssl.cnf and no foreign provider: a sandboxed engine
// cannot open files, and a site's policy for TLS must not disable WireGuard's fixed algorithms.
Algorithms::Algorithms()
    : library(OSSL_LIB_CTX_new()),
      blake2s(EVP_MD_fetch(library, "BLAKE2S-256", nullptr)),
      sha256(EVP_MD_fetch(library, "SHA2-256", nullptr)),
      keyed_blake2s(EVP_MAC_fetch(library, "BLAKE2SMAC", nullptr)),
      chacha20(EVP_CIPHER_fetch(library, "ChaCha20", nullptr)),
      chacha20_poly1305(EVP_CIPHER_fetch(library, "ChaCha20-Poly1305", nullptr)) {
  WARREN_ASSERT(library != nullptr);
  WARREN_ASSERT(blake2s != nullptr && sha256 != nullptr && keyed_blake2s != nullptr);
  WARREN_ASSERT(chacha20 != nullptr && chacha20_poly1305 != nullptr);
}

const Algorithms& algorithms() {
  static const Algorithms& instance = *new Algorithms;
  return instance;
}

Contexts::Contexts()
    : digest(EVP_MD_CTX_new()),
      mac(EVP_MAC_CTX_new(algorithms().keyed_blake2s)),
      aead(EVP_CIPHER_CTX_new()),
      packets(EVP_CIPHER_CTX_new()),
      stream(EVP_CIPHER_CTX_new()),
      import_x25519(EVP_PKEY_CTX_new_from_name(algorithms().library, "X25519", nullptr)) {
  WARREN_ASSERT(digest && mac && aead && packets && stream && import_x25519);
  WARREN_ASSERT(EVP_CipherInit_ex2(packets.get(), algorithms().chacha20_poly1305, nullptr, nullptr,
                                   1, nullptr) == 1);
  WARREN_ASSERT(EVP_PKEY_fromdata_init(import_x25519.get()) == 1);
}

Contexts& contexts() {
  static thread_local Contexts instance;
  return instance;
}

}  // namespace warren::crypto
