// ChaCha20 (RFC 8439 section 2.3) with AVX-512: register i of a pass holds word i of the state of
// 16 blocks. Blocks of one pass may belong to different packets with different keys: a run of
// blocks writes its key, counter and nonce into its lanes under a mask. Two passes are computed
// side by side (chacha_avx512_two.cpp) where there are enough blocks, because the steps of one wait
// for each other.
#include <array>
#include <bit>
#include <utility>

#include "crypto/avx512.hpp"
#include "crypto/avx512_unit.hpp"

namespace warren::crypto {

namespace {

using Words = __m512i[16];

/// The input state of 16 blocks, one word of each per register.
struct Pass {
  Words word;
};

struct alignas(64) KeyStream {
  std::uint8_t block[kLanes][kChachaBlock];
};

/// Which text the lanes of a pass cover. (Pointers and sizes apart: a run is returned in memory,
/// and a span of it copied at once would wait for the stores of its halves.)
struct Cover {
  std::array<std::uint8_t*, kLanes> text;
  std::array<std::size_t, kLanes> size;
  std::size_t runs = 0;
};

template <int Bits>
WARREN_AVX512_INLINE void mix(__m512i& a, const __m512i& b, __m512i& d) {
  a = _mm512_add_epi32(a, b);
  d = _mm512_rol_epi32(_mm512_xor_si512(d, a), Bits);
}

/// The place of element i of a row of the 4 x 4 state, in a column or in a diagonal round.
consteval int at(int row, int i, bool diagonal) { return 4 * row + (diagonal ? (i + row) % 4 : i); }

/// One step of four quarter rounds: row A += row B, row D = (row D ^ row A) <<< Bits.
template <int Bits, int A, int B, int D, bool Diagonal>
WARREN_AVX512_INLINE void mix_rows(Words& x) {
  mix<Bits>(x[at(A, 0, Diagonal)], x[at(B, 0, Diagonal)], x[at(D, 0, Diagonal)]);
  mix<Bits>(x[at(A, 1, Diagonal)], x[at(B, 1, Diagonal)], x[at(D, 1, Diagonal)]);
  mix<Bits>(x[at(A, 2, Diagonal)], x[at(B, 2, Diagonal)], x[at(D, 2, Diagonal)]);
  mix<Bits>(x[at(A, 3, Diagonal)], x[at(B, 3, Diagonal)], x[at(D, 3, Diagonal)]);
}

template <bool Diagonal>
WARREN_AVX512_INLINE void round(Words& x) {
  mix_rows<16, 0, 1, 3, Diagonal>(x);
  mix_rows<12, 2, 3, 1, Diagonal>(x);
  mix_rows<8, 0, 1, 3, Diagonal>(x);
  mix_rows<7, 2, 3, 1, Diagonal>(x);
}

WARREN_AVX512_INLINE void rounds(Words& x) {
  for (int i = 0; i < 10; ++i) {
    round<false>(x);
    round<true>(x);
  }
}

// Loops over registers are written as folds: an array that a loop indexes stays in memory.
template <std::size_t... I>
WARREN_AVX512_INLINE void add_words(Words& x, const Words& y, std::index_sequence<I...>) {
  ((x[I] = _mm512_add_epi32(x[I], y[I])), ...);
}

template <std::size_t... I>
WARREN_AVX512_INLINE void copy_words(Words& x, const Words& y, std::index_sequence<I...>) {
  ((x[I] = y[I]), ...);
}

/// The block function of one pass.
WARREN_AVX512_INLINE void run(const Pass& pass, Words& x) {
  copy_words(x, pass.word, std::make_index_sequence<16>());
  rounds(x);
  add_words(x, pass.word, std::make_index_sequence<16>());
}

WARREN_AVX512_INLINE void transpose_words(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
  const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
  const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
  a = _mm512_unpacklo_epi64(ab_low, cd_low);
  b = _mm512_unpackhi_epi64(ab_low, cd_low);
  c = _mm512_unpacklo_epi64(ab_high, cd_high);
  d = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/// Blocks j, j + 4, j + 8 and j + 12, of which x[4 * i + j] has words 4i..4i+3.
template <std::size_t J>
WARREN_AVX512_INLINE void write_four(Words& x, KeyStream& out) {
  transpose_quarters(x[J], x[J + 4], x[J + 8], x[J + 12]);
  _mm512_store_si512(out.block[J], x[J]);
  _mm512_store_si512(out.block[J + 4], x[J + 4]);
  _mm512_store_si512(out.block[J + 8], x[J + 8]);
  _mm512_store_si512(out.block[J + 12], x[J + 12]);
}

/// From one word of every block per register to one block per row.
WARREN_AVX512_INLINE void write_blocks(const Words& words, KeyStream& out) {
  Words x;  // of its own: else every step would be stored in `words` too
  copy_words(x, words, std::make_index_sequence<16>());
  transpose_words(x[0], x[1], x[2], x[3]);
  transpose_words(x[4], x[5], x[6], x[7]);
  transpose_words(x[8], x[9], x[10], x[11]);
  transpose_words(x[12], x[13], x[14], x[15]);
  write_four<0>(x, out);
  write_four<1>(x, out);
  write_four<2>(x, out);
  write_four<3>(x, out);
}

WARREN_AVX512_INLINE void set_key(Pass& pass, __mmask16 lanes, const AeadJob& job) {
  std::array<int, 8> words;
  std::memcpy(words.data(), job.key->key().data(), sizeof words);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 8; ++i) {
    pass.word[4 + i] = _mm512_mask_set1_epi32(pass.word[4 + i], lanes, words[i]);
  }
}

WARREN_AVX512_INLINE void set_nonce(Pass& pass, __mmask16 lanes, const AeadJob& job) {
  const auto halves = std::bit_cast<std::array<int, 2>>(job.counter);
  pass.word[14] = _mm512_mask_set1_epi32(pass.word[14], lanes, halves[0]);
  pass.word[15] = _mm512_mask_set1_epi32(pass.word[15], lanes, halves[1]);
}

/// Fills the lanes of a pass from the line.
WARREN_AVX512_INLINE void fill(BlockLine& line, bool common_key, Pass& pass, Cover& cover) {
  const __m512i lane_number =
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  cover.runs = 0;
  for (std::size_t lane = 0; lane < kLanes && !line.done();) {
    const BlockLine::Run run = line.take(kLanes - lane);
    const auto lanes = static_cast<__mmask16>(((1U << run.blocks) - 1) << lane);
    const int first = static_cast<int>(run.first) - static_cast<int>(lane);
    pass.word[12] =
        _mm512_mask_add_epi32(pass.word[12], lanes, lane_number, _mm512_set1_epi32(first));
    set_nonce(pass, lanes, *run.job);
    if (!common_key) set_key(pass, lanes, *run.job);
    cover.text[cover.runs] = run.text.data();
    cover.size[cover.runs++] = run.text.size();
    lane += run.blocks;
  }
}

WARREN_AVX512_INLINE void apply(const Cover& cover, const KeyStream& stream) {
  const std::uint8_t* key = stream.block[0];
  for (std::size_t run = 0; run < cover.runs; ++run) {
    std::uint8_t* text = cover.text[run];
    std::size_t size = cover.size[run];
    for (; size >= kChachaBlock; size -= kChachaBlock) {
      _mm512_storeu_si512(text, _mm512_xor_si512(_mm512_loadu_si512(text), _mm512_load_si512(key)));
      text += kChachaBlock;
      key += kChachaBlock;
    }
    if (size == 0) continue;
    const __mmask64 bytes = (std::uint64_t{1} << size) - 1;
    _mm512_mask_storeu_epi8(
        text, bytes,
        _mm512_xor_si512(_mm512_maskz_loadu_epi8(bytes, text), _mm512_load_si512(key)));
    key += kChachaBlock;
  }
}

WARREN_AVX512_INLINE void one_pass(const Pass& pass, KeyStream& stream) {
  Words x;
  run(pass, x);
  write_blocks(x, stream);
}

/// What a call has on the stack; all but the cover is secret.
struct Work {
  Pass pass[2];
  Words word[2];
  KeyStream stream[2];
  Cover cover[2];
};

WARREN_AVX512_INLINE void two_passes(Work& work) {
  avx512_run_two(work.pass[0].word, work.pass[1].word, work.word[0], work.word[1]);
  write_blocks(work.word[0], work.stream[0]);
  write_blocks(work.word[1], work.stream[1]);
}

WARREN_AVX512_INLINE void clear(Pass& pass) {
  for (__m512i& word : pass.word) word = _mm512_setzero_si512();
  pass.word[0] = _mm512_set1_epi32(0x61707865);
  pass.word[1] = _mm512_set1_epi32(0x3320646e);
  pass.word[2] = _mm512_set1_epi32(0x79622d32);
  pass.word[3] = _mm512_set1_epi32(0x6b206574);
}

/// Words a and b of 8 blocks, from `First`, as 64-bit halves.
template <int Half>
WARREN_AVX512_INLINE void write_halves(__m512i a, __m512i b, std::uint64_t* out) {
  const __m512i low = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a, Half));
  const __m512i high = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(b, Half));
  _mm512_store_si512(out + std::ptrdiff_t{8} * Half,
                     _mm512_or_si512(low, _mm512_slli_epi64(high, 32)));
}

}  // namespace

WARREN_AVX512 void avx512_poly_keys(Group group, PolyKeys& keys) {
  Pass pass;
  clear(pass);
  const bool common_key = one_key(group);
  if (common_key) set_key(pass, 0xffff, *group[0]);
  for (std::size_t lane = 0; lane < group.size(); ++lane) {
    const auto mask = static_cast<__mmask16>(1U << lane);
    set_nonce(pass, mask, *group[lane]);
    if (!common_key) set_key(pass, mask, *group[lane]);
  }
  Words x;
  run(pass, x);
  write_halves<0>(x[0], x[1], keys.r_low);
  write_halves<1>(x[0], x[1], keys.r_low);
  write_halves<0>(x[2], x[3], keys.r_high);
  write_halves<1>(x[2], x[3], keys.r_high);
  write_halves<0>(x[4], x[5], keys.s_low);
  write_halves<1>(x[4], x[5], keys.s_low);
  write_halves<0>(x[6], x[7], keys.s_high);
  write_halves<1>(x[6], x[7], keys.s_high);
  forget(pass);
}

WARREN_AVX512 void avx512_crypt(Group group) {
  Work work;
  clear(work.pass[0]);
  clear(work.pass[1]);
  const bool common_key = one_key(group);
  if (common_key) {
    set_key(work.pass[0], 0xffff, *group[0]);
    set_key(work.pass[1], 0xffff, *group[0]);
  }
  BlockLine line(group);
  std::size_t used = 1;
  while (!line.done()) {
    fill(line, common_key, work.pass[0], work.cover[0]);
    if (line.done()) {
      one_pass(work.pass[0], work.stream[0]);
    } else {
      used = 2;
      fill(line, common_key, work.pass[1], work.cover[1]);
      two_passes(work);
      apply(work.cover[1], work.stream[1]);
    }
    apply(work.cover[0], work.stream[0]);
  }
  for (std::size_t i = 0; i < used; ++i) {
    forget(work.pass[i]);
    forget(work.word[i]);
    forget(work.stream[i]);
  }
}

}  // namespace warren::crypto
