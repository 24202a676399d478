// Levenshtein's distance, for "did you mean".
#pragma once

#include <cstddef>
#include <string_view>

namespace warren::base {

/// The fewest insertions, deletions and replacements of bytes that make `b` of `a`. Costs the
/// product of the lengths: bound what a stranger may send before calling it.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace warren::base
