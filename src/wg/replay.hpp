// The receive window of a session: accepts every counter once, in any order within the window.
// Source: RFC 6479 (the bitmap is a ring of words, so that sliding clears words and shifts
// nothing).
#pragma once

#include <array>
#include <cstdint>

#include "wg/limits.hpp"

namespace warren::wg {

class ReplayWindow {
 public:
  /// Whether `counter` could still be accepted. For refusing cheaply before decrypting.
  [[nodiscard]] bool would_accept(std::uint64_t counter) const;
  /// Marks `counter` as seen. False if it was seen or is behind the window. Call only for
  /// authenticated messages.
  [[nodiscard]] bool accept(std::uint64_t counter);

 private:
  static constexpr std::uint64_t kWordBits = 64;
  // One word more than the window, because the newest word is filled only in part.
  static constexpr std::uint64_t kWords = kReplayWindow / kWordBits + 1;

  std::uint64_t newest_ = 0;
  std::array<std::uint64_t, kWords> seen_{};
};

}  // namespace warren::wg
