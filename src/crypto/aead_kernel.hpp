// The implementations of seal and open, and how they are described to the choice among them.
// Private to this module.
#pragma once

#include <span>
#include <string_view>

#include "crypto/crypto.hpp"

namespace warren::crypto {

/// One implementation. `seal` and `open` have the contracts of the public functions.
struct AeadKernel {
  std::string_view name;
  /// Whether this processor (and this build) can run it. Asked once, before any call.
  bool (*supported)();
  void (*seal)(std::span<AeadJob> jobs);
  void (*open)(std::span<AeadJob> jobs);
};

[[nodiscard]] const AeadKernel& openssl_kernel();
[[nodiscard]] const AeadKernel& avx512_kernel();
[[nodiscard]] const AeadKernel& avx2_kernel();

}  // namespace warren::crypto
