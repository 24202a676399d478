#include "base/result.hpp"

#include <cstring>

namespace warren::base {

Error Error::within(std::string_view what) && {
  message.insert(0, std::string(what) + ": ");
  return std::move(*this);
}

Error Error::with_hint(std::string_view remedy) && {
  if (hint.empty()) hint = remedy;
  return std::move(*this);
}

Error make_error(ErrorKind kind, std::string message, std::string hint) {
  return Error{.kind = kind, .message = std::move(message), .hint = std::move(hint)};
}

namespace {

ErrorKind kind_of(int error_number) {
  switch (error_number) {
    case EPERM:
    case EACCES:
      return ErrorKind::NotPermitted;
    case ENOENT:
    case ENODEV:
    case ESRCH:
      return ErrorKind::NotFound;
    case EEXIST:
    case EADDRINUSE:
    case EBUSY:
      return ErrorKind::Conflict;
    case EINVAL:
      return ErrorKind::Invalid;
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return ErrorKind::Unavailable;
    default:
      return ErrorKind::Failed;
  }
}

}  // namespace

Error os_error(std::string_view what, int error_number) {
  char text[128];
  const char* shown = strerror_r(error_number, text, sizeof text);
  return Error{.kind = kind_of(error_number),
               .message = std::string(what) + ": " + shown,
               .os_errno = error_number};
}

Error os_error(std::string_view what) { return os_error(what, errno); }

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Failed:
      return "failed";
    case ErrorKind::Invalid:
      return "invalid";
    case ErrorKind::NotFound:
      return "not-found";
    case ErrorKind::Conflict:
      return "conflict";
    case ErrorKind::NotPermitted:
      return "not-permitted";
    case ErrorKind::Unavailable:
      return "unavailable";
    case ErrorKind::Expired:
      return "expired";
    case ErrorKind::Internal:
      return "internal";
  }
  return "failed";
}

}  // namespace warren::base
