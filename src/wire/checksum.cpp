// Theory of operation: the bytes are taken as vectors of 64-bit lanes; the low and the high half of
// each lane go to accumulators of their own, which cannot overflow below 2^32 vectors. One body
// serves every width; it is compiled once per instruction set, and the widest that the processor
// has is chosen at start. What remains behind the last whole vector is summed by eight, four and
// fewer bytes. The copying twin stores each vector that it has loaded anyway: one pass over memory.
//
// The choice is a plain value rather than an ifunc: resolvers of ifuncs run before the sanitizers
// are ready. Before it is made it reads Plain, which works everywhere.
#include "wire/checksum.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace warren::wire {

namespace {

#define WARREN_INLINE [[gnu::always_inline]] inline

enum class Copy : std::uint8_t { No, Yes };

/// Takes the next sizeof(T) bytes as one value. (Vectors are never passed or returned by value:
/// how that is done depends on the instruction set.)
template <Copy kCopy, typename T>
WARREN_INLINE void take(T& value, const std::uint8_t*& from, std::uint8_t*& to, std::size_t& size) {
  std::memcpy(&value, from, sizeof value);
  if constexpr (kCopy == Copy::Yes) {
    std::memcpy(to, &value, sizeof value);
    to += sizeof value;
  }
  from += sizeof value;
  size -= sizeof value;
}
template <typename T, Copy kCopy>
WARREN_INLINE T next(const std::uint8_t*& from, std::uint8_t*& to, std::size_t& size) {
  T value;
  take<kCopy>(value, from, to, size);
  return value;
}

template <Copy kCopy>
WARREN_INLINE Sum sum_tail(const std::uint8_t* from, std::uint8_t* to, std::size_t size) {
  Sum sum = 0;
  while (size >= sizeof(std::uint64_t)) {
    const auto value = next<std::uint64_t, kCopy>(from, to, size);
    sum += (value & 0xffffffff) + (value >> 32);
  }
  if (size >= sizeof(std::uint32_t)) sum += next<std::uint32_t, kCopy>(from, to, size);
  if (size >= sizeof(std::uint16_t)) sum += next<std::uint16_t, kCopy>(from, to, size);
  if (size == 0) return sum;
  const auto last = next<std::uint8_t, kCopy>(from, to, size);
  return sum + (std::endian::native == std::endian::big ? Sum{last} << 8 : Sum{last});
}

template <std::size_t kBytes>
struct Lanes {
  using Vector [[gnu::vector_size(kBytes)]] = std::uint64_t;
};

/// The sums of the halves of 64-bit lanes.
template <std::size_t kBytes>
struct Accumulator {
  using Vector = typename Lanes<kBytes>::Vector;

  WARREN_INLINE void add(const Vector& value) {
    low += value & 0xffffffff;
    high += value >> 32;
  }
  WARREN_INLINE Sum sum() {
    low += high;
    Sum all = 0;
    for (std::size_t i = 0; i < kBytes / sizeof(std::uint64_t); ++i) all += low[i];
    return all;
  }

  Vector low{};
  Vector high{};
};

/// All whole vectors.
template <std::size_t kBytes, Copy kCopy>
WARREN_INLINE void add_whole(Accumulator<kBytes>& accumulator, const std::uint8_t*& from,
                             std::uint8_t*& to, std::size_t& size) {
  while (size >= kBytes) {
    typename Lanes<kBytes>::Vector value;
    take<kCopy>(value, from, to, size);
    accumulator.add(value);
  }
}

template <std::size_t kBytes, Copy kCopy>
WARREN_INLINE Sum sum_all(const std::uint8_t* from, std::uint8_t* to, std::size_t size) {
  Accumulator<kBytes> accumulator;
  add_whole<kBytes, kCopy>(accumulator, from, to, size);
  return accumulator.sum() + sum_tail<kCopy>(from, to, size);
}

#if defined(__x86_64__)
/// What remains is one vector too, the bytes that are not there masked out.
template <Copy kCopy>
[[gnu::target("avx512f,avx512bw")]] Sum sum_avx512(const std::uint8_t* from, std::uint8_t* to,
                                                   std::size_t size) {
  Accumulator<64> accumulator;
  add_whole<64, kCopy>(accumulator, from, to, size);
  const __mmask64 mask = (std::uint64_t{1} << size) - 1;
  const __m512i last = _mm512_maskz_loadu_epi8(mask, from);
  if constexpr (kCopy == Copy::Yes) _mm512_mask_storeu_epi8(to, mask, last);
  Lanes<64>::Vector lanes;
  std::memcpy(&lanes, &last, sizeof lanes);
  accumulator.add(lanes);
  return accumulator.sum();
}
template <Copy kCopy>
[[gnu::target("avx2")]] Sum sum_avx2(const std::uint8_t* from, std::uint8_t* to, std::size_t size) {
  return sum_all<32, kCopy>(from, to, size);
}

VectorWidth detect() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    return VectorWidth::Avx512;
  }
  return __builtin_cpu_supports("avx2") ? VectorWidth::Avx2 : VectorWidth::Plain;
}
const VectorWidth widest = detect();
#else
constexpr VectorWidth widest = VectorWidth::Plain;
#endif

constexpr std::size_t kWorthVectors = 64;

template <Copy kCopy>
WARREN_INLINE Sum dispatch(base::Bytes from, std::uint8_t* to, VectorWidth width) {
  if (from.size() < kWorthVectors) return sum_tail<kCopy>(from.data(), to, from.size());
#if defined(__x86_64__)
  if (width == VectorWidth::Avx512) return sum_avx512<kCopy>(from.data(), to, from.size());
  if (width == VectorWidth::Avx2) return sum_avx2<kCopy>(from.data(), to, from.size());
#else
  static_cast<void>(width);
#endif
  return sum_all<16, kCopy>(from.data(), to, from.size());
}

}  // namespace

bool available(VectorWidth width) { return width <= widest; }

Sum sum_bytes(base::Bytes bytes) { return dispatch<Copy::No>(bytes, nullptr, widest); }
Sum sum_bytes(base::Bytes bytes, VectorWidth width) {
  return dispatch<Copy::No>(bytes, nullptr, width);
}

Sum copy_and_sum(base::Bytes from, std::uint8_t* to) {
  return dispatch<Copy::Yes>(from, to, widest);
}
Sum copy_and_sum(base::Bytes from, std::uint8_t* to, VectorWidth width) {
  return dispatch<Copy::Yes>(from, to, width);
}

}  // namespace warren::wire
