// The implementation for processors with AVX-512 IFMA (aead_lanes.hpp says how it works).
#include "crypto/aead_kernel.hpp"
#include "crypto/avx512_unit.hpp"

namespace warren::crypto {

namespace {

constexpr VectorUnit kUnit{
    .poly_keys = avx512_poly_keys, .crypt = avx512_crypt, .macs = avx512_macs};

/// The compiler's builtin asks the operating system (XGETBV) too.
bool supported() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512ifma") != 0;
}

}  // namespace

const AeadKernel& avx512_kernel() {
  static constexpr AeadKernel kKernel{
      .name = "avx512",
      .supported = supported,
      .seal = [](std::span<AeadJob> jobs) { seal_in_lanes(kUnit, jobs); },
      .open = [](std::span<AeadJob> jobs) { open_in_lanes(kUnit, jobs); }};
  return kKernel;
}

}  // namespace warren::crypto
