#include "netns/socket_address.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace warren::netns {

SocketAddress to_socket_address(const base::Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.is_v6()) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    v6.sin6_scope_id = endpoint.scope;
    std::memcpy(&v6.sin6_addr, endpoint.address.bytes().data(), sizeof v6.sin6_addr);
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
    return out;
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(endpoint.port);
  std::memcpy(&v4.sin_addr, endpoint.address.bytes().data(), sizeof v4.sin_addr);
  std::memcpy(&out.storage, &v4, sizeof v4);
  out.size = sizeof v4;
  return out;
}

SocketAddress to_mapped_address(const base::Endpoint& endpoint) {
  if (endpoint.address.is_v6()) return to_socket_address(endpoint);
  std::array<std::uint8_t, 16> bytes{};
  bytes[10] = bytes[11] = 0xff;
  std::ranges::copy(endpoint.address.bytes(), bytes.begin() + 12);
  return to_socket_address({.address = base::IpAddress::v6(bytes), .port = endpoint.port});
}

std::optional<base::Endpoint> from_socket_address(const SocketAddress& address) {
  if (address.storage.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
    return base::Endpoint{base::IpAddress::v4(bytes), ntohs(v4.sin_port), 0};
  }
  if (address.storage.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return base::Endpoint{base::IpAddress::v6(bytes), ntohs(v6.sin6_port), v6.sin6_scope_id};
  }
  return std::nullopt;
}

bool connect_to(const os::Fd& socket, const SocketAddress& target) {
  // Dissolves what was, with the source address that came with it.
  sockaddr nothing{};
  nothing.sa_family = AF_UNSPEC;
  static_cast<void>(connect(socket.get(), &nothing, sizeof nothing));
  return connect(socket.get(), target.get(), target.size) == 0;
}

}  // namespace warren::netns
