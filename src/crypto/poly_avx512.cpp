// Poly1305 with AVX-512, one packet per 64-bit lane.
//
// Eight lanes are one octet. Two octets are worked on side by side, because a block needs the
// accumulator of the block before it. Four blocks of each of the eight packets are loaded at a
// time and transposed. As long as all lanes have 64 bytes left nothing is masked. A few long
// packets are better off one after the other (poly_avx512_few.cpp).
#include "crypto/poly_avx512.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "crypto/avx512_unit.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kStride = 4 * kPolyBlock;

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
  multiply(sum, octet.by, octet.h);
}

/// The same for some of the lanes.
WARREN_AVX512_INLINE void absorb(Octet& octet, __m512i low, __m512i high, __mmask8 lanes) {
  __m512i sum[3];
  __m512i next[3];
  add_block(octet, low, high, sum);
  multiply(sum, octet.by, next);
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
  const __mmask8 lanes = lanes_at(texts, offset + B * kPolyBlock);
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

/// Measured: eight blocks of one packet cost what one block of eight packets costs, and the powers
/// of its r as much as some blocks.
bool few_and_long(Group group) {
  static constexpr std::array<std::size_t, 3> kLongEnough = {81, 257, 1024};
  return group.size() <= kLongEnough.size() &&
         group.back()->text.size() >= kLongEnough[group.size() - 1];
}

}  // namespace

WARREN_AVX512 void avx512_macs(Group group, const PolyKeys& keys, PolyTags& tags) {
  if (few_and_long(group)) {
    avx512_macs_of_few(group, keys, tags);
  } else if (group.size() > kOctet) {
    two_octets(group, keys, tags);
  } else {
    one_octet(group, keys, tags);
  }
}

}  // namespace warren::crypto
