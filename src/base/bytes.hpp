// Byte spans, and a reader and a writer that never go past the end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::base {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

/// Consumes integers and bytes from the front of a span. A read past the end makes the reader
/// fail for good: `ok()` is false and every further read gives zeros. Check `ok()` once, at the
/// end.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : rest_(bytes) {}

  [[nodiscard]] std::uint8_t u8() { return static_cast<std::uint8_t>(be(1)); }
  [[nodiscard]] std::uint16_t u16_be() { return static_cast<std::uint16_t>(be(2)); }
  [[nodiscard]] std::uint32_t u32_be() { return static_cast<std::uint32_t>(be(4)); }
  [[nodiscard]] std::uint64_t u64_be() { return be(8); }
  [[nodiscard]] std::uint16_t u16_le() { return static_cast<std::uint16_t>(le(2)); }
  [[nodiscard]] std::uint32_t u32_le() { return static_cast<std::uint32_t>(le(4)); }
  [[nodiscard]] std::uint64_t u64_le() { return le(8); }
  /// The next `count` bytes (empty after a failure).
  [[nodiscard]] Bytes take(std::size_t count);
  /// Copies the next N bytes.
  template <std::size_t N>
  [[nodiscard]] std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> out{};
    const Bytes from = take(N);
    if (from.size() == N) std::memcpy(out.data(), from.data(), N);
    return out;
  }
  [[nodiscard]] Bytes rest() const { return rest_; }
  [[nodiscard]] bool ok() const { return ok_; }
  /// True when everything was read and nothing failed.
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t be(std::size_t count);
  std::uint64_t le(std::size_t count);

  Bytes rest_;
  bool ok_ = true;
};

/// Appends integers and bytes to a caller-owned span; writing past the end makes it fail for good.
class ByteWriter {
 public:
  explicit ByteWriter(MutableBytes out) : out_(out) {}

  ByteWriter& u8(std::uint8_t value) { return be(value, 1); }
  ByteWriter& u16_be(std::uint16_t value) { return be(value, 2); }
  ByteWriter& u32_be(std::uint32_t value) { return be(value, 4); }
  ByteWriter& u64_be(std::uint64_t value) { return be(value, 8); }
  ByteWriter& u16_le(std::uint16_t value) { return le(value, 2); }
  ByteWriter& u32_le(std::uint32_t value) { return le(value, 4); }
  ByteWriter& u64_le(std::uint64_t value) { return le(value, 8); }
  ByteWriter& bytes(Bytes from);
  ByteWriter& zeros(std::size_t count);
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t written() const { return used_; }

 private:
  MutableBytes reserve(std::size_t count);
  ByteWriter& be(std::uint64_t value, std::size_t count);
  ByteWriter& le(std::uint64_t value, std::size_t count);

  MutableBytes out_;
  std::size_t used_ = 0;
  bool ok_ = true;
};

[[nodiscard]] inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Lower-case hexadecimal.
[[nodiscard]] std::string to_hex(Bytes bytes);
/// Fills `out` from exactly 2*out.size() hexadecimal digits of either case; false leaves `out`
/// unspecified.
[[nodiscard]] bool parse_hex(std::string_view text, MutableBytes out);
/// RFC 4648 base64 with padding.
[[nodiscard]] std::string to_base64(Bytes bytes);
/// RFC 4648 section 4, strict: padding required, no whitespace, unused bits zero.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> parse_base64(std::string_view text);
/// RFC 4648 section 5 (URL-safe alphabet) without padding.
[[nodiscard]] std::string to_base64url(Bytes bytes);
[[nodiscard]] std::optional<std::vector<std::uint8_t>> parse_base64url(std::string_view text);

/// A whole decimal number within [minimum, maximum]; no sign, no blanks, nothing after it.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text,
                                                        std::uint64_t minimum,
                                                        std::uint64_t maximum);

}  // namespace warren::base
