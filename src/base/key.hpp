// A WireGuard public key: 32 bytes, shown as base64 (people, conf files) or hex (userspace API).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

namespace warren::base {

struct PublicKey {
  static constexpr std::size_t kSize = 32;
  std::array<std::uint8_t, kSize> bytes{};

  auto operator<=>(const PublicKey&) const = default;
  [[nodiscard]] std::string base64() const { return to_base64(bytes); }
  [[nodiscard]] std::string hex() const { return to_hex(bytes); }
  [[nodiscard]] bool is_zero() const { return *this == PublicKey{}; }

  /// 44 characters of base64 that decode to 32 bytes.
  [[nodiscard]] static std::optional<PublicKey> parse_base64(std::string_view text);
  /// 64 hexadecimal digits.
  [[nodiscard]] static std::optional<PublicKey> parse_hex(std::string_view text);
};

}  // namespace warren::base

template <>
struct std::hash<warren::base::PublicKey> {
  std::size_t operator()(const warren::base::PublicKey& key) const noexcept;
};
