#include "store_sqlite/guarded.hpp"

#include <sqlite3.h>

namespace warren::store_sqlite {

using base::ErrorKind;

base::Error database_error(const std::string& what, const SQLite::Exception& problem) {
  ErrorKind kind = ErrorKind::Failed;
  std::string hint;
  switch (problem.getErrorCode()) {
    case SQLITE_FULL:
      hint = "the disk is full: make room and try again (nothing was changed)";
      break;
    case SQLITE_IOERR:
      hint = "the disk cannot be read or written: look for its errors in the kernel's log";
      break;
    case SQLITE_READONLY:
      kind = ErrorKind::NotPermitted;
      hint = "the state directory must be writable for the daemon";
      break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      kind = ErrorKind::NotPermitted;
      hint = "check that the state directory exists and belongs to the daemon's user";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      kind = ErrorKind::Conflict;
      hint = "another program has the database open for writing";
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      hint = "the file is no database or is damaged: restore it from a backup";
      break;
    case SQLITE_CONSTRAINT:
      kind = ErrorKind::Internal;
      break;
    default:
      break;
  }
  return base::make_error(kind, what + ": " + problem.what(), hint);
}

}  // namespace warren::store_sqlite
