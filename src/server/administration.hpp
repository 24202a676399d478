// The administration listener's conversations: the API over TLS, for holders of a token. Internal
// to server.
#pragma once

#include "server/shared.hpp"

namespace warren::server {

/// One connection, from its first byte to its end.
asio::awaitable<void> serve_administration(SharedPtr shared, tcp::socket socket);

}  // namespace warren::server
