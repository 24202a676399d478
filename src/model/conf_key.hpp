// Key bytes in conf files: held in a type that wipes itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace warren::model {

/// Overwrites a text that held keys, in a way the compiler keeps.
void wipe_text(std::string& text);

/// 32 secret bytes of a conf file. Moving leaves zeros behind, dying wipes; `clone()` is the only
/// way to copy.
class ConfKey {
 public:
  static constexpr std::size_t kSize = 32;
  ConfKey() = default;
  explicit ConfKey(std::span<const std::uint8_t, kSize> bytes);
  ConfKey(const ConfKey&) = delete;
  ConfKey& operator=(const ConfKey&) = delete;
  ConfKey(ConfKey&& other) noexcept { take(other); }
  ConfKey& operator=(ConfKey&& other) noexcept {
    if (this != &other) take(other);
    return *this;
  }
  ~ConfKey() { wipe(); }

  [[nodiscard]] ConfKey clone() const { return ConfKey(view()); }
  [[nodiscard]] std::span<const std::uint8_t, kSize> view() const { return bytes_; }
  /// 44 characters of base64 that decode to 32 bytes.
  [[nodiscard]] static std::optional<ConfKey> parse_base64(std::string_view text);

 private:
  void take(ConfKey& other);
  void wipe();
  std::array<std::uint8_t, kSize> bytes_{};
};

}  // namespace warren::model
