// In WAL mode a reader sees the database as it was when its transaction began, and stops nobody
// from writing. The copy is what SQLite hands out inside such a transaction, page by page: no
// plaintext of it touches the disk.
#include "store_sqlite/snapshot.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>
#include <unistd.h>

#include <memory>

#include "store_sqlite/guarded.hpp"
#include "store_sqlite/sqlite_store.hpp"

namespace warren::store_sqlite {

namespace {

using base::ErrorKind;
using base::make_error;

constexpr int kBusyTimeout_ms = 2000;

struct FreeMemory {
  void operator()(unsigned char* memory) const { sqlite3_free(memory); }
};

base::Status check_whole(const std::string& path) {
  SQLite::Database database(path, SQLite::OPEN_READWRITE);
  const int version = database.execAndGet("PRAGMA user_version").getInt();
  if (version > schema_version()) {
    return make_error(ErrorKind::Conflict,
                      "the database is of a newer warren (its version is " +
                          std::to_string(version) + ", this program knows " +
                          std::to_string(schema_version()) + ")",
                      "restore it with the warren that made the backup, or a newer one");
  }
  const std::string found = database.execAndGet("PRAGMA integrity_check").getString();
  if (found != "ok") return make_error(ErrorKind::Invalid, "the database is damaged: " + found);
  SQLite::Statement foreign(database, "PRAGMA foreign_key_check");
  if (foreign.executeStep()) {
    return make_error(ErrorKind::Invalid, "the database is damaged: a record lacks its owner");
  }
  return {};
}

base::Status check_audit(store::Store& store, Inspection& report) {
  constexpr std::size_t kBatch = 5000;
  WARREN_TRY_ASSIGN(const store::AuditSpan span, store.audit_span());
  store::ChainCheck check(span);
  for (std::uint64_t number = span.before;;) {
    WARREN_TRY_ASSIGN(const auto entries, store.audit_after(number, kBatch));
    for (const store::AuditEntry& entry : entries) {
      WARREN_TRY(check.add(entry).within("the audit"));
      number = entry.number;
    }
    report.audit_records += entries.size();
    if (entries.size() < kBatch) return check.finish().within("the audit");
  }
}

}  // namespace

base::Result<std::string> snapshot(const std::string& path) {
  const std::string what = "copy " + path;
  if (::access(path.c_str(), F_OK) != 0) return base::os_error(what);
  return guarded(what, [&]() -> base::Result<std::string> {
    SQLite::Database database(path, SQLite::OPEN_READWRITE);
    database.setBusyTimeout(kBusyTimeout_ms);
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::DEFERRED);
    // The instant: the first read begins the transaction.
    const int version = database.execAndGet("PRAGMA user_version").getInt();
    database.execAndGet("SELECT count(*) FROM sqlite_schema");
    if (version == 0) return make_error(ErrorKind::Invalid, what + ": there is no state in it");
    sqlite3_int64 size = 0;
    const std::unique_ptr<unsigned char, FreeMemory> pages(
        sqlite3_serialize(database.getHandle(), "main", &size, 0));
    if (!pages) return base::os_error(what, ENOMEM);
    return std::string(reinterpret_cast<const char*>(pages.get()), static_cast<std::size_t>(size));
  });
}

base::Result<Inspection> inspect(const std::string& path) {
  WARREN_TRY(guarded("look at " + path, [&] { return check_whole(path); }));
  WARREN_TRY_ASSIGN(const std::unique_ptr<store::Store> opened, open(path));
  WARREN_TRY_ASSIGN(const store::State state, opened->load());
  WARREN_TRY(store::check_state(state));
  Inspection report;
  WARREN_TRY(check_audit(*opened, report));
  report.networks = state.networks.size();
  for (const auto& [id, peer] : state.peers) {
    if (peer.state != model::PeerState::Revoked) ++report.peers;
  }
  return report;
}

}  // namespace warren::store_sqlite
