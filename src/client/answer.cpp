#include "client/answer.hpp"

#include <optional>

namespace warren::client {

base::Error answer_error(const HttpAnswer& answer, std::string_view who) {
  std::optional<base::Error> carried = api::decode_error(answer.body);
  if (carried) return std::move(*carried);
  return base::make_error(base::ErrorKind::Failed,
                          std::string(who) + " answered with status " +
                              std::to_string(answer.status) + " and no explanation",
                          "use the same version of warren on both sides");
}

}  // namespace warren::client
