// The one place where what SQLiteCpp throws becomes an Error. Private to this module.
#pragma once

#include <SQLiteCpp/Exception.h>

#include <exception>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace warren::store_sqlite {

/// What the disk refused (full, read-only, not ours) gets a remedy.
[[nodiscard]] base::Error database_error(const std::string& what, const SQLite::Exception& problem);

/// Runs `body` (which returns a Result) and turns what SQLiteCpp throws into an Error.
template <typename Body>
auto guarded(const std::string& what, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const SQLite::Exception& problem) {
    return database_error(what, problem);
  } catch (const std::exception& problem) {
    return base::make_error(base::ErrorKind::Failed, what + ": " + problem.what());
  }
}

}  // namespace warren::store_sqlite
