// The embedded store: one SQLite file that only the daemon writes.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "store/store.hpp"

namespace warren::store_sqlite {

/// The version of the schema that this program writes (SQLite's user_version).
[[nodiscard]] int schema_version();

/// Opens the database, creating it (0600) where there is none and bringing an older one up to date.
/// The directory must exist and be the caller's alone. Errors: the file or its directory cannot be
/// opened or written; it is no database; it was written by a newer version (Conflict).
[[nodiscard]] base::Result<std::unique_ptr<store::Store>> open(const std::string& path);

/// As `open`, but stops at an older version: for the tests of migrations.
[[nodiscard]] base::Result<std::unique_ptr<store::Store>> open_at_version(const std::string& path,
                                                                          int version);

}  // namespace warren::store_sqlite
