// Words of a YAML text with the place where each begins, and errors that name it: for documents
// that people write by hand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "base/result.hpp"

namespace warren::model {

/// A piece of the text and where it begins, counted from 1.
struct Word {
  std::string text;
  unsigned line = 0;
  unsigned column = 0;
};

/// Invalid: "line L, column C: WHAT".
[[nodiscard]] base::Error at(const Word& word, std::string_view what, std::string hint = {});
/// In quotation marks, shortened.
[[nodiscard]] std::string quoted(const std::string& text);
/// The known word that a mistyped one is nearest to; empty when none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& known);
/// "did you mean X?", or what is known.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& known);
/// The text of a scalar, otherwise an empty one, and where the node begins.
[[nodiscard]] Word word_of(const YAML::Node& node);
/// The part of a word from `begin`, without blanks around it.
[[nodiscard]] Word part(const Word& whole, std::size_t begin, std::size_t size);
[[nodiscard]] std::vector<Word> split_at_commas(const Word& whole);
/// What yaml-cpp could not read of the text, as an error with its place.
[[nodiscard]] base::Error no_yaml(const YAML::Exception& problem, std::string_view text);

}  // namespace warren::model
