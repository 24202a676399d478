// Patience: when to ask a busy gateway again. Time and randomness come in.
#pragma once

#include <optional>

#include "base/random.hpp"
#include "base/time.hpp"

namespace warren::client {

class Patience {
 public:
  Patience(base::Instant began, base::Duration longest) : began_(began), longest_(longest) {}

  /// How long to wait before the next attempt: longer each time, never the same for two who began
  /// together, and not less than the gateway asked for. nullopt: it was tried for `longest`.
  [[nodiscard]] std::optional<base::Duration> next(base::Duration at_least, base::Instant now,
                                                   base::RandomSource& random);

 private:
  base::Instant began_;
  base::Duration longest_;
  unsigned attempts_ = 0;
};

/// Does nothing for that long.
void rest(base::Duration time);

}  // namespace warren::client
