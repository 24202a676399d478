// Patience: when to ask a busy gateway again. Pure: time and randomness come in.
#pragma once

#include <optional>

#include "base/random.hpp"
#include "base/time.hpp"

namespace warren::client {

class Patience {
 public:
  explicit Patience(base::Instant began) : began_(began) {}

  /// How long to wait before the next attempt: longer each time, never the same for two who began
  /// together, and not less than the gateway asked for. nullopt: it was tried for kBusyFor.
  [[nodiscard]] std::optional<base::Duration> next(base::Duration at_least, base::Instant now,
                                                   base::RandomSource& random);

 private:
  base::Instant began_;
  unsigned attempts_ = 0;
};

}  // namespace warren::client
