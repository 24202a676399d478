#include "base/duration_text.hpp"

#include <array>
#include <utility>

#include "base/bytes.hpp"

namespace warren::base {

namespace {

constexpr std::array<std::pair<char, std::uint32_t>, 4> kUnits{
    {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}}};

constexpr std::uint32_t kMaxDuration_s = 10U * 366 * 86'400;  // ten years

}  // namespace

std::optional<std::uint32_t> parse_duration_s(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  for (const auto& [letter, unit] : kUnits) {
    if (text.back() != letter) continue;
    const auto count = parse_number(text.substr(0, text.size() - 1), 1, kMaxDuration_s / unit);
    if (!count) return std::nullopt;
    return static_cast<std::uint32_t>(*count) * unit;
  }
  return std::nullopt;
}

std::string duration_text(std::uint32_t seconds) {
  for (const auto& [letter, unit] : kUnits) {
    if (seconds % unit == 0 && seconds != 0) return std::to_string(seconds / unit) + letter;
  }
  return "0s";
}

}  // namespace warren::base
