// `warren run openconnect://HOST`: the login, and the netns::RunConfig that it gives.
#pragma once

#include "apps/warren/run_config.hpp"
#include "base/result.hpp"
#include "netns/run.hpp"

namespace warren::app {

/// Whether what `warren run` was told to use is an AnyConnect server.
[[nodiscard]] bool is_openconnect_url(const std::string& profile);

/// Logs in at the server and fills name, tunnel, addresses, routes and DNS. Asks on the terminal
/// for what no option says, where there is one.
[[nodiscard]] base::Status fill_from_server(const RunArguments& arguments,
                                            netns::RunConfig& config);

}  // namespace warren::app
