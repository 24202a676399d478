// What the AVX-512 code shares: its target attributes and the transposition of 128-bit lanes.
// Functions carry the target themselves, rather than a file its flags, so that no inline function
// of a header is ever compiled for a processor that is not there. Private to this module.
#pragma once

#include <immintrin.h>

#include <cstddef>

#define WARREN_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]]
#define WARREN_AVX512_INLINE \
  [[gnu::always_inline, gnu::target("avx512f,avx512bw,avx512dq,avx512vl,avx512ifma")]] inline

namespace warren::crypto {

/// The block function of ChaCha20 for two times 16 blocks.
void avx512_run_two(const __m512i (&in_x)[16], const __m512i (&in_y)[16], __m512i (&out_x)[16],
                    __m512i (&out_y)[16]);

/// Overwrites secrets with whole registers; the barrier makes the compiler keep the stores, and as
/// stores: `rep stos`, which it would make of the loop, takes longer to begin than this to end.
template <typename T>
WARREN_AVX512_INLINE void forget(T& secret) {
  static_assert(sizeof secret % 64 == 0 && alignof(T) % 64 == 0);
  auto* at = reinterpret_cast<__m512i*>(&secret);
  for (std::size_t i = 0; i < sizeof secret / 64; ++i) {
    at[i] = _mm512_setzero_si512();
    asm volatile("" : : "r"(at) : "memory");
  }
}

/// Rows of four 128-bit elements become columns.
WARREN_AVX512_INLINE void transpose_quarters(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  const __m512i ab_low = _mm512_shuffle_i32x4(a, b, 0x44);
  const __m512i ab_high = _mm512_shuffle_i32x4(a, b, 0xee);
  const __m512i cd_low = _mm512_shuffle_i32x4(c, d, 0x44);
  const __m512i cd_high = _mm512_shuffle_i32x4(c, d, 0xee);
  a = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  b = _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd);
  c = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  d = _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd);
}

}  // namespace warren::crypto
