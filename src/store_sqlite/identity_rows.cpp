// Identities as rows: refused keys of the whole gateway, authorities, certificates, last lists,
// tokens.
#include <SQLiteCpp/SQLiteCpp.h>

#include "store_sqlite/columns.hpp"
#include "store_sqlite/rows.hpp"

namespace warren::store_sqlite {

namespace {

void read_refused_everywhere(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database, "SELECT key, since FROM refused_everywhere");
  while (rows.executeStep()) {
    Row row(rows);
    const base::PublicKey key{row.bytes32()};
    state.refused_everywhere.emplace(key, row.time());
  }
}

void read_api_tokens(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(
      database, "SELECT name, secret_hash, network, read_only, created, expires FROM api_tokens");
  while (rows.executeStep()) {
    Row row(rows);
    store::ApiToken token;
    token.name = row.text();
    token.secret_hash = row.bytes32();
    const auto network = row.number_or_null<std::uint32_t>();
    if (network) token.network = model::NetworkId{*network};
    token.read_only = row.number() != 0;
    token.created = row.time();
    token.expires = row.time();
    state.api_tokens.emplace(token.name, token);
  }
}

template <typename Id>
std::optional<std::int64_t> value_of(const std::optional<Id>& id) {
  if (!id) return std::nullopt;
  return id->value;
}

}  // namespace

void read_authorities(SQLite::Database& database, store::State& state,
                      std::optional<model::NetworkId> only) {
  SQLite::Statement rows(database,
                         "SELECT network, number, certificate, private_key, chain, retiring, "
                         "brought, list_number, created FROM authorities "
                         "WHERE ?1 IS NULL OR network = ?1");
  Binder(rows).add_or_null(value_of(only));
  while (rows.executeStep()) {
    Row row(rows);
    store::StoredAuthority authority;
    authority.network = {row.number<std::uint32_t>()};
    authority.number = row.number<std::uint32_t>();
    authority.certificate_pem = row.text();
    authority.private_key_pem = row.text();
    authority.chain_pem = row.text();
    authority.retiring = row.number() != 0;
    authority.brought = row.number() != 0;
    authority.list_number = row.number<std::uint64_t>();
    authority.created = row.time();
    state.authorities.emplace(std::pair(authority.network, authority.number), authority);
  }
}

void read_certificates(SQLite::Database& database, store::State& state,
                       std::optional<model::NetworkId> only) {
  SQLite::Statement rows(database,
                         "SELECT serial, network, authority, peer, name, role, server, issued, "
                         "not_after, revoked FROM certificates" +
                             std::string(only ? " WHERE network = ?" : ""));
  if (only) Binder(rows).add(only->value);
  while (rows.executeStep()) {
    Row row(rows);
    store::IssuedCertificate certificate;
    certificate.serial = row.text();
    certificate.network = {row.number<std::uint32_t>()};
    certificate.authority = row.number<std::uint32_t>();
    const auto peer = row.number_or_null<std::uint32_t>();
    if (peer) certificate.peer = model::PeerId{*peer};
    certificate.name = row.text();
    certificate.role = row.text();
    certificate.is_server = row.number() != 0;
    certificate.issued = row.time();
    certificate.not_after = row.time();
    certificate.revoked = row.time();
    state.certificates.emplace(certificate.serial, certificate);
  }
}

void read_last_lists(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database, "SELECT authority, der, until FROM last_lists");
  while (rows.executeStep()) {
    Row row(rows);
    store::LastList list;
    list.authority = row.text();
    list.der = row.text();
    list.until = row.time();
    state.last_lists.emplace(list.authority, std::move(list));
  }
}

void read_identities(SQLite::Database& database, store::State& state) {
  read_refused_everywhere(database, state);
  read_authorities(database, state, std::nullopt);
  read_certificates(database, state, std::nullopt);
  read_last_lists(database, state);
  read_api_tokens(database, state);
}

void write_change(SQLite::Database& database, const store::RefuseEverywhere& change) {
  SQLite::Statement put(database,
                        "INSERT INTO refused_everywhere (key, since) VALUES (?, ?) "
                        "ON CONFLICT (key) DO NOTHING");
  Binder(put).blob(change.key.bytes).add(change.since.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::PutAuthority& change) {
  const store::StoredAuthority& authority = change.authority;
  SQLite::Statement put(database,
                        upsert("authorities", "network, number",
                               "certificate, private_key, chain, retiring, brought, list_number, "
                               "created"));
  Binder(put)
      .add(authority.network.value)
      .add(authority.number)
      .add(authority.certificate_pem)
      .add(authority.private_key_pem)
      .add(authority.chain_pem)
      .add(authority.retiring ? 1 : 0)
      .add(authority.brought ? 1 : 0)
      .add(static_cast<std::int64_t>(authority.list_number))
      .add(authority.created.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteAuthority& change) {
  execute(database, "DELETE FROM authorities WHERE network = ? AND number = ?",
          change.network.value, change.number);
}

void write_change(SQLite::Database& database, const store::PutCertificate& change) {
  const store::IssuedCertificate& certificate = change.certificate;
  SQLite::Statement put(database,
                        upsert("certificates", "serial",
                               "network, authority, peer, name, role, server, issued, not_after, "
                               "revoked"));
  Binder(put)
      .add(certificate.serial)
      .add(certificate.network.value)
      .add(certificate.authority)
      .add_or_null(value_of(certificate.peer))
      .add(certificate.name)
      .add(certificate.role)
      .add(certificate.is_server ? 1 : 0)
      .add(certificate.issued.ns)
      .add(certificate.not_after.ns)
      .add(certificate.revoked.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteCertificate& change) {
  execute(database, "DELETE FROM certificates WHERE serial = ?", change.serial);
}

void write_change(SQLite::Database& database, const store::PutLastList& change) {
  SQLite::Statement put(database, upsert("last_lists", "authority", "der, until"));
  Binder(put)
      .add(change.list.authority)
      .blob(base::as_bytes(change.list.der))
      .add(change.list.until.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteLastList& change) {
  execute(database, "DELETE FROM last_lists WHERE authority = ?", change.authority);
}

void write_change(SQLite::Database& database, const store::PutApiToken& change) {
  const store::ApiToken& token = change.token;
  SQLite::Statement put(
      database, upsert("api_tokens", "name", "secret_hash, network, read_only, created, expires"));
  Binder(put)
      .add(token.name)
      .blob(token.secret_hash)
      .add_or_null(value_of(token.network))
      .add(token.read_only ? 1 : 0)
      .add(token.created.ns)
      .add(token.expires.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteApiToken& change) {
  execute(database, "DELETE FROM api_tokens WHERE name = ?", change.name);
}

}  // namespace warren::store_sqlite
