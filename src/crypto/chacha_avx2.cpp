// ChaCha20 (RFC 8439 section 2.3) with AVX2: register i of a pass holds word i of the state of 8
// blocks, which may belong to different packets with different keys. AVX2 has 16 registers, one
// per word: a few live in memory during a round, and there is no second pass to run beside.
#include <immintrin.h>

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "crypto/avx2_unit.hpp"

namespace warren::crypto {

namespace {

constexpr std::size_t kWidth = 8;

using Words = __m256i[16];

/// What a call has on the stack; all but the cover is secret.
struct alignas(64) Work {
  std::uint32_t input[16][kWidth];
  std::uint8_t stream[kWidth][kChachaBlock];
  std::uint8_t edge[kChachaBlock];
};

/// Which text the lanes of a pass cover.
struct Cover {
  std::array<base::MutableBytes, kWidth> text;
  std::size_t runs = 0;
};

template <int Bits>
WARREN_AVX2_INLINE __m256i rotate(__m256i x) {
  if constexpr (Bits == 16) {
    return _mm256_shuffle_epi8(
        x, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6, 7,
                            4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  } else if constexpr (Bits == 8) {
    return _mm256_shuffle_epi8(
        x, _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4,
                            5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  } else {
    return _mm256_or_si256(_mm256_slli_epi32(x, Bits), _mm256_srli_epi32(x, 32 - Bits));
  }
}

template <int Bits>
WARREN_AVX2_INLINE void mix(__m256i& a, const __m256i& b, __m256i& d) {
  a = _mm256_add_epi32(a, b);
  d = rotate<Bits>(_mm256_xor_si256(d, a));
}

WARREN_AVX2_INLINE void quarter_rounds(__m256i& a, __m256i& b, __m256i& c, __m256i& d, __m256i& e,
                                       __m256i& f, __m256i& g, __m256i& h) {
  mix<16>(a, b, d);
  mix<16>(e, f, h);
  mix<12>(c, d, b);
  mix<12>(g, h, f);
  mix<8>(a, b, d);
  mix<8>(e, f, h);
  mix<7>(c, d, b);
  mix<7>(g, h, f);
}

template <std::size_t... I>
WARREN_AVX2_INLINE void load_words(Words& x, const Work& work, std::index_sequence<I...>) {
  ((x[I] = _mm256_load_si256(reinterpret_cast<const __m256i*>(work.input[I]))), ...);
}

template <std::size_t... I>
WARREN_AVX2_INLINE void add_words(Words& x, const Work& work, std::index_sequence<I...>) {
  ((x[I] =
        _mm256_add_epi32(x[I], _mm256_load_si256(reinterpret_cast<const __m256i*>(work.input[I])))),
   ...);
}

/// The block function of one pass.
WARREN_AVX2_INLINE void run(const Work& work, Words& x) {
  load_words(x, work, std::make_index_sequence<16>());
  for (int i = 0; i < 10; ++i) {
    quarter_rounds(x[0], x[4], x[8], x[12], x[1], x[5], x[9], x[13]);
    quarter_rounds(x[2], x[6], x[10], x[14], x[3], x[7], x[11], x[15]);
    quarter_rounds(x[0], x[5], x[10], x[15], x[1], x[6], x[11], x[12]);
    quarter_rounds(x[2], x[7], x[8], x[13], x[3], x[4], x[9], x[14]);
  }
  add_words(x, work, std::make_index_sequence<16>());
}

WARREN_AVX2_INLINE void store(std::uint8_t* at, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(at), value);
}
WARREN_AVX2_INLINE __m256i load(const std::uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

WARREN_AVX2_INLINE void transpose_words(__m256i& a, __m256i& b, __m256i& c, __m256i& d) {
  const __m256i ab_low = _mm256_unpacklo_epi32(a, b);
  const __m256i ab_high = _mm256_unpackhi_epi32(a, b);
  const __m256i cd_low = _mm256_unpacklo_epi32(c, d);
  const __m256i cd_high = _mm256_unpackhi_epi32(c, d);
  a = _mm256_unpacklo_epi64(ab_low, cd_low);
  b = _mm256_unpackhi_epi64(ab_low, cd_low);
  c = _mm256_unpacklo_epi64(ab_high, cd_high);
  d = _mm256_unpackhi_epi64(ab_high, cd_high);
}

/// Eight words of blocks J and J + 4: x has four words of both, y the next four.
template <std::size_t J>
WARREN_AVX2_INLINE void write_two(const __m256i& x, const __m256i& y, std::size_t at, Work& work) {
  store(work.stream[J] + at, _mm256_permute2x128_si256(x, y, 0x20));
  store(work.stream[J + 4] + at, _mm256_permute2x128_si256(x, y, 0x31));
}

/// From one word of every block per register to one block per row.
WARREN_AVX2_INLINE void write_blocks(Words& x, Work& work) {
  transpose_words(x[0], x[1], x[2], x[3]);
  transpose_words(x[4], x[5], x[6], x[7]);
  write_two<0>(x[0], x[4], 0, work);
  write_two<1>(x[1], x[5], 0, work);
  write_two<2>(x[2], x[6], 0, work);
  write_two<3>(x[3], x[7], 0, work);
  transpose_words(x[8], x[9], x[10], x[11]);
  transpose_words(x[12], x[13], x[14], x[15]);
  write_two<0>(x[8], x[12], 32, work);
  write_two<1>(x[9], x[13], 32, work);
  write_two<2>(x[10], x[14], 32, work);
  write_two<3>(x[11], x[15], 32, work);
}

void set_constants(Work& work) {
  static constexpr std::array<std::uint32_t, 4> kSigma = {0x61707865, 0x3320646e, 0x79622d32,
                                                          0x6b206574};
  work = {};
  for (std::size_t i = 0; i < kSigma.size(); ++i) {
    for (std::uint32_t& lane : work.input[i]) lane = kSigma[i];
  }
}

void set_key(Work& work, std::size_t first, std::size_t count, const AeadJob& job) {
  std::array<std::uint32_t, 8> words;
  std::memcpy(words.data(), job.key->key().data(), sizeof words);
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t lane = 0; lane < count; ++lane) work.input[4 + i][first + lane] = words[i];
  }
}

void set_blocks(Work& work, std::size_t first, std::size_t count, const AeadJob& job,
                std::uint32_t block) {
  const auto nonce = std::bit_cast<std::array<std::uint32_t, 2>>(job.counter);
  for (std::size_t lane = first; lane < first + count; ++lane) {
    work.input[12][lane] = block++;
    work.input[14][lane] = nonce[0];
    work.input[15][lane] = nonce[1];
  }
}

/// Fills the lanes of a pass from the line.
void fill(BlockLine& line, bool common_key, Work& work, Cover& cover) {
  cover.runs = 0;
  for (std::size_t lane = 0; lane < kWidth && !line.done();) {
    const BlockLine::Run run = line.take(kWidth - lane);
    set_blocks(work, lane, run.blocks, *run.job, run.first);
    if (!common_key) set_key(work, lane, run.blocks, *run.job);
    cover.text[cover.runs++] = run.text;
    lane += run.blocks;
  }
}

WARREN_AVX2_INLINE void apply_block(std::uint8_t* text, const std::uint8_t* key) {
  store(text, _mm256_xor_si256(load(text), load(key)));
  store(text + 32, _mm256_xor_si256(load(text + 32), load(key + 32)));
}

WARREN_AVX2_INLINE void apply(const Cover& cover, Work& work) {
  const std::uint8_t* key = work.stream[0];
  for (std::size_t run = 0; run < cover.runs; ++run) {
    std::uint8_t* text = cover.text[run].data();
    std::size_t size = cover.text[run].size();
    for (; size >= kChachaBlock; size -= kChachaBlock) {
      apply_block(text, key);
      text += kChachaBlock;
      key += kChachaBlock;
    }
    if (size == 0) continue;
    std::memcpy(work.edge, text, size);
    apply_block(work.edge, key);
    std::memcpy(text, work.edge, size);
    key += kChachaBlock;
  }
}

void forget(Work& work) { wipe({reinterpret_cast<std::uint8_t*>(&work), sizeof work}); }

/// Words a and b of every block as 64-bit numbers.
WARREN_AVX2_INLINE void write_pairs(__m256i a, __m256i b, std::uint64_t* out) {
  const __m256i low = _mm256_unpacklo_epi32(a, b);   // of blocks 0 1 4 5
  const __m256i high = _mm256_unpackhi_epi32(a, b);  // of blocks 2 3 6 7
  _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_store_si256(reinterpret_cast<__m256i*>(out + 4),
                     _mm256_permute2x128_si256(low, high, 0x31));
}

}  // namespace

WARREN_AVX2 void avx2_poly_keys(Group group, PolyKeys& keys) {
  Work work;
  set_constants(work);
  for (std::size_t first = 0; first < group.size(); first += kWidth) {
    for (std::size_t lane = 0; lane < kWidth && first + lane < group.size(); ++lane) {
      const AeadJob& job = *group[first + lane];
      set_key(work, lane, 1, job);
      set_blocks(work, lane, 1, job, 0);
    }
    Words x;
    run(work, x);
    write_pairs(x[0], x[1], keys.r_low + first);
    write_pairs(x[2], x[3], keys.r_high + first);
    write_pairs(x[4], x[5], keys.s_low + first);
    write_pairs(x[6], x[7], keys.s_high + first);
  }
  forget(work);
}

WARREN_AVX2 void avx2_crypt(Group group) {
  Work work;
  set_constants(work);
  const bool common_key = one_key(group);
  if (common_key) set_key(work, 0, kWidth, *group[0]);
  Cover cover;
  BlockLine line(group);
  while (!line.done()) {
    fill(line, common_key, work, cover);
    Words x;
    run(work, x);
    write_blocks(x, work);
    apply(cover, work);
  }
  forget(work);
}

}  // namespace warren::crypto
