#include "client/answer.hpp"

#include <cerrno>
#include <chrono>
#include <optional>

namespace warren::client {

std::optional<base::Duration> wanted_pause(const base::Result<HttpAnswer>& answer) {
  constexpr unsigned kTooMany = 429;
  if (answer && answer->status == kTooMany) return std::chrono::seconds(answer->retry_after_s);
  if (!answer && answer.error().os_errno == ECONNRESET) return base::Duration(0);
  return std::nullopt;
}

base::Error answer_error(const HttpAnswer& answer, std::string_view who) {
  std::optional<base::Error> carried = api::decode_error(answer.body);
  if (carried) return std::move(*carried);
  return base::make_error(base::ErrorKind::Failed,
                          std::string(who) + " answered with status " +
                              std::to_string(answer.status) + " and no explanation",
                          "use the same version of warren on both sides");
}

}  // namespace warren::client
