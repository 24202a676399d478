#include "model/forward.hpp"

#include "base/bytes.hpp"

namespace warren::model {

std::string_view to_string(Protocol protocol) { return protocol == Protocol::Tcp ? "tcp" : "udp"; }

std::optional<Protocol> parse_protocol(std::string_view text) {
  for (const Protocol protocol : {Protocol::Tcp, Protocol::Udp}) {
    if (text == to_string(protocol)) return protocol;
  }
  return std::nullopt;
}

std::optional<PublicPort> PublicPort::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto port = base::parse_number(text.substr(0, slash), 1, 65535);
  const auto protocol =
      slash == std::string_view::npos ? Protocol::Tcp : parse_protocol(text.substr(slash + 1));
  if (!port || !protocol) return std::nullopt;
  return PublicPort{*protocol, static_cast<std::uint16_t>(*port)};
}

std::string PublicPort::to_string() const {
  return std::to_string(port) + "/" + std::string(model::to_string(protocol));
}

}  // namespace warren::model
