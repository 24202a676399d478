// How links of ours on the host are told from others': by their alias, and until they have it by
// the group that they are born into.
#pragma once

#include <cstdint>
#include <string>

namespace warren::hostnet {

struct LinkMarks {
  std::string alias;        ///< "warren:INSTANCE"
  std::uint32_t born = 0;   ///< the group of links that have no alias yet, and of those that do
  std::uint32_t going = 0;  ///< the group of links that are deleted together

  [[nodiscard]] static LinkMarks of(const std::string& instance) {
    LinkMarks out{.alias = "warren:" + instance};
    // FNV-1a. Groups of others are small numbers that somebody typed.
    std::uint32_t hash = 2166136261U;
    for (const char c : out.alias) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
    out.born = (hash | 0x4000'0000U) & ~1U;
    out.going = out.born | 1U;
    return out;
  }
};

}  // namespace warren::hostnet
