// The first half of reading JSON: a tree of values, from text that somebody else wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.hpp"

namespace warren::api {

/// The objects of the tree have their keys in the order of the text. Invalid: the text is no valid
/// JSON, no object, larger or nested deeper than json.hpp says, or an object has too many keys or
/// one of them twice. May throw where memory runs out.
[[nodiscard]] base::Result<nlohmann::ordered_json> parse_tree(std::string_view text);

}  // namespace warren::api
