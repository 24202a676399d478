// The compression of one block, ten rounds unrolled at compile time so that the order of the
// message words costs nothing. Plain 32-bit arithmetic: one block has too little work side by side
// for vectors, whose shuffles make its chain of dependent steps longer. Words are read where the
// block lies, so that no copy of a key's block is left on the stack.
#include "crypto/blake2s.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "crypto/secret.hpp"

namespace warren::crypto {

namespace {

constexpr std::array<std::uint32_t, 8> kStart = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
constexpr std::size_t kRounds = 10;
// RFC 7693 section 2.7.
constexpr std::uint8_t kOrder[kRounds][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

using Words = std::array<std::uint32_t, 16>;

[[gnu::always_inline]] inline std::uint32_t word(const std::uint8_t* block, std::size_t index) {
  std::uint32_t value;
  std::memcpy(&value, block + index * sizeof value, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

template <std::size_t A, std::size_t B, std::size_t C, std::size_t D>
[[gnu::always_inline]] inline void mix(Words& v, std::uint32_t x, std::uint32_t y) {
  v[A] += v[B] + x;
  v[D] = std::rotr(v[D] ^ v[A], 16);
  v[C] += v[D];
  v[B] = std::rotr(v[B] ^ v[C], 12);
  v[A] += v[B] + y;
  v[D] = std::rotr(v[D] ^ v[A], 8);
  v[C] += v[D];
  v[B] = std::rotr(v[B] ^ v[C], 7);
}

template <std::size_t Round>
[[gnu::always_inline]] inline void round(Words& v, const std::uint8_t* block) {
  constexpr auto& kAt = kOrder[Round];
  mix<0, 4, 8, 12>(v, word(block, kAt[0]), word(block, kAt[1]));
  mix<1, 5, 9, 13>(v, word(block, kAt[2]), word(block, kAt[3]));
  mix<2, 6, 10, 14>(v, word(block, kAt[4]), word(block, kAt[5]));
  mix<3, 7, 11, 15>(v, word(block, kAt[6]), word(block, kAt[7]));
  mix<0, 5, 10, 15>(v, word(block, kAt[8]), word(block, kAt[9]));
  mix<1, 6, 11, 12>(v, word(block, kAt[10]), word(block, kAt[11]));
  mix<2, 7, 8, 13>(v, word(block, kAt[12]), word(block, kAt[13]));
  mix<3, 4, 9, 14>(v, word(block, kAt[14]), word(block, kAt[15]));
}

/// F of RFC 7693 section 3.2: `hashed` counts this block's bytes too; `last` is all ones or zero.
void compress(std::array<std::uint32_t, 8>& state, const std::uint8_t* block, std::uint64_t hashed,
              std::uint32_t last) {
  Words v;
  for (std::size_t i = 0; i < 8; ++i) {
    v[i] = state[i];
    v[8 + i] = kStart[i];
  }
  v[12] ^= static_cast<std::uint32_t>(hashed);
  v[13] ^= static_cast<std::uint32_t>(hashed >> 32);
  v[14] ^= last;
  [&]<std::size_t... Round>(std::index_sequence<Round...>) {
    (round<Round>(v, block), ...);
  }(std::make_index_sequence<kRounds>{});
  for (std::size_t i = 0; i < 8; ++i) state[i] ^= v[i] ^ v[8 + i];
}

}  // namespace

Blake2s::Blake2s(std::size_t digest_size, base::Bytes key) : state_(kStart) {
  WARREN_ASSERT(digest_size >= 1 && digest_size <= 32 && key.size() <= 32);
  state_[0] ^= 0x01010000U ^ static_cast<std::uint32_t>(key.size() << 8U | digest_size);
  if (key.empty()) return;
  std::memcpy(block_.data(), key.data(), key.size());
  std::memset(block_.data() + key.size(), 0, block_.size() - key.size());
  filled_ = block_.size();
}

Blake2s::~Blake2s() {
  wipe({reinterpret_cast<std::uint8_t*>(state_.data()), sizeof state_});
  wipe(block_);
}

void Blake2s::compress_block(std::uint32_t last) {
  hashed_ += filled_;
  compress(state_, block_.data(), hashed_, last);
  filled_ = 0;
}

void Blake2s::expect_more() {
  if (filled_ == block_.size()) compress_block(0);
}

void Blake2s::update(base::Bytes bytes) {
  while (!bytes.empty()) {
    expect_more();
    const std::size_t taken = std::min(bytes.size(), block_.size() - filled_);
    std::memcpy(block_.data() + filled_, bytes.data(), taken);
    filled_ += taken;
    bytes = bytes.subspan(taken);
  }
}

void Blake2s::finish(base::MutableBytes out) {
  std::memset(block_.data() + filled_, 0, block_.size() - filled_);
  compress_block(0xffffffffU);
  if constexpr (std::endian::native == std::endian::big) {
    for (std::uint32_t& value : state_) value = std::byteswap(value);
  }
  WARREN_ASSERT(out.size() <= sizeof state_);
  std::memcpy(out.data(), state_.data(), out.size());
}

}  // namespace warren::crypto
