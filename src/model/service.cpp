#include "model/service.hpp"

#include <optional>

#include "base/bytes.hpp"
#include "model/forward.hpp"

namespace warren::model {

namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = base::parse_number(trimmed(text), 1, 65535);
  if (!port) return std::nullopt;
  return static_cast<std::uint16_t>(*port);
}

}  // namespace

std::vector<PortRange> parse_ports(std::string_view text) {
  text = trimmed(text);
  if (text == "any") return {PortRange{}};
  if (text == "icmp") {
    return {{.first_protocol = kIcmp, .last_protocol = kIcmp},
            {.first_protocol = kIcmp6, .last_protocol = kIcmp6}};
  }
  const std::size_t end = text.find_first_of(" /");
  const auto protocol = parse_protocol(text.substr(0, end));
  if (!protocol) return {};
  const std::uint8_t number = *protocol == Protocol::Tcp ? kTcp : kUdp;
  if (end == std::string_view::npos) return {{.first_protocol = number, .last_protocol = number}};
  const std::string_view ports = text.substr(end + 1);
  const std::size_t dash = ports.find('-');
  const auto first = parse_port(ports.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(ports.substr(dash + 1));
  if (!first || !last || *last < *first) return {};
  return {{.first_protocol = number,
           .last_protocol = number,
           .first_port = *first,
           .last_port = *last}};
}

}  // namespace warren::model
