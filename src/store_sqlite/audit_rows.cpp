// The audit and its chain. The anchor is one row: the last record that is forgotten (or older than
// the chain) and its hash. The triggers of the schema let a record go only once the anchor has
// passed it, and never change one.
#include <SQLiteCpp/SQLiteCpp.h>

#include <algorithm>
#include <limits>

#include "store_sqlite/columns.hpp"
#include "store_sqlite/rows.hpp"

namespace warren::store_sqlite {

namespace {

std::int64_t clamped(std::uint64_t number) {
  return static_cast<std::int64_t>(
      std::min<std::uint64_t>(number, std::numeric_limits<std::int64_t>::max()));
}

/// Columns: id, time, actor, action, target, result, chain.
std::vector<store::AuditEntry> read_entries(SQLite::Statement& rows) {
  std::vector<store::AuditEntry> entries;
  while (rows.executeStep()) {
    Row row(rows);
    store::AuditEntry entry;
    entry.number = row.number<std::uint64_t>();
    entry.record.time = row.time();
    entry.record.actor = row.text();
    entry.record.action = row.text();
    entry.record.target = row.text();
    entry.record.result = row.text();
    constexpr int kChain = 6;
    if (!rows.isColumnNull(kChain)) entry.chain = row.bytes32();
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace

base::Result<std::vector<store::AuditEntry>> read_audit(SQLite::Database& database,
                                                        std::size_t limit) {
  SQLite::Statement rows(database,
                         "SELECT id, time, actor, action, target, result, chain FROM audit "
                         "ORDER BY id DESC LIMIT ?");
  Binder(rows).add(clamped(limit));
  return read_entries(rows);
}

store::AuditSpan read_audit_span(SQLite::Database& database) {
  store::AuditSpan span;
  SQLite::Statement anchor(database, "SELECT number, chain FROM audit_anchor");
  if (anchor.executeStep()) {
    Row row(anchor);
    span.before = row.number<std::uint64_t>();
    span.anchor = row.bytes32();
  }
  span.last = span.before;
  span.head = span.anchor;
  SQLite::Statement newest(database,
                           "SELECT id, chain FROM audit WHERE id > ? ORDER BY id DESC LIMIT 1");
  Binder(newest).add(clamped(span.before));
  if (newest.executeStep()) {
    Row row(newest);
    span.last = row.number<std::uint64_t>();
    span.head = row.bytes32();
  }
  return span;
}

base::Result<std::vector<store::AuditEntry>> read_audit_after(SQLite::Database& database,
                                                              std::uint64_t number,
                                                              std::size_t limit) {
  SQLite::Statement rows(database,
                         "SELECT id, time, actor, action, target, result, chain FROM audit "
                         "WHERE id > max(?, (SELECT number FROM audit_anchor)) "
                         "ORDER BY id LIMIT ?");
  Binder(rows).add(clamped(number)).add(clamped(limit));
  return read_entries(rows);
}

std::uint64_t forget_audit(SQLite::Database& database, base::WallTime time) {
  SQLite::Statement first_kept(database, "SELECT min(id) FROM audit WHERE time >= ?");
  Binder(first_kept).add(time.ns);
  const bool any = first_kept.executeStep() && !first_kept.isColumnNull(0);
  SQLite::Statement last_gone(database,
                              "SELECT id, chain FROM audit WHERE id < ? ORDER BY id DESC LIMIT 1");
  Binder(last_gone).add(any ? first_kept.getColumn(0).getInt64()
                            : std::numeric_limits<std::int64_t>::max());
  if (!last_gone.executeStep()) return 0;
  // Records older than the chain have no hash: the anchor is behind them already.
  if (!last_gone.isColumnNull(1)) {
    Row row(last_gone);
    const auto number = row.number();
    const auto chain = row.bytes32();
    SQLite::Statement move(database, "UPDATE audit_anchor SET number = ?, chain = ?");
    Binder(move).add(number).blob(chain);
    move.exec();
  }
  SQLite::Statement remove(database, "DELETE FROM audit WHERE id <= ?");
  Binder(remove).add(last_gone.getColumn(0).getInt64());
  return static_cast<std::uint64_t>(remove.exec());
}

void write_audit(SQLite::Database& database, const store::AuditRecord& record) {
  const store::ChainHash chain = store::chain_after(read_audit_span(database).head, record);
  SQLite::Statement put(database,
                        "INSERT INTO audit (time, actor, action, target, result, chain) "
                        "VALUES (?, ?, ?, ?, ?, ?)");
  Binder(put)
      .add(record.time.ns)
      .add(record.actor)
      .add(record.action)
      .add(record.target)
      .add(record.result)
      .blob(chain);
  put.exec();
}

}  // namespace warren::store_sqlite
