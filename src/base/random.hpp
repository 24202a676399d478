// The one door through which randomness enters pure code.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"

namespace warren::base {

/// Fills spans with random bytes. `os::SystemRandom` is the kernel's; the simulation brings a
/// seeded one.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(MutableBytes out) = 0;

  [[nodiscard]] std::uint32_t u32() { return integer<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() { return integer<std::uint64_t>(); }

 private:
  template <typename T>
  T integer() {
    std::uint8_t raw[sizeof(T)];
    fill(raw);
    T value;
    std::memcpy(&value, raw, sizeof value);
    return value;
  }
};

}  // namespace warren::base
