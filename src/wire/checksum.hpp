// The internet checksum (RFC 1071): sums of 16-bit words in ones' complement arithmetic, kept wide
// and folded once at the end.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"

namespace warren::wire {

/// A sum of 16-bit words as they lie in memory, in the machine's byte order: the arithmetic does
/// not mind, and nothing is swapped on the way. Sums over pieces may be added as long as every
/// piece but the last has an even number of bytes; 2^16 of them fit.
using Sum = std::uint64_t;

/// Every size and alignment; an odd last byte counts as the first of a word.  HOT PATH
[[nodiscard]] Sum sum_bytes(base::Bytes bytes);
/// The same, copying in one pass. `to` has room for all of `from` and does not overlap it.  HOT
/// PATH
[[nodiscard]] Sum copy_and_sum(base::Bytes from, std::uint8_t* to);

/// The instruction sets that the sums exist for: the widest available is used above; tests and
/// benchmarks choose.
enum class VectorWidth : std::uint8_t { Plain, Avx2, Avx512 };
[[nodiscard]] bool available(VectorWidth width);
[[nodiscard]] Sum sum_bytes(base::Bytes bytes, VectorWidth width);
[[nodiscard]] Sum copy_and_sum(base::Bytes from, std::uint8_t* to, VectorWidth width);

/// One word of a header by its value.
[[nodiscard]] constexpr Sum word(std::uint16_t value) {
  if constexpr (std::endian::native == std::endian::big) return value;
  return static_cast<std::uint16_t>(value << 8 | value >> 8);
}
/// Two words.
[[nodiscard]] constexpr Sum words(std::uint32_t value) {
  return word(static_cast<std::uint16_t>(value >> 16)) + word(static_cast<std::uint16_t>(value));
}

/// The 16 bits of a sum, as they lie in memory. 0 only for a sum of nothing but zeros.
[[nodiscard]] constexpr std::uint16_t fold(Sum sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

/// What a difference of two sums adds: minus, in this arithmetic.
[[nodiscard]] constexpr Sum negated(Sum sum) { return static_cast<std::uint16_t>(~fold(sum)); }

/// Addresses and protocol of the pseudo-header (RFC 793, RFC 768, RFC 8200 section 8.1); the length
/// is the caller's to add with word(). `addresses` is source and destination as they lie together
/// in the header: 8 or 32 bytes.
[[nodiscard]] inline Sum pseudo_header_sum(base::Bytes addresses, std::uint8_t protocol) {
  return sum_bytes(addresses) + word(protocol);
}

/// The checksum after one word of the data changed (RFC 1624, equation 3); all three by value.
[[nodiscard]] constexpr std::uint16_t updated_checksum(std::uint16_t checksum, std::uint16_t before,
                                                       std::uint16_t after) {
  const Sum sum =
      Sum{static_cast<std::uint16_t>(~checksum)} + static_cast<std::uint16_t>(~before) + after;
  return static_cast<std::uint16_t>(~fold(sum));
}

/// Puts a folded sum, or its complement, where it lies in a header (two bytes).
inline void store_sum(std::uint16_t folded, std::uint8_t* field) {
  std::memcpy(field, &folded, sizeof folded);
}
inline void store_checksum(Sum sum, std::uint8_t* field) {
  store_sum(static_cast<std::uint16_t>(~fold(sum)), field);
}
/// 0 goes out as 0xffff, which means the same and cannot be taken for "no checksum" (RFC 768).
inline void store_checksum_nonzero(Sum sum, std::uint8_t* field) {
  const auto checksum = static_cast<std::uint16_t>(~fold(sum));
  store_sum(checksum != 0 ? checksum : std::uint16_t{0xffff}, field);
}

}  // namespace warren::wire
