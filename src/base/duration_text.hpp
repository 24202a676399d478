// Time spans as people write them: "90s", "15m", "24h", "7d".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::base {

/// Seconds: at least one, at most ten years; nullopt for anything else.
[[nodiscard]] std::optional<std::uint32_t> parse_duration_s(std::string_view text);
/// In the largest unit that divides it.
[[nodiscard]] std::string duration_text(std::uint32_t seconds);

}  // namespace warren::base
