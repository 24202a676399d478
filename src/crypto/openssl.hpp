// The algorithms of OpenSSL this module uses, fetched once, and the owners of its handles.
// Private to this module's .cpp files.
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

namespace warren::crypto {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Freer<EVP_CIPHER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using PublicKeyContext = std::unique_ptr<EVP_PKEY_CTX, Freer<EVP_PKEY_CTX_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

/// Fetched algorithms; immutable after construction, shared by all threads.
struct Algorithms {
  Algorithms();

  OSSL_LIB_CTX* library;
  EVP_MD* sha256;
  EVP_CIPHER* chacha20;
  EVP_CIPHER* chacha20_poly1305;
};

/// The one instance. Lives until the process ends: a destructor could run before its last user.
[[nodiscard]] const Algorithms& algorithms();

/// Per-thread contexts, so that no operation allocates a context of its own.
struct Contexts {
  Contexts();

  DigestContext digest;
  CipherContext aead;     ///< of one message
  CipherContext packets;  ///< keeps the cipher, not the key
  CipherContext stream;
  PublicKeyContext import_x25519;  ///< names the algorithm; holds no key
  KeyHandle peer_x25519;           ///< a public key, written over for each peer
};
[[nodiscard]] Contexts& contexts();

/// The key that `parameters` describe; `selection` as EVP_PKEY_fromdata takes it.
[[nodiscard]] KeyHandle import_x25519(EVP_PKEY_CTX* context, OSSL_PARAM* parameters, int selection);

}  // namespace warren::crypto
