#include "wg/tai64n.hpp"

#include <algorithm>

namespace warren::wg {

namespace {

constexpr std::uint64_t kBase = 0x400000000000000a;  // 1970-01-01 in TAI seconds since 2^62
constexpr std::uint32_t kSecond_ns = 1'000'000'000;

Timestamp encode(std::uint64_t seconds, std::uint32_t nanoseconds) {
  Timestamp out{};
  base::ByteWriter(out).u64_be(seconds).u32_be(nanoseconds);
  return out;
}

}  // namespace

Timestamp timestamp_of(base::WallTime wall) {
  // A clock before 1970 counts as 1970: peers then see the step after the last one.
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(wall.ns, 0));
  const auto part = static_cast<std::uint32_t>(ns % kSecond_ns);
  return encode(kBase + ns / kSecond_ns, part & ~(kTimestampStep_ns - 1));
}

Timestamp next_timestamp(base::WallTime wall, const Timestamp& last) {
  base::ByteReader reader(last);
  std::uint64_t seconds = reader.u64_be();
  std::uint64_t nanoseconds = std::uint64_t{reader.u32_be()} + kTimestampStep_ns;
  if (nanoseconds >= kSecond_ns) {
    ++seconds;
    nanoseconds = 0;
  }
  const auto whole = static_cast<std::uint32_t>(nanoseconds) & ~(kTimestampStep_ns - 1);
  return std::max(timestamp_of(wall), encode(seconds, whole));
}

}  // namespace warren::wg
