#include "apps/warren/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include <fmt/format.h>

#include <unistd.h>

#include "base/bytes.hpp"
#include "base/edit_distance.hpp"

namespace warren::app {
namespace {

std::string line_of(const std::vector<std::string>& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const bool last = i + 1 == row.size();
    const bool plain = std::ranges::all_of(row[i], [](char c) { return c >= ' ' && c < 0x7f; });
    if (last || plain) {
      line += row[i];
      if (!last) line.append(widths[i] - row[i].size() + 2, ' ');
    } else {
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
  }
  return line;
}

}  // namespace

void Table::add(std::vector<std::string> row) {
  for (std::string& cell : row) {
    if (cell.empty()) cell = "-";
  }
  rows_.push_back(std::move(row));
}

std::vector<std::string> Table::lines() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows_) lines.push_back(line_of(row, widths));
  return lines;
}

std::string Table::text() const {
  std::string out;
  for (const std::string& line : lines()) out += line + "\n";
  return out;
}

void Table::print() const {
  const bool bold = wants_colour(STDOUT_FILENO);
  bool heading = true;
  for (const std::string& line : lines()) {
    const bool styled = heading && bold;
    fmt::print("{}{}{}\n", styled ? "\033[1m" : "", line, styled ? "\033[0m" : "");
    heading = false;
  }
}

std::string describe(const std::vector<std::pair<std::string, std::string>>& lines) {
  std::size_t width = 0;
  for (const auto& [key, value] : lines) {
    if (!value.empty()) width = std::max(width, key.size());
  }
  std::string out;
  for (const auto& [key, value] : lines) {
    if (!value.empty()) out += fmt::format("{:<{}}  {}\n", key, width, value);
  }
  return out;
}

std::string age(std::int64_t then_s, std::int64_t now_s) {
  if (then_s == 0) return "never";
  const std::int64_t seconds = now_s - then_s;
  if (seconds < 1) return "just now";
  if (seconds < 120) return fmt::format("{} s ago", seconds);
  if (seconds < std::int64_t{2} * 3600) return fmt::format("{} min ago", seconds / 60);
  if (seconds < std::int64_t{2} * 86400) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} days ago", seconds / 86400);
}

std::string moment(std::int64_t seconds) {
  if (seconds == 0) return "never";
  const std::time_t when = seconds;
  std::tm parts{};
  if (::localtime_r(&when, &parts) == nullptr) return std::to_string(seconds);
  std::array<char, 64> text{};
  if (std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts) == 0) return {};
  return text.data();
}

std::string size(std::uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string join_words(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = base::edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

bool wants_colour(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && ::isatty(descriptor) == 1;
}

}  // namespace warren::app
