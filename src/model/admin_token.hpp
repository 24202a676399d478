// The text of an administrator's token: "warrenadmin1" and then what a TokenText has, with the
// address of the listener for administration.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "model/network.hpp"

namespace warren::model {

[[nodiscard]] std::string write_admin_token(const TokenText& token);
/// Invalid: an invitation's token, none at all, cut off or mistyped (checksum).
[[nodiscard]] base::Result<TokenText> parse_admin_token(std::string_view text);

}  // namespace warren::model
