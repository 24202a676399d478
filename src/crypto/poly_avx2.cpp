// Poly1305 (RFC 8439 section 2.5) with AVX2, one packet per 64-bit lane.
//
// Accumulators and multipliers are five limbs of 26 bits, so that a product fits 64 bits with room
// for the sum of five. Four lanes are one quad; the quads of a group take turns block by block, so
// that one computes while another waits for its accumulator. 64 bytes of each packet are loaded
// and transposed at a time.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "crypto/avx2_unit.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kQuad = 4;
constexpr std::size_t kQuads = kLanes / kQuad;
constexpr std::size_t kBlock = 16;
constexpr std::size_t kStride = 4 * kBlock;
constexpr std::uint64_t kLimb = (std::uint64_t{1} << 26) - 1;

struct Quad {
  __m256i h[5];
  __m256i r[5];
  __m256i r5[5];  ///< [0] is not used
};

/// Four blocks of four packets: low and high halves.
struct FourBlocks {
  __m256i low[4];
  __m256i high[4];
};

WARREN_AVX2_INLINE __m256i mask26() { return _mm256_set1_epi64x(kLimb); }

WARREN_AVX2_INLINE __m256i limb(__m256i x) { return _mm256_and_si256(x, mask26()); }

/// Cuts 128 bits into limbs.
WARREN_AVX2_INLINE void cut(__m256i low, __m256i high, __m256i (&limbs)[5]) {
  limbs[0] = limb(low);
  limbs[1] = limb(_mm256_srli_epi64(low, 26));
  limbs[2] = limb(_mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12)));
  limbs[3] = limb(_mm256_srli_epi64(high, 14));
  limbs[4] = _mm256_srli_epi64(high, 40);
}

WARREN_AVX2_INLINE __m256i sum_of_products(__m256i a0, __m256i b0, __m256i a1, __m256i b1,
                                           __m256i a2, __m256i b2, __m256i a3, __m256i b3,
                                           __m256i a4, __m256i b4) {
  const __m256i first = _mm256_add_epi64(_mm256_mul_epu32(a0, b0), _mm256_mul_epu32(a1, b1));
  const __m256i second = _mm256_add_epi64(_mm256_mul_epu32(a2, b2), _mm256_mul_epu32(a3, b3));
  return _mm256_add_epi64(_mm256_add_epi64(first, second), _mm256_mul_epu32(a4, b4));
}

/// Moves what a limb has beyond 26 bits to the next.
WARREN_AVX2_INLINE void carry(__m256i& from, __m256i& to) {
  to = _mm256_add_epi64(to, _mm256_srli_epi64(from, 26));
  from = limb(from);
}

/// h = a * r; limbs below 2^26, but h[1] and h[4] may be a little more.
WARREN_AVX2_INLINE void multiply(const __m256i (&a)[5], const Quad& quad, __m256i (&h)[5]) {
  const __m256i* r = quad.r;
  const __m256i* s = quad.r5;
  __m256i x0 = sum_of_products(a[0], r[0], a[1], s[4], a[2], s[3], a[3], s[2], a[4], s[1]);
  __m256i x1 = sum_of_products(a[0], r[1], a[1], r[0], a[2], s[4], a[3], s[3], a[4], s[2]);
  __m256i x2 = sum_of_products(a[0], r[2], a[1], r[1], a[2], r[0], a[3], s[4], a[4], s[3]);
  __m256i x3 = sum_of_products(a[0], r[3], a[1], r[2], a[2], r[1], a[3], r[0], a[4], s[4]);
  __m256i x4 = sum_of_products(a[0], r[4], a[1], r[3], a[2], r[2], a[3], r[1], a[4], r[0]);
  // Two chains of carries, started at limbs 0 and 3.
  carry(x0, x1);
  carry(x3, x4);
  carry(x1, x2);
  const __m256i over = _mm256_srli_epi64(x4, 26);
  x4 = limb(x4);
  x0 = _mm256_add_epi64(x0, _mm256_add_epi64(over, _mm256_slli_epi64(over, 2)));
  carry(x2, x3);
  carry(x0, x1);
  carry(x3, x4);
  h[0] = x0;
  h[1] = x1;
  h[2] = x2;
  h[3] = x3;
  h[4] = x4;
}

/// `h` plus a block, and the bit that ends every block.
WARREN_AVX2_INLINE void add_block(const __m256i (&h)[5], __m256i low, __m256i high,
                                  __m256i (&sum)[5]) {
  cut(low, high, sum);
  sum[0] = _mm256_add_epi64(sum[0], h[0]);
  sum[1] = _mm256_add_epi64(sum[1], h[1]);
  sum[2] = _mm256_add_epi64(sum[2], h[2]);
  sum[3] = _mm256_add_epi64(sum[3], h[3]);
  sum[4] = _mm256_add_epi64(_mm256_or_si256(sum[4], _mm256_set1_epi64x(1LL << 24)), h[4]);
}

WARREN_AVX2_INLINE void absorb(Quad& quad, __m256i low, __m256i high) {
  __m256i sum[5];
  add_block(quad.h, low, high, sum);
  multiply(sum, quad, quad.h);
}

/// The same for some of the lanes.
WARREN_AVX2_INLINE void absorb(Quad& quad, __m256i low, __m256i high, __m256i lanes) {
  __m256i sum[5];
  __m256i next[5];
  add_block(quad.h, low, high, sum);
  multiply(sum, quad, next);
  for (std::size_t i = 0; i < 5; ++i) {
    quad.h[i] = _mm256_blendv_epi8(quad.h[i], next[i], lanes);
  }
}

WARREN_AVX2_INLINE void start(Quad& quad, const PolyKeys& keys, std::size_t first) {
  const __m256i low =
      _mm256_and_si256(_mm256_load_si256(reinterpret_cast<const __m256i*>(keys.r_low + first)),
                       _mm256_set1_epi64x(0x0ffffffc0fffffff));
  const __m256i high =
      _mm256_and_si256(_mm256_load_si256(reinterpret_cast<const __m256i*>(keys.r_high + first)),
                       _mm256_set1_epi64x(0x0ffffffc0ffffffc));
  cut(low, high, quad.r);
  for (std::size_t i = 0; i < 5; ++i) {
    quad.h[i] = _mm256_setzero_si256();
    quad.r5[i] = _mm256_add_epi64(quad.r[i], _mm256_slli_epi64(quad.r[i], 2));
  }
}

/// Bytes at `offset` of a text: there, or copied in front of zeros where the text ends.
const std::uint8_t* row_at(base::Bytes text, std::size_t offset,
                           std::array<std::uint8_t, kStride>& copy) {
  if (text.size() >= offset + kStride) return text.data() + offset;
  copy = {};
  if (text.size() > offset) std::memcpy(copy.data(), text.data() + offset, text.size() - offset);
  return copy.data();
}

/// From half of a row per packet to two blocks of all packets.
WARREN_AVX2_INLINE void transpose(const std::array<const std::uint8_t*, kQuad>& rows,
                                  std::size_t block, FourBlocks& out) {
  __m256i row[kQuad];
  for (std::size_t i = 0; i < kQuad; ++i) {
    row[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[i] + block * kBlock));
  }
  const __m256i low_ab = _mm256_unpacklo_epi64(row[0], row[1]);
  const __m256i low_cd = _mm256_unpacklo_epi64(row[2], row[3]);
  const __m256i high_ab = _mm256_unpackhi_epi64(row[0], row[1]);
  const __m256i high_cd = _mm256_unpackhi_epi64(row[2], row[3]);
  out.low[block] = _mm256_permute2x128_si256(low_ab, low_cd, 0x20);
  out.low[block + 1] = _mm256_permute2x128_si256(low_ab, low_cd, 0x31);
  out.high[block] = _mm256_permute2x128_si256(high_ab, high_cd, 0x20);
  out.high[block + 1] = _mm256_permute2x128_si256(high_ab, high_cd, 0x31);
}

/// The texts of a group, lane by lane.
using Texts = std::array<base::Bytes, kLanes>;
struct alignas(32) Sizes {
  std::int64_t of[kLanes];
};

WARREN_AVX2_INLINE void load(const Texts& texts, std::size_t quad, std::size_t offset,
                             FourBlocks& out) {
  std::array<std::array<std::uint8_t, kStride>, kQuad> copies;
  std::array<const std::uint8_t*, kQuad> rows;
  for (std::size_t i = 0; i < kQuad; ++i) {
    rows[i] = row_at(texts[quad * kQuad + i], offset, copies[i]);
  }
  transpose(rows, 0, out);
  transpose(rows, 2, out);
}

/// All ones in the lanes whose text goes beyond `offset`.
WARREN_AVX2_INLINE __m256i lanes_at(const Sizes& sizes, std::size_t quad, std::size_t offset) {
  return _mm256_cmpgt_epi64(
      _mm256_load_si256(reinterpret_cast<const __m256i*>(sizes.of + quad * kQuad)),
      _mm256_set1_epi64x(static_cast<long long>(offset)));
}

/// The tag of one lane: h modulo 2^130 - 5, plus s, modulo 2^128.
void finish(const Quad& quad, std::size_t lane, const PolyKeys& keys, std::size_t index,
            PolyTags& tags) {
  std::array<std::uint64_t, 5> h;
  for (std::size_t i = 0; i < 5; ++i) {
    std::array<std::uint64_t, kQuad> lanes;
    std::memcpy(lanes.data(), &quad.h[i], sizeof lanes);
    h[i] = lanes[lane];
  }
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 4; ++i) {
      h[i + 1] += h[i] >> 26;
      h[i] &= kLimb;
    }
    h[0] += 5 * (h[4] >> 26);
    h[4] &= kLimb;
  }
  h[1] += h[0] >> 26;
  h[0] &= kLimb;
  std::array<std::uint64_t, 5> g;
  std::uint64_t over = 5;
  for (std::size_t i = 0; i < 5; ++i) {
    g[i] = (h[i] + over) & kLimb;
    over = (h[i] + over) >> 26;
  }
  const std::uint64_t take = ~over + 1;  // all ones when h + 5 reached 2^130
  for (std::size_t i = 0; i < 5; ++i) h[i] = (h[i] & ~take) | (g[i] & take);
  const std::uint64_t low = h[0] | h[1] << 26 | h[2] << 52;
  const std::uint64_t high = h[2] >> 12 | h[3] << 14 | h[4] << 40;
  tags.low[index] = low + keys.s_low[index];
  tags.high[index] = high + keys.s_high[index] + (tags.low[index] < low ? 1 : 0);
}

/// Absorbs 64 bytes of every text; all have them.
WARREN_AVX2_INLINE void absorb_stride(std::array<Quad, kQuads>& quads, std::size_t count,
                                      const Texts& texts, std::size_t offset) {
  FourBlocks blocks[kQuads];
  for (std::size_t q = 0; q < count; ++q) load(texts, q, offset, blocks[q]);
  for (std::size_t b = 0; b < 4; ++b) {
    for (std::size_t q = 0; q < count; ++q) {
      absorb(quads[q], blocks[q].low[b], blocks[q].high[b]);
    }
  }
}

/// Absorbs what of 64 bytes every text has.
WARREN_AVX2_INLINE void absorb_ends(std::array<Quad, kQuads>& quads, std::size_t count,
                                    const Texts& texts, const Sizes& sizes, std::size_t offset) {
  for (std::size_t q = 0; q < count; ++q) {
    FourBlocks blocks;
    load(texts, q, offset, blocks);
    for (std::size_t b = 0; b < 4; ++b) {
      const __m256i lanes = lanes_at(sizes, q, offset + b * kBlock);
      if (_mm256_testz_si256(lanes, lanes) != 0) break;
      absorb(quads[q], blocks.low[b], blocks.high[b], lanes);
    }
  }
}

/// Absorbs the block of the lengths; there is no additional data.
WARREN_AVX2_INLINE void absorb_lengths(Quad& quad, const Sizes& sizes, std::size_t q) {
  absorb(quad, _mm256_setzero_si256(),
         _mm256_load_si256(reinterpret_cast<const __m256i*>(sizes.of + q * kQuad)));
}

}  // namespace

WARREN_AVX2 void avx2_macs(Group group, const PolyKeys& keys, PolyTags& tags) {
  Texts texts;
  Sizes sizes{};
  std::size_t longest = 0;
  std::size_t shortest = group[0]->text.size();
  for (std::size_t i = 0; i < kLanes; ++i) {
    // Lanes without a packet repeat the first.
    texts[i] = group[i < group.size() ? i : 0]->text;
    sizes.of[i] = static_cast<std::int64_t>(texts[i].size());
    longest = std::max(longest, texts[i].size());
    shortest = std::min(shortest, texts[i].size());
  }
  std::array<Quad, kQuads> quads;
  const std::size_t count = (group.size() + kQuad - 1) / kQuad;
  for (std::size_t q = 0; q < count; ++q) start(quads[q], keys, q * kQuad);
  std::size_t offset = 0;
  for (; shortest - offset >= kStride; offset += kStride) {
    absorb_stride(quads, count, texts, offset);
  }
  for (; offset < longest; offset += kStride) absorb_ends(quads, count, texts, sizes, offset);
  for (std::size_t q = 0; q < count; ++q) absorb_lengths(quads[q], sizes, q);
  for (std::size_t i = 0; i < group.size(); ++i) {
    finish(quads[i / kQuad], i % kQuad, keys, i, tags);
  }
  wipe({reinterpret_cast<std::uint8_t*>(quads.data()), count * sizeof(Quad)});
}

}  // namespace warren::crypto
