#include "ipc/uapi.hpp"
#include "ipc/uapi_text.hpp"

namespace warren::ipc {

namespace {

constexpr std::string_view kGet = "get=1\n";
constexpr std::string_view kSet = "set=1\n";
constexpr std::size_t kHeadSize = 6;
constexpr std::string_view kEnd = "\n\n";

bool may_start_request(std::string_view text) {
  const std::string_view head = text.substr(0, kHeadSize);
  return kGet.starts_with(head) || kSet.starts_with(head);
}

void drop_front_wiped(std::string& text, std::size_t count) {
  std::string rest(text, count);
  wipe_text(text);
  text.swap(rest);
}

base::Error invalid(std::string message) {
  base::Error error = base::make_error(base::ErrorKind::Invalid, std::move(message));
  error.os_errno = EINVAL;
  return error;
}

}  // namespace

UapiFramer::~UapiFramer() {
  wipe_text(buffer_);
  for (Request& request : requests_) wipe_text(request.body);
}

base::Status UapiFramer::handle_bytes(std::string_view bytes) {
  if (bytes.size() > kMaxUapiRequest || buffer_.size() + bytes.size() > kMaxUapiRequest) {
    return invalid("userspace API: the request is larger than 64 MiB");
  }
  reserve_wiped(buffer_, bytes.size());
  buffer_.append(bytes);
  while (!buffer_.empty()) {
    if (!may_start_request(buffer_)) {
      return invalid("userspace API: a request starts with neither get=1 nor set=1");
    }
    const std::size_t end = buffer_.find(kEnd, scanned_);
    if (end == std::string::npos) {
      scanned_ = buffer_.size() - 1;  // the last byte may be the first half of the end
      return {};
    }
    Request request{buffer_.starts_with(kGet) ? Kind::Get : Kind::Set, {}};
    // The newline of the last line ends the body, unless that line is the first one.
    if (end + 1 > kHeadSize) request.body.assign(buffer_, kHeadSize, end + 1 - kHeadSize);
    requests_.push_back(std::move(request));
    drop_front_wiped(buffer_, end + kEnd.size());
    scanned_ = 0;
  }
  return {};
}

std::optional<UapiFramer::Request> UapiFramer::poll_request() {
  if (requests_.empty()) return std::nullopt;
  Request request{requests_.front().kind, {}};
  request.body.assign(requests_.front().body);  // a copy: moving may leave bytes of a short text
  wipe_text(requests_.front().body);
  requests_.pop_front();
  return request;
}

}  // namespace warren::ipc
