// Between base::Endpoint and what socket calls take.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "base/address.hpp"
#include "os/fd.hpp"

namespace warren::netns {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

[[nodiscard]] SocketAddress to_socket_address(const base::Endpoint& endpoint);
/// As an IPv4-mapped IPv6 address, for a socket of both families.
[[nodiscard]] SocketAddress to_mapped_address(const base::Endpoint& endpoint);
/// nullopt for any other family.
[[nodiscard]] std::optional<base::Endpoint> from_socket_address(const SocketAddress& address);

/// Connects a socket that may have been connected, or refused, before. errno says why not.
[[nodiscard]] bool connect_to(const os::Fd& socket, const SocketAddress& target);

}  // namespace warren::netns
