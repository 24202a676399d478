#include <fmt/format.h>

#include <unistd.h>

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

}  // namespace

int report(const Invocation& invocation, const base::Error& error) {
  if (invocation.json) {
    fmt::print("{}\n", api::encode_error(error));
    return exit_code_of(error.kind);
  }
  const bool colour = wants_colour(STDERR_FILENO);
  fmt::print(stderr, "{}warren:{} {}\n", colour ? "\033[31m" : "", colour ? "\033[0m" : "",
             error.message);
  if (!error.hint.empty()) fmt::print(stderr, "  hint: {}\n", error.hint);
  return exit_code_of(error.kind);
}

}  // namespace warren::app
