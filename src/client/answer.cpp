#include "client/answer.hpp"

#include <cerrno>
#include <chrono>
#include <optional>

#include "client/limits.hpp"

namespace warren::client {

std::optional<base::Duration> wanted_pause(const base::Result<HttpAnswer>& answer) {
  constexpr unsigned kTooMany = 429;
  if (answer && answer->status == kTooMany) return std::chrono::seconds(answer->retry_after_s);
  if (!answer && answer.error().os_errno == ECONNRESET) return base::Duration(0);
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string out(text.substr(0, kMaxMessageBytes));
  for (std::size_t at = 0; at < out.size(); ++at) {
    const auto byte = static_cast<unsigned char>(out[at]);
    const bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f;
    // U+0080 to U+009F are controls, too.
    const bool second =
        at > 0 && byte >= 0x80 && byte < 0xa0 && static_cast<unsigned char>(out[at - 1]) == 0xc2;
    if (control) out[at] = '?';
    if (second) out[at - 1] = out[at] = '?';
  }
  return out;
}

base::Error answer_error(const HttpAnswer& answer, std::string_view who) {
  std::optional<base::Error> carried = api::decode_error(answer.body);
  if (carried) {
    carried->message = printable(carried->message);
    carried->hint = printable(carried->hint);
    return std::move(*carried);
  }
  return base::make_error(base::ErrorKind::Failed,
                          std::string(who) + " answered with status " +
                              std::to_string(answer.status) + " and no explanation",
                          "use the same version of warren on both sides");
}

}  // namespace warren::client
