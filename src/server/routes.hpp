// The routes of the API and of the enrolment listener: JSON in, control, JSON out.
#pragma once

#include "control/control.hpp"
#include "server/router.hpp"
#include "server/server.hpp"

namespace warren::server {

/// Everything an administrator may do. `control` outlives the router.
[[nodiscard]] Router api_routes(control::Control& control, Reload reload);
/// The one thing a stranger may ask.
[[nodiscard]] Router enrol_routes(control::Control& control);

}  // namespace warren::server
