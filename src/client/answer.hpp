// From an HTTP answer to a document or to the error it carries.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/json.hpp"
#include "base/result.hpp"
#include "client/http.hpp"

namespace warren::client {

/// Set when the gateway is there and only has too much to do: what it wants to be left alone for.
[[nodiscard]] std::optional<base::Duration> wanted_pause(const base::Result<HttpAnswer>& answer);

/// Of what a gateway says, what may be shown: at most kMaxMessageBytes, lines stay, and nothing
/// that a terminal obeys.
[[nodiscard]] std::string printable(std::string_view text);

/// The error of an answer whose status is not 200.
[[nodiscard]] base::Error answer_error(const HttpAnswer& answer, std::string_view who);

/// `who` answered ("the daemon"), for what is said about an answer that makes no sense.
template <typename T>
[[nodiscard]] base::Result<T> read_answer(const HttpAnswer& answer, std::string_view who) {
  if (answer.status != 200) return answer_error(answer, who);
  base::Result<T> document = api::decode<T>(answer.body);
  if (!document) {
    return base::make_error(base::ErrorKind::Failed,
                            std::string(who) + " gave an answer that this program does not read: " +
                                printable(document.error().message),
                            "use the same version of warren on both sides");
  }
  return document;
}

}  // namespace warren::client
