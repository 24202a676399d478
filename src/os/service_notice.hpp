// Telling the service manager how a service fares (sd_notify(3), without its library).
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace warren::os {

/// Sends "READY=1" and the like to $NOTIFY_SOCKET; nothing happens where there is none.
[[nodiscard]] base::Status notify_service_manager(std::string_view state);

}  // namespace warren::os
