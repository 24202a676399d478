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
#include <utility>

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

/// h = a * r, carried once in parallel: limbs below 2^50, 2^44 + 2^11 and 2^42 + 2^11, as a's may
/// be (plus a block). The products of a[0], which is ready last, are added last.
WARREN_AVX512_INLINE void multiply(const __m512i (&a)[3], const __m512i (&r)[3],
                                   const __m512i (&r20)[3], __m512i (&h)[3]) {
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

/// h + block, and the bit that ends every block.
WARREN_AVX512_INLINE void add_block(const Octet& octet, __m512i low, __m512i high,
                                    __m512i (&sum)[3]) {
  cut(low, high, sum);
  sum[2] = _mm512_or_si512(sum[2], _mm512_set1_epi64(1LL << 40));
  sum[0] = _mm512_add_epi64(sum[0], octet.h[0]);
  sum[1] = _mm512_add_epi64(sum[1], octet.h[1]);
  sum[2] = _mm512_add_epi64(sum[2], octet.h[2]);
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
  octet.h[0] = _mm512_mask_mov_epi64(octet.h[0], lanes, next[0]);
  octet.h[1] = _mm512_mask_mov_epi64(octet.h[1], lanes, next[1]);
  octet.h[2] = _mm512_mask_mov_epi64(octet.h[2], lanes, next[2]);
}

/// From a packet per row to a half block per row.
WARREN_AVX512_INLINE void transpose(const __m512i (&rows)[kOctet], FourBlocks& out) {
  out.low[0] = _mm512_unpacklo_epi64(rows[0], rows[1]);
  out.low[1] = _mm512_unpacklo_epi64(rows[2], rows[3]);
  out.low[2] = _mm512_unpacklo_epi64(rows[4], rows[5]);
  out.low[3] = _mm512_unpacklo_epi64(rows[6], rows[7]);
  out.high[0] = _mm512_unpackhi_epi64(rows[0], rows[1]);
  out.high[1] = _mm512_unpackhi_epi64(rows[2], rows[3]);
  out.high[2] = _mm512_unpackhi_epi64(rows[4], rows[5]);
  out.high[3] = _mm512_unpackhi_epi64(rows[6], rows[7]);
  transpose_quarters(out.low[0], out.low[1], out.low[2], out.low[3]);
  transpose_quarters(out.high[0], out.high[1], out.high[2], out.high[3]);
}

template <std::size_t... I>
WARREN_AVX512_INLINE void load(const Texts& texts, std::size_t offset, FourBlocks& out,
                               std::index_sequence<I...>) {
  const __m512i rows[kOctet] = {_mm512_loadu_si512(texts.data[I] + offset)...};
  transpose(rows, out);
}

/// What is left of each text at `offset`, up to 64 bytes.
WARREN_AVX512_INLINE std::size_t left(const Texts& texts, std::size_t lane, std::size_t offset) {
  return texts.size[lane] <= offset ? 0 : std::min(texts.size[lane] - offset, kStride);
}

WARREN_AVX512_INLINE __m512i load_end(const Texts& texts, std::size_t lane, std::size_t offset) {
  const std::size_t size = left(texts, lane, offset);
  if (size == 0) return _mm512_setzero_si512();
  return _mm512_maskz_loadu_epi8(~std::uint64_t{0} >> (kStride - size), texts.data[lane] + offset);
}

/// Loads where some texts end.
template <std::size_t... I>
WARREN_AVX512_INLINE void load_ends(const Texts& texts, std::size_t offset, FourBlocks& out,
                                    std::index_sequence<I...>) {
  const __m512i rows[kOctet] = {load_end(texts, I, offset)...};
  transpose(rows, out);
}

/// Which lanes still have a block at `offset`.
WARREN_AVX512_INLINE __mmask8 lanes_at(const Texts& texts, std::size_t offset) {
  return _mm512_cmpgt_epu64_mask(_mm512_loadu_si512(texts.size.data()),
                                 _mm512_set1_epi64(static_cast<long long>(offset)));
}

WARREN_AVX512_INLINE void start(Octet& octet, const PolyKeys& keys, std::size_t first) {
  const __m512i low = _mm512_and_si512(_mm512_load_si512(keys.r_low + first),
                                       _mm512_set1_epi64(0x0ffffffc0fffffff));
  const __m512i high = _mm512_and_si512(_mm512_load_si512(keys.r_high + first),
                                        _mm512_set1_epi64(0x0ffffffc0ffffffc));
  cut(low, high, octet.r);
  octet.r20[0] = _mm512_setzero_si512();
  octet.r20[1] = _mm512_slli_epi64(times_five(octet.r[1]), 2);
  octet.r20[2] = _mm512_slli_epi64(times_five(octet.r[2]), 2);
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

Extent extent_of(Group group) {
  Extent extent{.shortest = group[0]->text.size(), .longest = group[0]->text.size()};
  for (const AeadJob* job : group) {
    extent.shortest = std::min(extent.shortest, job->text.size());
    extent.longest = std::max(extent.longest, job->text.size());
  }
  return extent;
}

constexpr auto kEachLane = std::make_index_sequence<kOctet>();

/// 64 bytes of every text of one or two octets.
WARREN_AVX512_INLINE void absorb_stride(Octet& octet, const Texts& texts, std::size_t offset) {
  FourBlocks blocks;
  load(texts, offset, blocks, kEachLane);
  absorb(octet, blocks.low[0], blocks.high[0]);
  absorb(octet, blocks.low[1], blocks.high[1]);
  absorb(octet, blocks.low[2], blocks.high[2]);
  absorb(octet, blocks.low[3], blocks.high[3]);
}

WARREN_AVX512_INLINE void absorb_stride(Octet& a, Octet& b, const Texts& texts_a,
                                        const Texts& texts_b, std::size_t offset) {
  FourBlocks blocks_a;
  FourBlocks blocks_b;
  load(texts_a, offset, blocks_a, kEachLane);
  load(texts_b, offset, blocks_b, kEachLane);
  absorb(a, blocks_a.low[0], blocks_a.high[0]);
  absorb(b, blocks_b.low[0], blocks_b.high[0]);
  absorb(a, blocks_a.low[1], blocks_a.high[1]);
  absorb(b, blocks_b.low[1], blocks_b.high[1]);
  absorb(a, blocks_a.low[2], blocks_a.high[2]);
  absorb(b, blocks_b.low[2], blocks_b.high[2]);
  absorb(a, blocks_a.low[3], blocks_a.high[3]);
  absorb(b, blocks_b.low[3], blocks_b.high[3]);
}

template <std::size_t B>
WARREN_AVX512_INLINE void absorb_end(Octet& octet, const FourBlocks& blocks, const Texts& texts,
                                     std::size_t offset) {
  const __mmask8 lanes = lanes_at(texts, offset + B * kBlock);
  if (lanes != 0) absorb(octet, blocks.low[B], blocks.high[B], lanes);
}

/// What is left of texts that end at different places.
WARREN_AVX512_INLINE void absorb_ends(Octet& octet, const Texts& texts, std::size_t offset,
                                      std::size_t longest) {
  for (; offset < longest; offset += kStride) {
    FourBlocks blocks;
    load_ends(texts, offset, blocks, kEachLane);
    absorb_end<0>(octet, blocks, texts, offset);
    absorb_end<1>(octet, blocks, texts, offset);
    absorb_end<2>(octet, blocks, texts, offset);
    absorb_end<3>(octet, blocks, texts, offset);
  }
}

/// The block of the lengths; there is no additional data.
WARREN_AVX512_INLINE void absorb_lengths(Octet& octet, const Texts& texts) {
  absorb(octet, _mm512_setzero_si512(), _mm512_loadu_si512(texts.size.data()));
}

WARREN_AVX512 void one_octet(Group group, const PolyKeys& keys, PolyTags& tags) {
  const Texts texts = texts_of(group, 0);
  const Extent extent = extent_of(group);
  Octet octet;
  start(octet, keys, 0);
  std::size_t offset = 0;
  for (; extent.shortest - offset >= kStride; offset += kStride) {
    absorb_stride(octet, texts, offset);
  }
  absorb_ends(octet, texts, offset, extent.longest);
  absorb_lengths(octet, texts);
  finish(octet, keys, 0, tags);
}

WARREN_AVX512 void two_octets(Group group, const PolyKeys& keys, PolyTags& tags) {
  const Texts texts_a = texts_of(group, 0);
  const Texts texts_b = texts_of(group, kOctet);
  const Extent extent = extent_of(group);
  Octet a;
  Octet b;
  start(a, keys, 0);
  start(b, keys, kOctet);
  std::size_t offset = 0;
  for (; extent.shortest - offset >= kStride; offset += kStride) {
    absorb_stride(a, b, texts_a, texts_b, offset);
  }
  absorb_ends(a, texts_a, offset, extent.longest);
  absorb_ends(b, texts_b, offset, extent.longest);
  absorb_lengths(a, texts_a);
  absorb_lengths(b, texts_b);
  finish(a, keys, 0, tags);
  finish(b, keys, kOctet, tags);
}

}  // namespace

WARREN_AVX512 void avx512_macs(Group group, const PolyKeys& keys, PolyTags& tags) {
  if (group.size() > kOctet) {
    two_octets(group, keys, tags);
  } else {
    one_octet(group, keys, tags);
  }
}

}  // namespace warren::crypto
