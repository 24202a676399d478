// Key material that wipes itself: not copyable, not printable, compared in constant time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/bytes.hpp"

namespace warren::crypto {

/// Overwrites memory in a way the compiler keeps.
void wipe(base::MutableBytes memory);
/// Compares without a data-dependent branch; false at once when the lengths differ.
[[nodiscard]] bool equal_constant_time(base::Bytes a, base::Bytes b);

/// N secret bytes. Moving leaves zeros behind; `clone()` is the only, visible, way to copy.
template <std::size_t N>
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const std::uint8_t, N> bytes) {
    std::memcpy(bytes_.data(), bytes.data(), N);
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept { take(other); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~Secret() { clear(); }

  [[nodiscard]] Secret clone() const { return Secret(std::span<const std::uint8_t, N>(bytes_)); }
  [[nodiscard]] std::span<const std::uint8_t, N> view() const { return bytes_; }
  [[nodiscard]] std::span<std::uint8_t, N> fill() { return bytes_; }
  void clear() { wipe(bytes_); }
  [[nodiscard]] bool is_zero() const {
    std::uint8_t any = 0;
    for (const std::uint8_t byte : bytes_) any = static_cast<std::uint8_t>(any | byte);
    return any == 0;
  }
  [[nodiscard]] bool equals(const Secret& other) const {
    return equal_constant_time(bytes_, other.bytes_);
  }

 private:
  void take(Secret& other) {
    bytes_ = other.bytes_;
    other.clear();
  }

  std::array<std::uint8_t, N> bytes_{};
};

using PrivateKey = Secret<32>;    ///< X25519 scalar, clamped
using PresharedKey = Secret<32>;  ///< all zero means none, as in WireGuard
using SharedSecret = Secret<32>;
using AeadKey = Secret<32>;

}  // namespace warren::crypto
