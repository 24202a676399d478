#include "engine/features.hpp"

#include <initializer_list>
#include <string_view>
#include <utility>

namespace warren::engine {

namespace {

std::string words(std::initializer_list<std::pair<bool, std::string_view>> candidates) {
  std::string out;
  for (const auto& [there, word] : candidates) {
    if (!there) continue;
    if (!out.empty()) out.append(" ");
    out.append(word);
  }
  return out.empty() ? "none" : out;
}

}  // namespace

std::string to_text(const os::TunOffloads& offloads) {
  const bool header = offloads.vnet_header;
  return words({{header && offloads.checksum, "checksum"},
                {header && offloads.tcp4, "tso4"},
                {header && offloads.tcp6, "tso6"},
                {header && offloads.udp4, "uso4"},
                {header && offloads.udp6, "uso6"}});
}

std::string to_text(const os::UdpOffloads& offloads) {
  return words({{offloads.segment, "segment"}, {offloads.gro, "gro"}});
}

}  // namespace warren::engine
