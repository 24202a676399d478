// The networks that `warren up` brought to this host, as `warren status` shows them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "apps/warren/cli.hpp"
#include "base/time.hpp"
#include "hostlink/links.hpp"

namespace warren::app {

[[nodiscard]] nlohmann::ordered_json link_document(const hostlink::LinkStatus& link);
/// A table, and a line for each that is not well; nothing where there is none.
void print_links(const std::vector<hostlink::LinkStatus>& links);

[[nodiscard]] std::optional<hostlink::LinkStatus> find_link(const Invocation& invocation,
                                                            const std::string& name);
/// Unavailable unless it is live, or ready: well, and with a session.
[[nodiscard]] base::Status check_link(const hostlink::LinkStatus& link, bool ready,
                                      base::Duration wait);

}  // namespace warren::app
