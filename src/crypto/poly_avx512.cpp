// Poly1305 (RFC 8439 section 2.5) with AVX-512 IFMA, one packet per 64-bit lane.
//
// The accumulator h and the multiplier r are three limbs of 44, 44 and 42 bits. IFMA gives the low
// and the high 52 bits of a product of two limbs; the low halves of one weight are summed and so
// are the high ones, and both meet in the carry, where a high half weighs 2^8 (2^10 in the last
// limb) limbs more. What overflows 2^130 comes back times five, which is why r1 and r2 are kept
// times 20 too: 2^132 = 4 * 2^130.
//
// Eight lanes are one octet. Two octets are worked on side by side, because a block needs the
// accumulator of the block before it. Four blocks of each of the eight packets are loaded at a
// time and transposed. As long as all lanes have 64 bytes left nothing is masked.
#include <algorithm>
#include <array>

#include "crypto/avx512.hpp"
#include "crypto/avx512_unit.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kOctet = 8;
constexpr std::size_t kBlock = 16;
constexpr std::size_t kStride = 4 * kBlock;

struct Octet {
  __m512i h[3];
  __m512i r[3];
  __m512i r20[3];  ///< [0] is not used
};

/// The texts of an octet's packets.
struct Texts {
  std::array<const std::uint8_t*, kOctet> data;
  std::array<std::size_t, kOctet> size;
};

/// Four blocks of eight packets: low and high halves.
struct FourBlocks {
  __m512i low[4];
  __m512i high[4];
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

/// h = a * r, partly carried: limbs below 2^45.
WARREN_AVX512_INLINE void multiply(const __m512i (&a)[3], const __m512i (&r)[3],
                                   const __m512i (&r20)[3], __m512i (&h)[3]) {
  const __m512i zero = _mm512_setzero_si512();
  __m512i low0 = _mm512_madd52lo_epu64(zero, a[0], r[0]);
  __m512i low1 = _mm512_madd52lo_epu64(zero, a[0], r[1]);
  __m512i low2 = _mm512_madd52lo_epu64(zero, a[0], r[2]);
  __m512i high0 = _mm512_madd52hi_epu64(zero, a[0], r[0]);
  __m512i high1 = _mm512_madd52hi_epu64(zero, a[0], r[1]);
  __m512i high2 = _mm512_madd52hi_epu64(zero, a[0], r[2]);
  low0 = _mm512_madd52lo_epu64(low0, a[1], r20[2]);
  low1 = _mm512_madd52lo_epu64(low1, a[1], r[0]);
  low2 = _mm512_madd52lo_epu64(low2, a[1], r[1]);
  high0 = _mm512_madd52hi_epu64(high0, a[1], r20[2]);
  high1 = _mm512_madd52hi_epu64(high1, a[1], r[0]);
  high2 = _mm512_madd52hi_epu64(high2, a[1], r[1]);
  low0 = _mm512_madd52lo_epu64(low0, a[2], r20[1]);
  low1 = _mm512_madd52lo_epu64(low1, a[2], r20[2]);
  low2 = _mm512_madd52lo_epu64(low2, a[2], r[0]);
  high0 = _mm512_madd52hi_epu64(high0, a[2], r20[1]);
  high1 = _mm512_madd52hi_epu64(high1, a[2], r20[2]);
  high2 = _mm512_madd52hi_epu64(high2, a[2], r[0]);

  low1 = _mm512_add_epi64(low1, _mm512_slli_epi64(high0, 8));
  low2 = _mm512_add_epi64(low2, _mm512_slli_epi64(high1, 8));
  low1 = _mm512_add_epi64(low1, _mm512_srli_epi64(low0, 44));
  low2 = _mm512_add_epi64(low2, _mm512_srli_epi64(low1, 44));
  const __m512i over = _mm512_add_epi64(_mm512_slli_epi64(high2, 10), _mm512_srli_epi64(low2, 42));
  low0 = _mm512_add_epi64(_mm512_and_si512(low0, ones(44)), times_five(over));
  h[0] = _mm512_and_si512(low0, ones(44));
  h[1] = _mm512_add_epi64(_mm512_and_si512(low1, ones(44)), _mm512_srli_epi64(low0, 44));
  h[2] = _mm512_and_si512(low2, ones(42));
}

/// h + block, and the bit that ends every block.
WARREN_AVX512_INLINE void add_block(const Octet& octet, __m512i low, __m512i high,
                                    __m512i (&sum)[3]) {
  cut(low, high, sum);
  sum[2] = _mm512_or_si512(sum[2], _mm512_set1_epi64(1LL << 40));
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) sum[i] = _mm512_add_epi64(sum[i], octet.h[i]);
}

WARREN_AVX512_INLINE void absorb(Octet& octet, __m512i low, __m512i high) {
  __m512i sum[3];
  add_block(octet, low, high, sum);
  multiply(sum, octet.r, octet.r20, octet.h);
}

/// The same for some of the lanes.
WARREN_AVX512_INLINE void absorb(Octet& octet, __m512i low, __m512i high, __mmask8 lanes) {
  __m512i sum[3];
  __m512i next[3];
  add_block(octet, low, high, sum);
  multiply(sum, octet.r, octet.r20, next);
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) octet.h[i] = _mm512_mask_mov_epi64(octet.h[i], lanes, next[i]);
}

/// From a packet per row to a half block per row.
WARREN_AVX512_INLINE void transpose(const __m512i (&rows)[kOctet], FourBlocks& out) {
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    out.low[i] = _mm512_unpacklo_epi64(rows[2 * i], rows[2 * i + 1]);
    out.high[i] = _mm512_unpackhi_epi64(rows[2 * i], rows[2 * i + 1]);
  }
  transpose_quarters(out.low[0], out.low[1], out.low[2], out.low[3]);
  transpose_quarters(out.high[0], out.high[1], out.high[2], out.high[3]);
}

WARREN_AVX512_INLINE void load(const Texts& texts, std::size_t offset, FourBlocks& out) {
  __m512i rows[kOctet];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kOctet; ++i) rows[i] = _mm512_loadu_si512(texts.data[i] + offset);
  transpose(rows, out);
}

/// What is left of each text at `offset`, up to 64 bytes.
WARREN_AVX512_INLINE std::size_t left(const Texts& texts, std::size_t lane, std::size_t offset) {
  return texts.size[lane] <= offset ? 0 : std::min(texts.size[lane] - offset, kStride);
}

/// Loads where some texts end; `lanes[b]` says which have a block b here.
WARREN_AVX512_INLINE void load_end(const Texts& texts, std::size_t offset, FourBlocks& out,
                                   std::array<__mmask8, 4>& lanes) {
  __m512i rows[kOctet];
  lanes = {};
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kOctet; ++i) {
    const std::size_t size = left(texts, i, offset);
    const __mmask64 bytes = size == kStride ? ~std::uint64_t{0} : (std::uint64_t{1} << size) - 1;
    rows[i] =
        size == 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(bytes, texts.data[i] + offset);
    for (std::size_t b = 0; b < 4; ++b) {
      if (size > b * kBlock) lanes[b] = static_cast<__mmask8>(lanes[b] | (1U << i));
    }
  }
  transpose(rows, out);
}

WARREN_AVX512_INLINE void start(Octet& octet, const PolyKeys& keys, std::size_t first) {
  const __m512i low = _mm512_and_si512(_mm512_load_si512(keys.r_low + first),
                                       _mm512_set1_epi64(0x0ffffffc0fffffff));
  const __m512i high = _mm512_and_si512(_mm512_load_si512(keys.r_high + first),
                                        _mm512_set1_epi64(0x0ffffffc0ffffffc));
  cut(low, high, octet.r);
#pragma GCC unroll 3
  for (int i = 0; i < 3; ++i) {
    octet.h[i] = _mm512_setzero_si512();
    octet.r20[i] = _mm512_slli_epi64(times_five(octet.r[i]), 2);
  }
}

/// Carries h into limbs of exactly 44, 44 and 42 bits.
WARREN_AVX512_INLINE void carry(__m512i (&h)[3]) {
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    h[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(h[0], 44));
    h[0] = _mm512_and_si512(h[0], ones(44));
    h[2] = _mm512_add_epi64(h[2], _mm512_srli_epi64(h[1], 44));
    h[1] = _mm512_and_si512(h[1], ones(44));
    h[0] = _mm512_add_epi64(h[0], times_five(_mm512_srli_epi64(h[2], 42)));
    h[2] = _mm512_and_si512(h[2], ones(42));
  }
  h[1] = _mm512_add_epi64(h[1], _mm512_srli_epi64(h[0], 44));
  h[0] = _mm512_and_si512(h[0], ones(44));
}

/// h modulo 2^130 - 5: h + 5 where that reaches 2^130.
WARREN_AVX512_INLINE void reduce(__m512i (&h)[3]) {
  carry(h);
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

/// The texts of up to eight packets; lanes without one repeat the first.
Texts texts_of(Group group, std::size_t first) {
  Texts texts;
  for (std::size_t i = 0; i < kOctet; ++i) {
    const AeadJob& job = *group[first + i < group.size() ? first + i : first];
    texts.data[i] = job.text.data();
    texts.size[i] = job.text.size();
  }
  return texts;
}

struct Extent {
  std::size_t shortest;
  std::size_t longest;
};

template <std::size_t Octets>
Extent extent_of(const Texts (&texts)[Octets]) {
  Extent extent{.shortest = texts[0].size[0], .longest = texts[0].size[0]};
  for (const Texts& of_octet : texts) {
    for (const std::size_t size : of_octet.size) {
      extent.shortest = std::min(extent.shortest, size);
      extent.longest = std::max(extent.longest, size);
    }
  }
  return extent;
}

template <std::size_t Octets>
WARREN_AVX512_INLINE void absorb_ends(Octet (&octets)[Octets], const Texts (&texts)[Octets],
                                      std::size_t offset) {
  for (std::size_t o = 0; o < Octets; ++o) {
    FourBlocks blocks;
    std::array<__mmask8, 4> lanes;
    load_end(texts[o], offset, blocks, lanes);
    for (std::size_t b = 0; b < 4 && lanes[b] != 0; ++b) {
      absorb(octets[o], blocks.low[b], blocks.high[b], lanes[b]);
    }
  }
}

template <std::size_t Octets>
WARREN_AVX512_INLINE void macs(Group group, const PolyKeys& keys, PolyTags& tags) {
  Octet octets[Octets];
  Texts texts[Octets];
#pragma GCC unroll 2
  for (std::size_t o = 0; o < Octets; ++o) {
    start(octets[o], keys, o * kOctet);
    texts[o] = texts_of(group, o * kOctet);
  }
  const Extent extent = extent_of(texts);
  std::size_t offset = 0;
  for (; extent.shortest - offset >= kStride; offset += kStride) {
    FourBlocks blocks[Octets];
#pragma GCC unroll 2
    for (std::size_t o = 0; o < Octets; ++o) load(texts[o], offset, blocks[o]);
#pragma GCC unroll 4
    for (std::size_t b = 0; b < 4; ++b) {
#pragma GCC unroll 2
      for (std::size_t o = 0; o < Octets; ++o) {
        absorb(octets[o], blocks[o].low[b], blocks[o].high[b]);
      }
    }
  }
  for (; offset < extent.longest; offset += kStride) absorb_ends(octets, texts, offset);
#pragma GCC unroll 2
  for (std::size_t o = 0; o < Octets; ++o) {
    // The lengths: no additional data.
    absorb(octets[o], _mm512_setzero_si512(), _mm512_loadu_si512(texts[o].size.data()));
    finish(octets[o], keys, o * kOctet, tags);
  }
  wipe({reinterpret_cast<std::uint8_t*>(octets), sizeof octets});
}

}  // namespace

WARREN_AVX512 void avx512_macs(Group group, const PolyKeys& keys, PolyTags& tags) {
  if (group.size() > kOctet) {
    macs<2>(group, keys, tags);
  } else {
    macs<1>(group, keys, tags);
  }
}

}  // namespace warren::crypto
