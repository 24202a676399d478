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

void read_authorities(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT network, number, certificate, private_key, chain, retiring, "
                         "brought, list_number, created FROM authorities");
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

void read_certificates(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT serial, network, authority, peer, name, role, server, issued, "
                         "not_after, revoked FROM certificates");
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

void read_identities(SQLite::Database& database, store::State& state) {
  read_refused_everywhere(database, state);
  read_authorities(database, state);
  read_certificates(database, state);
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
  SQLite::Statement put(
      database,
      "INSERT INTO authorities (network, number, certificate, private_key, chain, retiring, "
      "brought, list_number, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (network, number) DO UPDATE SET certificate = excluded.certificate, "
      "private_key = excluded.private_key, chain = excluded.chain, retiring = excluded.retiring, "
      "brought = excluded.brought, list_number = excluded.list_number, created = excluded.created");
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
  SQLite::Statement remove(database, "DELETE FROM authorities WHERE network = ? AND number = ?");
  Binder(remove).add(change.network.value).add(change.number);
  remove.exec();
}

void write_change(SQLite::Database& database, const store::PutCertificate& change) {
  const store::IssuedCertificate& certificate = change.certificate;
  SQLite::Statement put(
      database,
      "INSERT INTO certificates (serial, network, authority, peer, name, role, server, issued, "
      "not_after, revoked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (serial) DO UPDATE SET network = excluded.network, "
      "authority = excluded.authority, peer = excluded.peer, name = excluded.name, "
      "role = excluded.role, server = excluded.server, issued = excluded.issued, "
      "not_after = excluded.not_after, revoked = excluded.revoked");
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
  SQLite::Statement remove(database, "DELETE FROM certificates WHERE serial = ?");
  Binder(remove).add(change.serial);
  remove.exec();
}

void write_change(SQLite::Database& database, const store::PutLastList& change) {
  SQLite::Statement put(database,
                        "INSERT INTO last_lists (authority, der, until) VALUES (?, ?, ?) "
                        "ON CONFLICT (authority) DO UPDATE SET der = excluded.der, "
                        "until = excluded.until");
  Binder(put)
      .add(change.list.authority)
      .blob(base::as_bytes(change.list.der))
      .add(change.list.until.ns);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteLastList& change) {
  SQLite::Statement remove(database, "DELETE FROM last_lists WHERE authority = ?");
  Binder(remove).add(change.authority);
  remove.exec();
}

void write_change(SQLite::Database& database, const store::PutApiToken& change) {
  const store::ApiToken& token = change.token;
  SQLite::Statement put(
      database,
      "INSERT INTO api_tokens (name, secret_hash, network, read_only, created, expires) "
      "VALUES (?, ?, ?, ?, ?, ?) "
      "ON CONFLICT (name) DO UPDATE SET secret_hash = excluded.secret_hash, "
      "network = excluded.network, read_only = excluded.read_only, created = excluded.created, "
      "expires = excluded.expires");
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
  SQLite::Statement remove(database, "DELETE FROM api_tokens WHERE name = ?");
  Binder(remove).add(change.name);
  remove.exec();
}

}  // namespace warren::store_sqlite
