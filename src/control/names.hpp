// Texts about names: the nearest one to a mistyped one, and names made fit for a line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace warren::control {

/// The candidate with the fewest edits from `name`, when they are few enough for a slip of the
/// hand (a third of its length, at least two); empty when none is near.
[[nodiscard]] std::string nearest_name(std::string_view name,
                                       const std::vector<std::string>& candidates);
/// NotFound: `no peer "lptop" in network lab`, with the nearest name or `otherwise` as its hint.
[[nodiscard]] base::Error unknown_name(std::string message, std::string_view name,
                                       const std::vector<std::string>& candidates,
                                       std::string otherwise);
/// At most `limit` bytes, control characters shown as '?': for audit records.
[[nodiscard]] std::string one_line(std::string_view text, std::size_t limit);
/// "host:port", an IPv6 address in brackets.
[[nodiscard]] std::string host_port(const std::string& host, std::uint16_t port);
/// "3 h", "12 min", "40 s": the largest unit that fits.
[[nodiscard]] std::string rough_duration(std::int64_t seconds);
/// "2026-11-21 02:35:02 UTC".
[[nodiscard]] std::string utc_text(std::int64_t seconds);

/// An error as one line of `status`: its message, and its remedy in brackets.
[[nodiscard]] std::string with_remedy(const base::Error& error);

}  // namespace warren::control
