// ChaCha20 (RFC 8439 section 2.3) with AVX-512: register i of a pass holds word i of the state of
// 16 blocks. Blocks of one pass may belong to different packets with different keys: a run of
// blocks writes its key, counter and nonce into its lanes under a mask. Two passes are computed
// side by side where there are enough blocks, because the steps of one wait for each other.
#include <array>
#include <bit>

#include "crypto/avx512.hpp"
#include "crypto/avx512_unit.hpp"

namespace warren::crypto {

namespace {

/// What differs between the blocks of a pass.
struct Pass {
  __m512i key[8];
  __m512i counter;
  __m512i nonce[2];
};

struct alignas(64) KeyStream {
  std::uint8_t block[kLanes][kChachaBlock];
};

/// Which text the lanes of a pass cover.
struct Cover {
  std::array<base::MutableBytes, kLanes> text;
  std::size_t runs = 0;
};

using Words = __m512i[16];

WARREN_AVX512_INLINE void quarter_round(__m512i& a, __m512i& b, __m512i& c, __m512i& d) {
  a = _mm512_add_epi32(a, b);
  d = _mm512_rol_epi32(_mm512_xor_si512(d, a), 16);
  c = _mm512_add_epi32(c, d);
  b = _mm512_rol_epi32(_mm512_xor_si512(b, c), 12);
  a = _mm512_add_epi32(a, b);
  d = _mm512_rol_epi32(_mm512_xor_si512(d, a), 8);
  c = _mm512_add_epi32(c, d);
  b = _mm512_rol_epi32(_mm512_xor_si512(b, c), 7);
}

WARREN_AVX512_INLINE void double_round(Words& x) {
  quarter_round(x[0], x[4], x[8], x[12]);
  quarter_round(x[1], x[5], x[9], x[13]);
  quarter_round(x[2], x[6], x[10], x[14]);
  quarter_round(x[3], x[7], x[11], x[15]);
  quarter_round(x[0], x[5], x[10], x[15]);
  quarter_round(x[1], x[6], x[11], x[12]);
  quarter_round(x[2], x[7], x[8], x[13]);
  quarter_round(x[3], x[4], x[9], x[14]);
}

WARREN_AVX512_INLINE void start(const Pass& pass, Words& x) {
  x[0] = _mm512_set1_epi32(0x61707865);
  x[1] = _mm512_set1_epi32(0x3320646e);
  x[2] = _mm512_set1_epi32(0x79622d32);
  x[3] = _mm512_set1_epi32(0x6b206574);
  x[4] = pass.key[0];
  x[5] = pass.key[1];
  x[6] = pass.key[2];
  x[7] = pass.key[3];
  x[8] = pass.key[4];
  x[9] = pass.key[5];
  x[10] = pass.key[6];
  x[11] = pass.key[7];
  x[12] = pass.counter;
  x[13] = _mm512_setzero_si512();
  x[14] = pass.nonce[0];
  x[15] = pass.nonce[1];
}

/// Adds the input state, which ends the block function.
WARREN_AVX512_INLINE void finish(const Pass& pass, Words& x) {
  Words input;
  start(pass, input);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) x[i] = _mm512_add_epi32(x[i], input[i]);
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

/// From one word of every block per register to one block per row.
WARREN_AVX512_INLINE void write_blocks(Words& x, KeyStream& out) {
  transpose_words(x[0], x[1], x[2], x[3]);
  transpose_words(x[4], x[5], x[6], x[7]);
  transpose_words(x[8], x[9], x[10], x[11]);
  transpose_words(x[12], x[13], x[14], x[15]);
  // Now x[4 * i + j] has words 4i..4i+3 of blocks j, j + 4, j + 8 and j + 12.
#pragma GCC unroll 4
  for (std::size_t j = 0; j < 4; ++j) {
    transpose_quarters(x[j], x[j + 4], x[j + 8], x[j + 12]);
    _mm512_store_si512(out.block[j], x[j]);
    _mm512_store_si512(out.block[j + 4], x[j + 4]);
    _mm512_store_si512(out.block[j + 8], x[j + 8]);
    _mm512_store_si512(out.block[j + 12], x[j + 12]);
  }
}

WARREN_AVX512_INLINE void set_key(Pass& pass, __mmask16 lanes, const AeadJob& job) {
  std::array<int, 8> words;
  std::memcpy(words.data(), job.key->key().data(), sizeof words);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 8; ++i) {
    pass.key[i] = _mm512_mask_set1_epi32(pass.key[i], lanes, words[i]);
  }
}

WARREN_AVX512_INLINE void set_nonce(Pass& pass, __mmask16 lanes, const AeadJob& job) {
  const auto halves = std::bit_cast<std::array<int, 2>>(job.counter);
  pass.nonce[0] = _mm512_mask_set1_epi32(pass.nonce[0], lanes, halves[0]);
  pass.nonce[1] = _mm512_mask_set1_epi32(pass.nonce[1], lanes, halves[1]);
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
    pass.counter =
        _mm512_mask_add_epi32(pass.counter, lanes, lane_number, _mm512_set1_epi32(first));
    set_nonce(pass, lanes, *run.job);
    if (!common_key) set_key(pass, lanes, *run.job);
    cover.text[cover.runs++] = run.text;
    lane += run.blocks;
  }
}

WARREN_AVX512_INLINE void apply(const Cover& cover, const KeyStream& stream) {
  const std::uint8_t* key = stream.block[0];
  for (std::size_t run = 0; run < cover.runs; ++run) {
    std::uint8_t* text = cover.text[run].data();
    std::size_t size = cover.text[run].size();
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
  start(pass, x);
  for (int i = 0; i < 10; ++i) double_round(x);
  finish(pass, x);
  write_blocks(x, stream);
}

WARREN_AVX512_INLINE void two_passes(const Pass& first, const Pass& second, KeyStream& stream,
                                     KeyStream& second_stream) {
  Words x;
  Words y;
  start(first, x);
  start(second, y);
  for (int i = 0; i < 10; ++i) {
    double_round(x);
    double_round(y);
  }
  finish(first, x);
  write_blocks(x, stream);
  finish(second, y);
  write_blocks(y, second_stream);
}

/// Everything of a call that must not stay on the stack.
struct Work {
  Pass pass[2];
  KeyStream stream[2];
  Cover cover[2];
};

WARREN_AVX512_INLINE void forget(Work& work) {
  wipe({reinterpret_cast<std::uint8_t*>(&work), sizeof work.pass + sizeof work.stream});
}

WARREN_AVX512_INLINE void clear(Pass& pass) {
#pragma GCC unroll 8
  for (__m512i& word : pass.key) word = _mm512_setzero_si512();
  pass.counter = _mm512_setzero_si512();
  pass.nonce[0] = _mm512_setzero_si512();
  pass.nonce[1] = _mm512_setzero_si512();
}

/// Words a and b of 8 blocks, from `First`, as 64-bit halves.
template <int Half>
WARREN_AVX512_INLINE void write_halves(__m512i a, __m512i b, std::uint64_t* out) {
  const __m512i low = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(a, Half));
  const __m512i high = _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(b, Half));
  _mm512_store_si512(out + 8 * Half, _mm512_or_si512(low, _mm512_slli_epi64(high, 32)));
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
  start(pass, x);
  for (int i = 0; i < 10; ++i) double_round(x);
  finish(pass, x);
  write_halves<0>(x[0], x[1], keys.r_low);
  write_halves<1>(x[0], x[1], keys.r_low);
  write_halves<0>(x[2], x[3], keys.r_high);
  write_halves<1>(x[2], x[3], keys.r_high);
  write_halves<0>(x[4], x[5], keys.s_low);
  write_halves<1>(x[4], x[5], keys.s_low);
  write_halves<0>(x[6], x[7], keys.s_high);
  write_halves<1>(x[6], x[7], keys.s_high);
  wipe({reinterpret_cast<std::uint8_t*>(&pass), sizeof pass});
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
  while (!line.done()) {
    fill(line, common_key, work.pass[0], work.cover[0]);
    if (line.done()) {
      one_pass(work.pass[0], work.stream[0]);
    } else {
      fill(line, common_key, work.pass[1], work.cover[1]);
      two_passes(work.pass[0], work.pass[1], work.stream[0], work.stream[1]);
      apply(work.cover[1], work.stream[1]);
    }
    apply(work.cover[0], work.stream[0]);
  }
  forget(work);
}

}  // namespace warren::crypto
