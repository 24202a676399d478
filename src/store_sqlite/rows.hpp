// The values of the model as rows, and rows as values. These functions throw what SQLiteCpp throws,
// and SQLite::Exception for a row that no version of ours can have written. Private to this module.
#pragma once

#include <SQLiteCpp/Database.h>

#include "base/result.hpp"
#include "store/store.hpp"

namespace warren::store_sqlite {

[[nodiscard]] base::Result<store::State> read_state(SQLite::Database& database);
/// Refused everywhere, authorities, certificates, last lists and administrators' tokens, into the
/// state.
void read_identities(SQLite::Database& database, store::State& state);
[[nodiscard]] base::Result<std::vector<store::AuditEntry>> read_audit(SQLite::Database& database,
                                                                      std::size_t limit);
[[nodiscard]] store::AuditSpan read_audit_span(SQLite::Database& database);
[[nodiscard]] base::Result<std::vector<store::AuditEntry>> read_audit_after(
    SQLite::Database& database, std::uint64_t number, std::size_t limit);
[[nodiscard]] std::uint64_t forget_audit(SQLite::Database& database, base::WallTime time);

/// Of all networks, or of one.
void read_authorities(SQLite::Database& database, store::State& state,
                      std::optional<model::NetworkId> only);
void read_certificates(SQLite::Database& database, store::State& state,
                       std::optional<model::NetworkId> only);
void read_last_lists(SQLite::Database& database, store::State& state);

void write_change(SQLite::Database& database, const store::PutNetwork& change);
void write_change(SQLite::Database& database, const store::DeleteNetwork& change);
void write_change(SQLite::Database& database, const store::PutPeer& change);
void write_change(SQLite::Database& database, const store::DeletePeer& change);
void write_change(SQLite::Database& database, const store::PutToken& change);
void write_change(SQLite::Database& database, const store::DeleteTokensOf& change);
void write_change(SQLite::Database& database, const store::PutForward& change);
void write_change(SQLite::Database& database, const store::DeleteForward& change);
void write_change(SQLite::Database& database, const store::DeleteForwardsOf& change);
void write_change(SQLite::Database& database, const store::RefuseKey& change);
void write_change(SQLite::Database& database, const store::RefuseEverywhere& change);
void write_change(SQLite::Database& database, const store::PutAuthority& change);
void write_change(SQLite::Database& database, const store::DeleteAuthority& change);
void write_change(SQLite::Database& database, const store::PutCertificate& change);
void write_change(SQLite::Database& database, const store::DeleteCertificate& change);
void write_change(SQLite::Database& database, const store::PutLastList& change);
void write_change(SQLite::Database& database, const store::DeleteLastList& change);
void write_change(SQLite::Database& database, const store::PutApiToken& change);
void write_change(SQLite::Database& database, const store::DeleteApiToken& change);
void write_audit(SQLite::Database& database, const store::AuditRecord& record);

}  // namespace warren::store_sqlite
