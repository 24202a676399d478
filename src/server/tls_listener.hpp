// What the TLS listeners have in common: their ports and their certificate. Internal to server.
#pragma once

#include <string>

#include "server/shared.hpp"

namespace warren::server {

/// `where` is "address:port"; `purpose` is what people call it. Conflict: the port is taken.
[[nodiscard]] base::Status listen_on(tcp::acceptor& acceptor, const std::string& purpose,
                                     const std::string& where);
/// 0: it does not listen.
[[nodiscard]] std::uint16_t port_of(const tcp::acceptor& acceptor);
/// Makes a certificate of the identity key for the connections to come.
[[nodiscard]] base::Status renew_certificate(Shared& shared);
/// Renews it until the server stops.
asio::awaitable<void> keep_certificate_fresh(SharedPtr shared);

}  // namespace warren::server
