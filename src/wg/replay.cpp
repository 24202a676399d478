#include "wg/replay.hpp"

#include <algorithm>

namespace warren::wg {

bool ReplayWindow::would_accept(std::uint64_t counter) const {
  if (counter > newest_) return true;
  if (newest_ - counter >= kReplayWindow) return false;
  const std::uint64_t word = seen_[counter / kWordBits % kWords];
  return (word >> (counter % kWordBits) & 1) == 0;
}

bool ReplayWindow::accept(std::uint64_t counter) {
  if (!would_accept(counter)) return false;
  if (counter > newest_) {
    const std::uint64_t from = newest_ / kWordBits;
    const std::uint64_t steps = std::min(counter / kWordBits - from, kWords);
    for (std::uint64_t i = 1; i <= steps; ++i) seen_[(from + i) % kWords] = 0;
    newest_ = counter;
  }
  seen_[counter / kWordBits % kWords] |= std::uint64_t{1} << (counter % kWordBits);
  return true;
}

}  // namespace warren::wg
