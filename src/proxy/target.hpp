// What a client asks for, and why it did not get it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hpp"

namespace warren::proxy {

/// A host, by name or by address, and a port.
struct Target {
  std::string name;  ///< empty when `address` is set
  std::optional<base::IpAddress> address;
  std::uint16_t port = 0;

  bool operator==(const Target&) const = default;
};

/// A host as text: an address (IPv6 perhaps in brackets) or a name of at most 255 letters, digits,
/// hyphens, underscores and dots. nullopt: neither.
[[nodiscard]] std::optional<Target> parse_target(std::string_view host, std::uint16_t port);
/// "host:port", where the port may be missing if `default_port` is not 0.
[[nodiscard]] std::optional<Target> parse_authority(std::string_view text,
                                                    std::uint16_t default_port);

enum class Failure : std::uint8_t {
  Malformed,     ///< not what the protocol says
  BadPassword,   ///< or none
  NotSupported,  ///< a command or method that is not offered
  NoDns,         ///< a name, and the profile has no name server
  NameNotFound,  ///< the name server says that it does not exist, or has no address for us
  NameTimeout,   ///< no name server answered
  OwnAddress,    ///< our own address in the network, or a loopback, multicast or wildcard one
  NotRouted,     ///< the profile's AllowedIPs do not hold it
  NoFamily,      ///< the profile gives us no address of this family
  Refused,       ///< the target answered with a reset
  TimedOut,      ///< the target did not answer
  TooMany,       ///< a limit is reached
};
/// One line for people.
[[nodiscard]] std::string_view to_string(Failure failure);

}  // namespace warren::proxy
