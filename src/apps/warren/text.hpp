// How values look to people: tables that line up, ages, sizes, durations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/duration_text.hpp"
#include "base/time.hpp"

namespace warren::app {

/// Rows under headings, columns as wide as their widest cell, two blanks between them. Headings are
/// bold on a terminal (never with NO_COLOR).
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : rows_{std::move(headings)} {}
  /// One cell per heading; an empty cell shows "-".
  void add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.size() == 1; }
  /// Without any escape sequence.
  [[nodiscard]] std::string text() const;
  void print() const;

 private:
  [[nodiscard]] std::vector<std::string> lines() const;
  std::vector<std::vector<std::string>> rows_;
};

/// "key      value" lines for one thing; lines with an empty value are left out.
[[nodiscard]] std::string describe(const std::vector<std::pair<std::string, std::string>>& lines);

using base::parse_duration_s;
/// "3 s ago", "5 min ago", "never" for 0, "just now" for the future (clocks differ).
[[nodiscard]] std::string age(std::int64_t then_s, std::int64_t now_s);
/// Local time to the second; "never" for 0.
[[nodiscard]] std::string moment(std::int64_t seconds);
/// "312 B", "1.4 MiB".
[[nodiscard]] std::string size(std::uint64_t bytes);
[[nodiscard]] std::string join_words(const std::vector<std::string>& words);
/// The word of `known` nearest to a mistyped one; empty when none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& known);
/// Escapes may be sent to this descriptor.
[[nodiscard]] bool wants_colour(int descriptor);

}  // namespace warren::app
