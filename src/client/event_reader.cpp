#include "client/event_reader.hpp"

#include "api/json.hpp"
#include "base/bytes.hpp"
#include "client/limits.hpp"

namespace warren::client {

bool EventReader::take(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > kMaxEventBytes) {
      problem_ = base::make_error(base::ErrorKind::Failed, "an event is too long to be one");
      return false;
    }
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    const bool wanted = take_line(line_);
    line_.clear();
    if (!wanted) return false;
  }
  return true;
}

bool EventReader::take_line(std::string_view line) {
  if (line.empty()) return finish_event();
  constexpr std::string_view kData = "data:";
  constexpr std::string_view kId = "id: ";
  if (line.starts_with(kId)) {
    const auto number = base::parse_number(line.substr(kId.size()), 0, INT64_MAX);
    if (number) position_ = number;
  }
  if (!line.starts_with(kData)) return true;  // the kind is in the document, too
  line.remove_prefix(kData.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (!data_.empty()) data_ += '\n';
  data_ += line;
  return true;
}

bool EventReader::finish_event() {
  if (data_.empty()) return true;
  const auto event = api::decode<api::Event>(std::exchange(data_, {}));
  if (event) return heard_(*event);
  problem_ = base::make_error(
      base::ErrorKind::Failed,
      "the gateway sent an event that this program does not read: " + event.error().message,
      "use the same version of warren on both sides");
  return false;
}

base::Status EventReader::problem() const {
  if (problem_) return *problem_;
  return {};
}

}  // namespace warren::client
