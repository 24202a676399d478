// Result and Error: how everything outside the data plane reports failure.
//
// A layer that adds meaning adds it once, outermost first, so that the final line reads
// "apply network blue: add address 10.0.0.1/24: File exists".
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace warren::base {

/// What kind of failure: decides exit codes and HTTP status codes, never the text.
enum class ErrorKind {
  Failed,        ///< anything that has no better kind
  Invalid,       ///< the input is malformed or out of range
  NotFound,      ///< the named thing does not exist
  Conflict,      ///< exists already, in use, or taken by another owner
  NotPermitted,  ///< the caller may not do this
  Unavailable,   ///< the other side is not running or not reachable
  Expired,       ///< a token or certificate whose time or use is up
  Internal,      ///< a broken invariant of ours
};

/// A failure with its text. `hint` says what to do about it and is shown on a line of its own.
struct Error {
  ErrorKind kind = ErrorKind::Failed;
  std::string message;
  std::string hint = {};
  int os_errno = 0;  ///< errno where a system call failed, otherwise 0

  /// This error with "what: " before its message.
  [[nodiscard]] Error within(std::string_view what) &&;
  /// This error with a remedy, unless a deeper layer gave one already.
  [[nodiscard]] Error with_hint(std::string_view remedy) &&;
};

/// Builds an Error of a kind.
[[nodiscard]] Error make_error(ErrorKind kind, std::string message, std::string hint = {});
/// Builds an Error from errno: "what: No such file or directory"; EPERM and EACCES become
/// NotPermitted, ENOENT NotFound, EEXIST and EADDRINUSE Conflict.
[[nodiscard]] Error os_error(std::string_view what, int error_number);
/// As os_error, with the current errno.
[[nodiscard]] Error os_error(std::string_view what);

/// The stable lower-case name of a kind: "invalid", "not-found" …
[[nodiscard]] std::string_view to_string(ErrorKind kind);

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
  Result(Error error) : std::expected<T, Error>(std::unexpect, std::move(error)) {}

  /// The same result, whose error (if any) got "what: " before its message.
  [[nodiscard]] Result within(std::string_view what) && {
    if (*this) return std::move(*this);
    return std::move(this->error()).within(what);
  }
};

using Status = Result<void>;

}  // namespace warren::base

#define WARREN_CONCAT_INNER(a, b) a##b
#define WARREN_CONCAT(a, b) WARREN_CONCAT_INNER(a, b)

/// Returns from the enclosing function with the error of `expr`, or goes on: for Status.
#define WARREN_TRY(expr)                                     \
  do {                                                       \
    if (auto warren_try_result = (expr); !warren_try_result) \
      return std::move(warren_try_result).error();           \
  } while (false)

/// `WARREN_TRY_ASSIGN(auto fd, open_it());`: declares or assigns the value, or returns the error.
#define WARREN_TRY_ASSIGN(lhs, expr) \
  WARREN_TRY_ASSIGN_IMPL(WARREN_CONCAT(warren_try_, __COUNTER__), lhs, expr)
#define WARREN_TRY_ASSIGN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp) return std::move(tmp).error();     \
  lhs = std::move(*tmp)
