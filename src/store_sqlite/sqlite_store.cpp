// The store over SQLite.
//
// One connection, one writer. WAL with synchronous=FULL: a commit returns when it is on the disk,
// and a crash at any instant finds all of it or nothing. Every commit is one IMMEDIATE transaction
// of the changes and their audit record. The constraints of the schema say what store::check_state
// says; a change that breaks them is refused whole.
//
// A row that exists is changed in place (upsert), never replaced: replacing would delete it first,
// and its members with it.
//
// SQLiteCpp throws. Each public function catches, once, and says what was attempted; what the disk
// refused (full, read-only, not ours) gets a remedy.
#include "store_sqlite/sqlite_store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "store_sqlite/guarded.hpp"
#include "store_sqlite/migrations.hpp"
#include "store_sqlite/rows.hpp"

namespace warren::store_sqlite {

namespace {

using base::ErrorKind;

constexpr int kBusyTimeout_ms = 2000;

/// Which file this is, whatever it is called.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

class SqliteStore final : public store::Store {
 public:
  SqliteStore(SQLite::Database database, std::string path, FileId file)
      : database_(std::move(database)), path_(std::move(path)), file_(file) {}

  base::Result<store::State> load() override {
    return guarded("read the database", [&] { return read_state(database_); });
  }

  base::Result<store::State> load_identities(std::optional<model::NetworkId> only) override {
    return guarded("read the database", [&]() -> base::Result<store::State> {
      SQLite::Transaction transaction(database_);
      store::State state;
      read_authorities(database_, state, only);
      read_certificates(database_, state, only);
      read_last_lists(database_, state);
      transaction.commit();
      return state;
    });
  }

  std::vector<store::Exposure> find_exposed() override {
    const std::string restore = "stop the daemon and restore a backup";
    std::vector<store::Exposure> found;
    for (const char* end : {"", "-wal", "-shm"}) {
      const std::string path = path_ + end;
      struct stat status{};
      if (::lstat(path.c_str(), &status) != 0) {
        if (*end == '\0') found.push_back({path + " is not there any more", restore});
        continue;
      }
      if (*end == '\0' && file_ != FileId{status.st_dev, status.st_ino}) {
        found.push_back({path + " is another file than the one that the daemon has open", restore});
      }
      if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        found.push_back({fmt::format("{} has mode {:04o}: others may use the private keys in it",
                                     path, status.st_mode & 07777),
                         "chmod 600 " + path});
      }
      if (status.st_uid != ::geteuid()) {
        found.push_back({fmt::format("{} belongs to uid {}", path, status.st_uid),
                         fmt::format("chown {} {}", ::geteuid(), path)});
      }
    }
    return found;
  }

  base::Status commit(const std::vector<store::Change>& changes,
                      const store::AuditRecord& record) override {
    return write(changes, {record}, "FULL");
  }

  base::Status commit_soon(const std::vector<store::Change>& changes,
                           const store::AuditRecord& record) override {
    // In WAL mode NORMAL writes the log without waiting; the next FULL commit waits for all of it.
    return write(changes, {record}, "NORMAL");
  }

  base::Status record_soon(const std::vector<store::AuditRecord>& records) override {
    return write({}, records, "NORMAL");
  }

  base::Result<std::vector<store::AuditEntry>> audit(std::size_t limit) override {
    return guarded("read the audit", [&] { return read_audit(database_, limit); });
  }

  base::Result<store::AuditSpan> audit_span() override {
    return guarded("read the audit",
                   [&]() -> base::Result<store::AuditSpan> { return read_audit_span(database_); });
  }

  base::Result<std::vector<store::AuditEntry>> audit_after(std::uint64_t number,
                                                           std::size_t limit) override {
    return guarded("read the audit", [&] { return read_audit_after(database_, number, limit); });
  }

  base::Result<std::uint64_t> forget_audit(base::WallTime time) override {
    return guarded("forget old records of the audit", [&]() -> base::Result<std::uint64_t> {
      SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
      const std::uint64_t forgotten = store_sqlite::forget_audit(database_, time);
      transaction.commit();
      return forgotten;
    });
  }

 private:
  base::Status write(const std::vector<store::Change>& changes,
                     const std::vector<store::AuditRecord>& records,
                     const std::string& synchronous) {
    return guarded("write the database", [&]() -> base::Status {
      database_.exec("PRAGMA synchronous = " + synchronous);
      SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
      for (const store::Change& change : changes) {
        std::visit([&](const auto& one) { write_change(database_, one); }, change);
      }
      for (const store::AuditRecord& record : records) write_audit(database_, record);
      transaction.commit();
      return {};
    });
  }

  SQLite::Database database_;
  std::string path_;
  FileId file_;
};

/// Makes the file with its final mode before SQLite could make it with another one; its journal
/// files take the mode from it.
base::Result<FileId> ensure_file(const std::string& path) {
  const int descriptor =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (descriptor < 0) {
    return base::os_error("open " + path)
        .with_hint(
            "check that the state directory exists, can be written and belongs to the daemon's "
            "user");
  }
  struct stat status{};
  const bool known = ::fstat(descriptor, &status) == 0;
  ::close(descriptor);
  if (!known) return base::os_error("look at " + path);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0) return FileId{status.st_dev, status.st_ino};
  return base::make_error(ErrorKind::NotPermitted,
                          "open " + path + ": others may read it, and it holds private keys",
                          "chmod 600 " + path);
}

void configure(SQLite::Database& database) {
  database.setBusyTimeout(kBusyTimeout_ms);
  database.exec("PRAGMA journal_mode = WAL");
  database.exec("PRAGMA synchronous = FULL");
  database.exec("PRAGMA foreign_keys = ON");
  database.exec("PRAGMA trusted_schema = OFF");
  // What is deleted is overwritten: gateways' keys are in here.
  database.exec("PRAGMA secure_delete = ON");
}

int version_of(SQLite::Database& database) {
  return database.execAndGet("PRAGMA user_version").getInt();
}

base::Status migrate(SQLite::Database& database, const std::string& path, int target) {
  int version = version_of(database);
  if (version > schema_version()) {
    return base::make_error(ErrorKind::Conflict,
                            "open " + path + ": it was written by a newer warren (its version is " +
                                std::to_string(version) + ", this program knows " +
                                std::to_string(schema_version()) + ")",
                            "upgrade warren, or restore a backup made by this version");
  }
  for (; version < target; ++version) {
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    database.exec(std::string(kMigrations[static_cast<std::size_t>(version)]));
    database.exec("PRAGMA user_version = " + std::to_string(version + 1));
    transaction.commit();
  }
  return {};
}

}  // namespace

int schema_version() { return static_cast<int>(kMigrations.size()); }

base::Result<std::unique_ptr<store::Store>> open_at_version(const std::string& path, int version) {
  WARREN_TRY_ASSIGN(const FileId file, ensure_file(path));
  return guarded("open " + path, [&]() -> base::Result<std::unique_ptr<store::Store>> {
    SQLite::Database database(path, SQLite::OPEN_READWRITE);
    configure(database);
    WARREN_TRY(migrate(database, path, version));
    return std::make_unique<SqliteStore>(std::move(database), path, file);
  });
}

base::Result<std::unique_ptr<store::Store>> open(const std::string& path) {
  return open_at_version(path, schema_version());
}

}  // namespace warren::store_sqlite
