// Poly1305 with AVX-512 of one packet at a time, for groups too small to fill the lanes: lane j
// sums every eighth block times r^8, and the last eight blocks are multiplied by r^8, r^7, ... r.
// Blocks of nothing (zeros, without the bit that ends a block) before the first fill up the first
// eight.
#include <algorithm>
#include <array>

#include "crypto/avx512_unit.hpp"
#include "crypto/poly_avx512.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kChunk = kOctet * kPolyBlock;

/// The powers of one r: the eighth in every lane, and 8, 4, 7, 3, 6, 2, 5, 1, which is the order in
/// which unpacking leaves the blocks 0, 4, 1, 5, 2, 6, 3, 7.
struct Powers {
  Multiplier eighth;
  Multiplier last;
};

WARREN_AVX512_INLINE void product(const Multiplier& a, const Multiplier& b, Multiplier& out) {
  __m512i limbs[3];
  multiply_any(a.r, b, limbs);
  carry_around(limbs);
  carry_around(limbs);
  out.r[0] = limbs[0];
  out.r[1] = limbs[1];
  out.r[2] = limbs[2];
  set_multiples(out);
}

WARREN_AVX512_INLINE void choose(Multiplier& where, __mmask8 lanes, const Multiplier& from) {
  where.r[0] = _mm512_mask_mov_epi64(where.r[0], lanes, from.r[0]);
  where.r[1] = _mm512_mask_mov_epi64(where.r[1], lanes, from.r[1]);
  where.r[2] = _mm512_mask_mov_epi64(where.r[2], lanes, from.r[2]);
  set_multiples(where);
}

WARREN_AVX512_INLINE void make_powers(const Multiplier& first, Powers& powers) {
  Multiplier second;
  Multiplier fourth;
  Multiplier more;
  product(first, first, second);
  product(second, second, fourth);
  product(fourth, fourth, powers.eighth);
  // The exponents less one, bit by bit: 7 3 6 2 5 1 4 0.
  powers.last = first;
  choose(powers.last, 0b00110011, second);
  product(powers.last, second, more);
  choose(powers.last, 0b00001111, more);
  product(powers.last, fourth, more);
  choose(powers.last, 0b01010101, more);
}

/// h + 128 bytes; `ends` says which lanes have a block at all.
WARREN_AVX512_INLINE void add_chunk(__m512i (&h)[3], const std::uint8_t* chunk, __mmask8 ends) {
  const __m512i front = _mm512_loadu_si512(chunk);
  const __m512i back = _mm512_loadu_si512(chunk + kChunk / 2);
  __m512i limbs[3];
  cut(_mm512_unpacklo_epi64(front, back), _mm512_unpackhi_epi64(front, back), limbs);
  limbs[2] = _mm512_mask_or_epi64(limbs[2], ends, limbs[2], _mm512_set1_epi64(1LL << 40));
  h[0] = _mm512_add_epi64(h[0], limbs[0]);
  h[1] = _mm512_add_epi64(h[1], limbs[1]);
  h[2] = _mm512_add_epi64(h[2], limbs[2]);
}

/// The lanes of the blocks from `first` to the eighth.
__mmask8 lanes_from(std::size_t first) {
  static constexpr std::array<std::uint8_t, kOctet> kFrom = {0b11111111, 0b11111110, 0b11111010,
                                                             0b11101010, 0b10101010, 0b10101000,
                                                             0b10100000, 0b10000000};
  return kFrom[first];
}

/// The sum of all blocks times their powers, in eight parts.
WARREN_AVX512_INLINE void sum_up(base::Bytes text, const Powers& powers, __m512i (&h)[3]) {
  const std::size_t blocks = (text.size() + kPolyBlock - 1) / kPolyBlock + 1;
  const std::size_t missing = (kOctet - blocks % kOctet) % kOctet;
  alignas(64) std::array<std::uint8_t, kChunk> edge{};
  const std::size_t before = missing * kPolyBlock;
  std::size_t used = std::min(text.size(), kChunk - before);
  __mmask8 ends = lanes_from(missing);
  std::memcpy(edge.data() + before, text.data(), used);
  if (missing + blocks > kOctet) {
    add_chunk(h, edge.data(), ends);
    multiply_any(h, powers.eighth, h);
    for (; text.size() - used >= kChunk; used += kChunk) {
      add_chunk(h, text.data() + used, 0xff);
      multiply_any(h, powers.eighth, h);
    }
    ends = 0xff;
    edge = {};
    std::memcpy(edge.data(), text.data() + used, text.size() - used);
  }
  const std::uint64_t size = text.size();
  std::memcpy(edge.data() + kChunk - 8, &size, sizeof size);
  add_chunk(h, edge.data(), ends);
  multiply_any(h, powers.last, h);
}

WARREN_AVX512_INLINE __m512i broadcast(__m512i from, std::size_t lane) {
  return _mm512_permutexvar_epi64(_mm512_set1_epi64(static_cast<long long>(lane)), from);
}

}  // namespace

WARREN_AVX512 void avx512_macs_of_few(Group group, const PolyKeys& keys, PolyTags& tags) {
  Octet octet;
  start(octet, keys, 0);
  for (std::size_t i = 0; i < group.size(); ++i) {
    Multiplier first;
    first.r[0] = broadcast(octet.by.r[0], i);
    first.r[1] = broadcast(octet.by.r[1], i);
    first.r[2] = broadcast(octet.by.r[2], i);
    set_multiples(first);
    Powers powers;
    make_powers(first, powers);
    __m512i h[3] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    sum_up(group[i]->text, powers, h);
    const auto lane = static_cast<__mmask8>(1U << i);
    octet.h[0] = _mm512_mask_set1_epi64(octet.h[0], lane, _mm512_reduce_add_epi64(h[0]));
    octet.h[1] = _mm512_mask_set1_epi64(octet.h[1], lane, _mm512_reduce_add_epi64(h[1]));
    octet.h[2] = _mm512_mask_set1_epi64(octet.h[2], lane, _mm512_reduce_add_epi64(h[2]));
    forget(powers);
  }
  finish(octet, keys, 0, tags);
}

}  // namespace warren::crypto
