#include "model/yaml_text.hpp"

#include <algorithm>
#include <utility>

#include "base/edit_distance.hpp"

namespace warren::model {

base::Error at(const Word& word, std::string_view what, std::string hint) {
  constexpr std::size_t kShown = 200;
  std::string message = "line " + std::to_string(word.line) + ", column " +
                        std::to_string(word.column) + ": " + std::string(what.substr(0, kShown));
  return base::make_error(base::ErrorKind::Invalid, std::move(message), std::move(hint));
}

std::string quoted(const std::string& text) { return '"' + text.substr(0, 80) + '"'; }

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kNear = 3;
  std::string best;
  std::size_t fewest = kNear + 1;
  if (word.size() > 64) return best;
  for (const std::string& name : known) {
    const std::size_t distance = base::edit_distance(word, name);
    if (distance >= fewest || distance >= name.size()) continue;
    fewest = distance;
    best = name;
  }
  return best;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const std::string best = nearest(word, known);
  if (!best.empty()) return "did you mean " + best + "?";
  std::string all;
  for (const std::string& name : known) all += (all.empty() ? "known: " : ", ") + name;
  return all;
}

Word word_of(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  Word word{.text = node.IsScalar() ? node.Scalar() : "",
            .line = static_cast<unsigned>(mark.line + 1),
            .column = static_cast<unsigned>(mark.column + 1)};
  if (node.Tag() == "!") ++word.column;  // behind the quote
  return word;
}

Word part(const Word& whole, std::size_t begin, std::size_t size) {
  const std::string_view text = std::string_view(whole.text).substr(begin, size);
  const std::size_t first = std::min(text.find_first_not_of(" \t"), text.size());
  const std::size_t last = text.find_last_not_of(" \t");
  Word out = whole;
  out.column += static_cast<unsigned>(begin + first);
  out.text = first == text.size() ? "" : std::string(text.substr(first, last - first + 1));
  return out;
}

std::vector<Word> split_at_commas(const Word& whole) {
  std::vector<Word> out;
  for (std::size_t begin = 0; begin <= whole.text.size();) {
    const std::size_t end = std::min(whole.text.find(',', begin), whole.text.size());
    out.push_back(part(whole, begin, end - begin));
    begin = end + 1;
  }
  return out;
}

namespace {

/// The first line up to this one that a tab indents; 0: none.
std::size_t tabbed_line(std::string_view text, std::size_t last) {
  for (std::size_t line = 1; line <= last; ++line) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first != std::string_view::npos && text[first] == '\t') return line;
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return 0;
    text.remove_prefix(end + 1);
  }
  return 0;
}

}  // namespace

base::Error no_yaml(const YAML::Exception& problem, std::string_view text) {
  const Word where{.text = "",
                   .line = static_cast<unsigned>(problem.mark.line + 1),
                   .column = static_cast<unsigned>(problem.mark.column + 1)};
  const std::size_t tabbed = tabbed_line(text, where.line);
  return at(where, "this is no YAML: " + problem.msg,
            tabbed == 0
                ? "look at how far this line and the one before it are indented, and for a "
                  "missing colon, quote or bracket"
                : "indent with spaces: line " + std::to_string(tabbed) + " begins with a tab");
}

}  // namespace warren::model
