#include "proxy/target.hpp"

#include <algorithm>

#include "base/bytes.hpp"

namespace warren::proxy {

namespace {

constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

bool is_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxName) return false;
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    const bool good =
        !label.empty() && label.size() <= kMaxLabel && std::ranges::all_of(label, [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '_';
        });
    if (!good) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

std::optional<Target> parse_target(std::string_view host, std::uint16_t port) {
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  const std::string_view bare = bracketed ? host.substr(1, host.size() - 2) : host;
  if (const auto address = base::IpAddress::parse(bare)) {
    if (bracketed && !address->is_v6()) return std::nullopt;
    return Target{.name = {}, .address = address, .port = port};
  }
  if (bracketed || !is_name(host)) return std::nullopt;
  // A last label of digits is a mistyped address in every resolver (WHATWG URL, ends in a number).
  const std::string_view last = host.substr(host.rfind('.') + 1);
  if (!last.empty() && last.find_first_not_of("0123456789") == std::string_view::npos) {
    return std::nullopt;
  }
  return Target{.name = std::string(host), .address = std::nullopt, .port = port};
}

std::optional<Target> parse_authority(std::string_view text, std::uint16_t default_port) {
  std::size_t colon = text.rfind(':');
  const std::size_t bracket = text.rfind(']');
  if (bracket != std::string_view::npos && colon != std::string_view::npos && colon < bracket) {
    colon = std::string_view::npos;
  }
  if (colon == std::string_view::npos) {
    return default_port == 0 ? std::nullopt : parse_target(text, default_port);
  }
  const auto port = base::parse_number(text.substr(colon + 1), 1, 65535);
  if (!port) return std::nullopt;
  // An IPv6 address must be in brackets here, or its last group would be taken for the port.
  if (text.substr(0, colon).find(':') != std::string_view::npos && !text.starts_with('[')) {
    return std::nullopt;
  }
  return parse_target(text.substr(0, colon), static_cast<std::uint16_t>(*port));
}

std::string_view to_string(Failure failure) {
  switch (failure) {
    case Failure::Malformed:
      return "the request makes no sense";
    case Failure::BadPassword:
      return "the user name or password of the proxy is missing or wrong";
    case Failure::NotSupported:
      return "this proxy does not offer that (CONNECT, http:// requests and UDP ASSOCIATE it does)";
    case Failure::NoDns:
      return "the profile names no DNS server, so names are refused: use an address, or add DNS";
    case Failure::NameNotFound:
      return "the profile's DNS server knows no address for this name";
    case Failure::NameTimeout:
      return "no DNS server of the profile answers through the tunnel";
    case Failure::OwnAddress:
      return "loopback, multicast and our own addresses cannot be reached through the proxy";
    case Failure::NotRouted:
      return "the profile's AllowedIPs do not lead there";
    case Failure::NoFamily:
      return "the profile has no Address of this IP family";
    case Failure::Refused:
      return "the target refused the connection";
    case Failure::TimedOut:
      return "the target does not answer through the tunnel";
    case Failure::TooMany:
      return "a limit of the proxy is reached";
  }
  return "";
}

}  // namespace warren::proxy
