// nft shows a match of the incoming link in a few forms, after `iifname` or `iif`:
//
//     iifname "eth0"     iifname != "eth0"     iifname "eth*"     iifname { "eth0", "ppp*" }
//     iifname vmap { "eth0" : jump a, "eth1" : goto b }     iifname @inside
//
// A name is looked for in these; anything else counts as a match that may fit.
#include "hostnet/rule_links.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace warren::hostnet {

namespace {

constexpr std::string_view kBlank = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// What stands behind `iifname` or `iif`; nullopt: neither is there.
std::optional<std::string_view> match_of(std::string_view rule) {
  for (const std::string_view word : {std::string_view("iifname "), std::string_view("iif ")}) {
    for (std::size_t at = rule.find(word); at != std::string_view::npos;
         at = rule.find(word, at + 1)) {
      if (at == 0 || rule[at - 1] == ' ') return trimmed(rule.substr(at + word.size()));
    }
  }
  return std::nullopt;
}

/// `text` begins with a quoted name that is the link's, or a pattern that fits it.
bool is_name_of(std::string_view text, std::string_view link) {
  if (!text.starts_with('"')) return false;
  const std::string_view name = text.substr(1, text.find('"', 1) - 1);
  if (name.ends_with('*')) return link.starts_with(name.substr(0, name.size() - 1));
  return name == link;
}

/// The parts of `{ a, b }` at the beginning of the text.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> out;
  std::string_view rest = text.substr(1, text.find('}') - 1);
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    out.push_back(trimmed(rest.substr(0, comma)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return out;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text = trimmed(text.substr(word.size()));
  return true;
}

/// The part of a map that is the link's; empty: none.
std::string_view part_for(std::string_view map, std::string_view link) {
  for (const std::string_view part : parts_of(map))
    if (is_name_of(part, link)) return part;
  return {};
}

void add_target(std::string_view text, std::vector<std::string>& out) {
  for (const std::string_view word : {std::string_view("jump "), std::string_view("goto ")}) {
    const std::size_t at = text.find(word);
    if (at == std::string_view::npos) continue;
    const std::string_view name = text.substr(at + word.size());
    out.emplace_back(name.substr(0, name.find_first_of(" ,}")));
  }
}

}  // namespace

RuleReach reach_of(std::string_view rule, std::string_view link) {
  const auto match = match_of(rule);
  if (!match) return RuleReach::Any;
  std::string_view text = *match;
  const bool excludes = take(text, "!= ");
  take(text, "vmap ");
  bool fits = false;
  if (text.starts_with('{')) {
    fits = !part_for(text, link).empty();
  } else if (text.starts_with('"')) {
    fits = is_name_of(text, link);
  } else {
    return RuleReach::Any;
  }
  if (excludes) return fits ? RuleReach::Others : RuleReach::Any;
  return fits ? RuleReach::Named : RuleReach::Others;
}

std::vector<std::string> targets_of(std::string_view rule, std::string_view link) {
  std::vector<std::string> out;
  if (reach_of(rule, link) == RuleReach::Others) return out;
  std::string_view text = match_of(rule).value_or("");
  if (take(text, "vmap ") && text.starts_with('{')) {
    add_target(part_for(text, link), out);
    return out;
  }
  const std::size_t map = rule.find(" vmap {");
  if (map == std::string_view::npos) {
    add_target(rule, out);
    return out;
  }
  for (const std::string_view part : parts_of(rule.substr(rule.find('{', map))))
    add_target(part, out);
  return out;
}

}  // namespace warren::hostnet
