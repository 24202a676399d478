// Service: a name for ports, and for who offers them.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace warren::model {

inline constexpr std::uint8_t kIcmp = 1;
inline constexpr std::uint8_t kTcp = 6;
inline constexpr std::uint8_t kUdp = 17;
inline constexpr std::uint8_t kIcmp6 = 58;

/// Ports of protocols, from and to; ICMP has all ports.
struct PortRange {
  std::uint8_t first_protocol = 0;
  std::uint8_t last_protocol = 255;
  std::uint16_t first_port = 0;
  std::uint16_t last_port = 65535;

  [[nodiscard]] bool contains(std::uint8_t protocol, std::uint16_t port) const {
    return first_protocol <= protocol && protocol <= last_protocol && first_port <= port &&
           port <= last_port;
  }
  [[nodiscard]] bool is_everything() const { return *this == PortRange{}; }
  auto operator<=>(const PortRange&) const = default;
};

struct Service {
  std::string name;
  std::string peer;  ///< who offers it; empty: anybody may
  std::vector<PortRange> ports;
  std::string env;  ///< the variable that tells programs of it; empty: none
  bool operator==(const Service&) const = default;
};

/// "tcp 1883", "tcp/8000-8010", "udp", "icmp", "any": what this opens; empty for anything else.
[[nodiscard]] std::vector<PortRange> parse_ports(std::string_view text);

}  // namespace warren::model
