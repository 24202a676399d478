// The enrolment listener's conversations: strangers with a token, and members. Internal to server.
#pragma once

#include "server/shared.hpp"

namespace warren::server {

/// One connection, from its first byte to its end.
asio::awaitable<void> serve_enrolment(SharedPtr shared, tcp::socket socket);

}  // namespace warren::server
