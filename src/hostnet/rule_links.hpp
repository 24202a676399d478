// What a rule of somebody's, as nft shows it, has to do with packets that come in on a link.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace warren::hostnet {

enum class RuleReach {
  Others,  ///< names links that come in, and not this one
  Any,     ///< names none, or in a way that is not told here (a set)
  Named,   ///< names this one
};
/// By `iifname` and `iif`: names, wildcards, lists, maps, and what is excluded.
[[nodiscard]] RuleReach reach_of(std::string_view rule, std::string_view link);
/// The chains that the rule hands packets of this link to (jump, goto).
[[nodiscard]] std::vector<std::string> targets_of(std::string_view rule, std::string_view link);

}  // namespace warren::hostnet
