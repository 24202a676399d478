#include "control/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/edit_distance.hpp"

namespace warren::control {

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestName = 64;  // no valid name is longer; the cost is its square
  if (name.size() > kLongestName) return {};
  std::size_t fewest = std::max<std::size_t>(2, name.size() / 3) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = base::edit_distance(name, candidate);
    if (distance >= fewest || distance >= candidate.size()) continue;
    fewest = distance;
    nearest = candidate;
  }
  return nearest;
}

base::Error unknown_name(std::string message, std::string_view name,
                         const std::vector<std::string>& candidates, std::string otherwise) {
  const std::string nearest = nearest_name(name, candidates);
  return base::make_error(base::ErrorKind::NotFound, std::move(message),
                          nearest.empty() ? std::move(otherwise) : "did you mean " + nearest + "?");
}

std::string one_line(std::string_view text, std::size_t limit) {
  std::string out(text.substr(0, limit));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

std::string host_port(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::string rough_duration(std::int64_t seconds) {
  const auto size = static_cast<std::uint64_t>(seconds < 0 ? -(seconds + 1) : seconds);
  constexpr std::uint64_t kHour = 3600;
  constexpr std::uint64_t kDay = 24 * kHour;
  if (size >= 2 * kDay) return fmt::format("{} days", size / kDay);
  if (size >= 2 * kHour) return fmt::format("{} h", size / kHour);
  if (size >= 120) return fmt::format("{} min", size / 60);
  return fmt::format("{} s", size);
}

std::string utc_text(std::int64_t seconds) {
  // Beyond these years the calendar below would overflow; such a clock is wrong anyway.
  constexpr std::int64_t kFarthest = 400'000'000'000;
  if (seconds < -kFarthest || seconds > kFarthest) return fmt::format("{} s since 1970", seconds);
  const std::chrono::sys_seconds at{std::chrono::seconds(seconds)};
  const auto midnight = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{midnight};
  const std::chrono::hh_mm_ss time{at - midnight};
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::string with_remedy(const base::Error& error) {
  if (error.hint.empty()) return error.message;
  return error.message + " (" + error.hint + ")";
}

}  // namespace warren::control
