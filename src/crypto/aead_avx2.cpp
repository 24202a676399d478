// The implementation for processors with AVX2 (aead_lanes.hpp says how it works). Its Poly1305 has
// no way to use the lanes for one packet alone, so small batches go to OpenSSL.
#include "crypto/aead_kernel.hpp"
#include "crypto/avx2_unit.hpp"

namespace warren::crypto {

namespace {

constexpr VectorUnit kUnit{.poly_keys = avx2_poly_keys, .crypt = avx2_crypt, .macs = avx2_macs};
constexpr std::size_t kWorthwhile = 3;

/// The compiler's builtin asks the operating system (XGETBV) too.
bool supported() { return __builtin_cpu_supports("avx2") != 0; }

void seal_all(std::span<AeadJob> jobs) {
  if (jobs.size() < kWorthwhile) return openssl_kernel().seal(jobs);
  seal_in_lanes(kUnit, jobs);
}

void open_all(std::span<AeadJob> jobs) {
  if (jobs.size() < kWorthwhile) return openssl_kernel().open(jobs);
  open_in_lanes(kUnit, jobs);
}

}  // namespace

const AeadKernel& avx2_kernel() {
  static constexpr AeadKernel kKernel{
      .name = "avx2", .supported = supported, .seal = seal_all, .open = open_all};
  return kKernel;
}

}  // namespace warren::crypto
