// SeededRandom: reproducible random bytes (xoshiro256**, Blackman and Vigna 2018). Never for keys
// outside of a simulation.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.hpp"

namespace warren::sim {

class SeededRandom final : public base::RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed);
  void fill(base::MutableBytes out) override;

  std::uint64_t next();
  /// Evenly in [0, bound).
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  /// True with this probability in percent.
  bool percent(unsigned chance) { return below(100) < chance; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace warren::sim
