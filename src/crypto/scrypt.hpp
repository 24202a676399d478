// scrypt (RFC 7914): a key out of a passphrase that is slow to try.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/secret.hpp"

namespace warren::crypto {

struct ScryptCost {
  std::uint8_t log2_n = 17;  ///< takes 2^log2_n * r * 128 bytes of memory
  std::uint8_t r = 8;
  std::uint8_t p = 1;
};
/// Invalid: the cost is out of range. Failed: there is not the memory for it.
[[nodiscard]] base::Status scrypt(std::string_view passphrase, base::Bytes salt, ScryptCost cost,
                                  Secret<32>& out);

}  // namespace warren::crypto
