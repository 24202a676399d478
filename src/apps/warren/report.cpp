#include <fmt/format.h>

#include <unistd.h>

#include <cerrno>
#include <string>

#include "api/json.hpp"
#include "apps/warren/cli.hpp"
#include "apps/warren/text.hpp"

namespace warren::app {
namespace {

int exit_code_of(base::ErrorKind kind) {
  switch (kind) {
    case base::ErrorKind::Invalid:
      return kUsage;
    case base::ErrorKind::Unavailable:
      return kNotRunning;
    case base::ErrorKind::NotPermitted:
      return kNotPermitted;
    case base::ErrorKind::NotFound:
      return kNotFound;
    case base::ErrorKind::Conflict:
      return kConflict;
    case base::ErrorKind::Expired:
    case base::ErrorKind::Failed:
    case base::ErrorKind::Internal:
      break;
  }
  return kFailed;
}

/// What can be done about a failure of the system's, where nobody closer to it knew.
std::string remedy_of(int os_errno) {
  switch (os_errno) {
    case ENOENT:
      return "there is nothing of that name: check how it is written";
    case ENOTDIR:
      return "a part of the path is no directory: check how it is written";
    case EISDIR:
      return "that is a directory: name a file";
    case EACCES:
      return "this user may not: look at the permissions of it and of the folders it is in (ls "
             "-ld)";
    case EROFS:
      return "that file system cannot be written: name another place";
    case ENOSPC:
    case EDQUOT:
      return "make room on that file system, or name another place";
    case EMFILE:
      return "allow more open files: ulimit -n";
    default:
      return {};
  }
}

}  // namespace

int report(const Invocation& invocation, const base::Error& error) {
  base::Error told = error;
  if (told.hint.empty()) told.hint = remedy_of(told.os_errno);
  if (invocation.json) {
    fmt::print("{}\n", api::encode_error(told));
    return exit_code_of(told.kind);
  }
  const bool colour = wants_colour(STDERR_FILENO);
  fmt::print(stderr, "{}warren:{} {}\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
             told.message);
  if (!told.hint.empty()) fmt::print(stderr, "  hint: {}\n", told.hint);
  return exit_code_of(told.kind);
}

}  // namespace warren::app
