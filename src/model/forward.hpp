// Forward: a port of the gateway's public addresses that leads to a member.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::model {

enum class Protocol : std::uint8_t { Tcp, Udp };
[[nodiscard]] std::string_view to_string(Protocol protocol);
[[nodiscard]] std::optional<Protocol> parse_protocol(std::string_view text);

/// What one forward of a gateway has to itself.
struct PublicPort {
  Protocol protocol = Protocol::Tcp;
  std::uint16_t port = 0;

  /// "8080/tcp", or "8080" for TCP; never port 0.
  [[nodiscard]] static std::optional<PublicPort> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;  ///< "8080/tcp"
  auto operator<=>(const PublicPort&) const = default;
};

}  // namespace warren::model
