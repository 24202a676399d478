#include "crypto/scrypt.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

namespace warren::crypto {

base::Status scrypt(std::string_view passphrase, base::Bytes salt, ScryptCost cost,
                    Secret<32>& out) {
  constexpr std::uint8_t kMostLog2N = 24;
  if (cost.log2_n == 0 || cost.log2_n > kMostLog2N || cost.r == 0 || cost.p == 0) {
    return base::make_error(base::ErrorKind::Invalid, "scrypt: its cost is out of range");
  }
  const std::uint64_t n = std::uint64_t{1} << cost.log2_n;
  // What RFC 7914 needs, and a little for the library.
  const std::uint64_t memory =
      std::uint64_t{128} * cost.r * (n + cost.p + 2) + (std::uint64_t{1} << 20);
  const int done = EVP_PBE_scrypt(passphrase.data(), passphrase.size(), salt.data(), salt.size(), n,
                                  cost.r, cost.p, memory, out.fill().data(), out.fill().size());
  if (done == 1) return {};
  ERR_clear_error();
  return base::make_error(base::ErrorKind::Failed, "scrypt: it could not be computed",
                          "it takes " + std::to_string(memory >> 20) + " MiB of memory");
}

}  // namespace warren::crypto
