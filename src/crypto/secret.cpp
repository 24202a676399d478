#include "crypto/secret.hpp"

#include <openssl/crypto.h>

namespace warren::crypto {

void wipe(base::MutableBytes memory) { OPENSSL_cleanse(memory.data(), memory.size()); }

bool equal_constant_time(base::Bytes a, base::Bytes b) {
  if (a.size() != b.size()) return false;
  return a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace warren::crypto
