// ICMP echo in IPv4, built and read by hand (RFC 791, RFC 792).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"

namespace warren::rekey {

struct Echo {
  bool request = true;
  base::IpAddress source;
  base::IpAddress destination;
  std::uint16_t id = 0;
  std::uint16_t sequence = 0;
  std::vector<std::uint8_t> data;
};

[[nodiscard]] std::vector<std::uint8_t> write_echo(const Echo& echo);
/// nullopt when the packet is no echo request or reply.
[[nodiscard]] std::optional<Echo> parse_echo(base::Bytes packet);

}  // namespace warren::rekey
