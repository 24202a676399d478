// Arithmetic of Poly1305 (RFC 8439 section 2.5) with AVX-512 IFMA, eight accumulators side by side.
// Private to this module.
//
// The accumulator h and the multiplier r are three limbs of 44, 44 and 42 bits. IFMA gives the low
// and the high 52 bits of a product of two limbs; the low halves of one weight are summed and so
// are the high ones, and both meet in the carry, where a high half weighs 2^8 (2^10 in the last
// limb) limbs more. What overflows 2^130 comes back times five, which is why r1 and r2 are kept
// times 20 too: 2^132 = 4 * 2^130.
#pragma once

#include "crypto/aead_lanes.hpp"
#include "crypto/avx512.hpp"

namespace warren::crypto {

inline constexpr std::size_t kOctet = 8;
inline constexpr std::size_t kPolyBlock = 16;

struct Multiplier {
  __m512i r[3];
  __m512i r20[3];  ///< [0] is not used
};
struct Octet {
  __m512i h[3];
  Multiplier by;
};

WARREN_AVX512_INLINE __m512i ones(int bits) {
  return _mm512_set1_epi64(static_cast<long long>((std::uint64_t{1} << bits) - 1));
}

/// ((a << shift) | b) & mask
WARREN_AVX512_INLINE __m512i join(__m512i a, __m512i b, __m512i mask) {
  return _mm512_ternarylogic_epi64(a, b, mask, 0xa8);
}

/// Cuts 128 bits into limbs.
WARREN_AVX512_INLINE void cut(__m512i low, __m512i high, __m512i (&limbs)[3]) {
  limbs[0] = _mm512_and_si512(low, ones(44));
  limbs[1] = join(_mm512_srli_epi64(low, 44), _mm512_slli_epi64(high, 20), ones(44));
  limbs[2] = _mm512_srli_epi64(high, 24);
}

WARREN_AVX512_INLINE __m512i times_five(__m512i x) {
  return _mm512_add_epi64(x, _mm512_slli_epi64(x, 2));
}

/// h = a * r for a clamped r (r[2] < 2^36), carried once in parallel: limbs below 2^50, 2^44 + 2^11
/// and 2^42 + 2^11, as a's may be (plus a block). The products of a[0], which is ready last, are
/// added last.
WARREN_AVX512_INLINE void multiply(const __m512i (&a)[3], const Multiplier& by, __m512i (&h)[3]) {
  const __m512i(&r)[3] = by.r;
  const __m512i(&r20)[3] = by.r20;
  const __m512i zero = _mm512_setzero_si512();
  __m512i low0 = _mm512_madd52lo_epu64(zero, a[1], r20[2]);
  __m512i low1 = _mm512_madd52lo_epu64(zero, a[1], r[0]);
  __m512i low2 = _mm512_madd52lo_epu64(zero, a[1], r[1]);
  __m512i high0 = _mm512_madd52hi_epu64(zero, a[1], r20[2]);
  __m512i high1 = _mm512_madd52hi_epu64(zero, a[1], r[0]);
  __m512i high2 = _mm512_madd52hi_epu64(zero, a[1], r[1]);
  low0 = _mm512_madd52lo_epu64(low0, a[2], r20[1]);
  low1 = _mm512_madd52lo_epu64(low1, a[2], r20[2]);
  low2 = _mm512_madd52lo_epu64(low2, a[2], r[0]);
  high0 = _mm512_madd52hi_epu64(high0, a[2], r20[1]);
  high1 = _mm512_madd52hi_epu64(high1, a[2], r20[2]);
  high2 = _mm512_madd52hi_epu64(high2, a[2], r[0]);
  high2 = _mm512_madd52hi_epu64(high2, a[0], r[2]);
  high1 = _mm512_madd52hi_epu64(high1, a[0], r[1]);
  low2 = _mm512_madd52lo_epu64(low2, a[0], r[2]);
  low1 = _mm512_madd52lo_epu64(low1, a[0], r[1]);
  high0 = _mm512_madd52hi_epu64(high0, a[0], r[0]);
  low0 = _mm512_madd52lo_epu64(low0, a[0], r[0]);

  low2 = _mm512_add_epi64(low2, _mm512_slli_epi64(high1, 8));
  low1 = _mm512_add_epi64(low1, _mm512_slli_epi64(high0, 8));
  const __m512i over = _mm512_add_epi64(_mm512_slli_epi64(high2, 10), _mm512_srli_epi64(low2, 42));
  h[0] = _mm512_add_epi64(_mm512_and_si512(low0, ones(44)), times_five(over));
  h[1] = _mm512_add_epi64(_mm512_and_si512(low1, ones(44)), _mm512_srli_epi64(low0, 44));
  h[2] = _mm512_add_epi64(_mm512_and_si512(low2, ones(42)), _mm512_srli_epi64(low1, 44));
}

/// The same for any r below 2^130; h[0] and h[1] stay below 2^45.
WARREN_AVX512_INLINE void multiply_any(const __m512i (&a)[3], const Multiplier& by,
                                       __m512i (&h)[3]) {
  multiply(a, by, h);
  h[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(h[0], 44));
  h[0] = _mm512_and_si512(h[0], ones(44));
}

WARREN_AVX512_INLINE void set_multiples(Multiplier& by) {
  by.r20[0] = _mm512_setzero_si512();
  by.r20[1] = _mm512_slli_epi64(times_five(by.r[1]), 2);
  by.r20[2] = _mm512_slli_epi64(times_five(by.r[2]), 2);
}

WARREN_AVX512_INLINE void start(Octet& octet, const PolyKeys& keys, std::size_t first) {
  const __m512i low = _mm512_and_si512(_mm512_load_si512(keys.r_low + first),
                                       _mm512_set1_epi64(0x0ffffffc0fffffff));
  const __m512i high = _mm512_and_si512(_mm512_load_si512(keys.r_high + first),
                                        _mm512_set1_epi64(0x0ffffffc0ffffffc));
  cut(low, high, octet.by.r);
  set_multiples(octet.by);
  octet.h[0] = _mm512_setzero_si512();
  octet.h[1] = _mm512_setzero_si512();
  octet.h[2] = _mm512_setzero_si512();
}

WARREN_AVX512_INLINE void carry_around(__m512i (&h)[3]) {
  h[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(h[0], 44));
  h[0] = _mm512_and_si512(h[0], ones(44));
  h[2] = _mm512_add_epi64(h[2], _mm512_srli_epi64(h[1], 44));
  h[1] = _mm512_and_si512(h[1], ones(44));
  h[0] = _mm512_add_epi64(h[0], times_five(_mm512_srli_epi64(h[2], 42)));
  h[2] = _mm512_and_si512(h[2], ones(42));
}

/// h modulo 2^130 - 5: h + 5 where that reaches 2^130.
WARREN_AVX512_INLINE void reduce(__m512i (&h)[3]) {
  carry_around(h);
  carry_around(h);
  h[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(h[0], 44));
  h[0] = _mm512_and_si512(h[0], ones(44));
  __m512i g[3];
  g[0] = _mm512_add_epi64(h[0], _mm512_set1_epi64(5));
  g[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(g[0], 44));
  g[2] = _mm512_add_epi64(h[2], _mm512_srli_epi64(g[1], 44));
  const __mmask8 over = _mm512_test_epi64_mask(g[2], _mm512_set1_epi64(1LL << 42));
  h[0] = _mm512_mask_and_epi64(h[0], over, g[0], ones(44));
  h[1] = _mm512_mask_and_epi64(h[1], over, g[1], ones(44));
  h[2] = _mm512_mask_and_epi64(h[2], over, g[2], ones(42));
}

/// The tags: h + s modulo 2^128.
WARREN_AVX512_INLINE void finish(Octet& octet, const PolyKeys& keys, std::size_t first,
                                 PolyTags& tags) {
  reduce(octet.h);
  const __m512i s_low = _mm512_load_si512(keys.s_low + first);
  const __m512i low =
      _mm512_add_epi64(_mm512_or_si512(octet.h[0], _mm512_slli_epi64(octet.h[1], 44)), s_low);
  const __m512i high = _mm512_add_epi64(
      _mm512_or_si512(_mm512_srli_epi64(octet.h[1], 20), _mm512_slli_epi64(octet.h[2], 24)),
      _mm512_load_si512(keys.s_high + first));
  const __mmask8 over = _mm512_cmplt_epu64_mask(low, s_low);
  _mm512_store_si512(tags.low + first, low);
  _mm512_store_si512(tags.high + first,
                     _mm512_mask_add_epi64(high, over, high, _mm512_set1_epi64(1)));
}

}  // namespace warren::crypto
