#include "crypto/openssl.hpp"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>
#include <cstdint>

#include "base/assert.hpp"

namespace warren::crypto {

// A library context of our own loads no openssl.cnf and no foreign provider: a sandboxed engine
// cannot open files, and a site's policy for TLS must not disable WireGuard's fixed algorithms.
Algorithms::Algorithms()
    : library(OSSL_LIB_CTX_new()),
      sha256(EVP_MD_fetch(library, "SHA2-256", nullptr)),
      chacha20(EVP_CIPHER_fetch(library, "ChaCha20", nullptr)),
      chacha20_poly1305(EVP_CIPHER_fetch(library, "ChaCha20-Poly1305", nullptr)) {
  WARREN_ASSERT(library != nullptr && sha256 != nullptr);
  WARREN_ASSERT(chacha20 != nullptr && chacha20_poly1305 != nullptr);
}

const Algorithms& algorithms() {
  static const Algorithms& instance = *new Algorithms;
  return instance;
}

Contexts::Contexts()
    : digest(EVP_MD_CTX_new()),
      aead(EVP_CIPHER_CTX_new()),
      packets(EVP_CIPHER_CTX_new()),
      stream(EVP_CIPHER_CTX_new()),
      import_x25519(EVP_PKEY_CTX_new_from_name(algorithms().library, "X25519", nullptr)) {
  WARREN_ASSERT(digest && aead && packets && stream && import_x25519);
  WARREN_ASSERT(EVP_CipherInit_ex2(packets.get(), algorithms().chacha20_poly1305, nullptr, nullptr,
                                   1, nullptr) == 1);
  WARREN_ASSERT(EVP_PKEY_fromdata_init(import_x25519.get()) == 1);
  std::array<std::uint8_t, 32> any{};
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, any.data(), any.size()),
      OSSL_PARAM_construct_end()};
  peer_x25519 = crypto::import_x25519(import_x25519.get(), parameters, EVP_PKEY_PUBLIC_KEY);
}

KeyHandle import_x25519(EVP_PKEY_CTX* context, OSSL_PARAM* parameters, int selection) {
  EVP_PKEY* imported = nullptr;
  WARREN_ASSERT(EVP_PKEY_fromdata(context, &imported, selection, parameters) == 1);
  return KeyHandle(imported);
}

Contexts& contexts() {
  static thread_local Contexts instance;
  return instance;
}

}  // namespace warren::crypto
