#include "store_sqlite/rows.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <string>

#include "store_sqlite/columns.hpp"

namespace warren::store_sqlite {

namespace {

template <typename T>
std::string join(const std::vector<T>& values) {
  std::string out;
  for (const T& value : values) out += (out.empty() ? "" : " ") + value.to_string();
  return out;
}

template <typename T>
std::vector<T> split(const std::string& text, Row& row) {
  std::vector<T> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const auto value = T::parse(std::string_view(text).substr(at, end - at));
    if (!value) row.damaged();
    out.push_back(*value);
    at = end + 1;
  }
  return out;
}

void read_networks(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT id, name, subnet4, subnet6, port, endpoint_host, nat, dns, mtu, "
                         "transit, gateway_key, gateway_private_key, created, stopped, gateway4, "
                         "gateway6, reserved, default_role, max_members, policy, max_devices, "
                         "names, forwarders, attach, host_access, listen FROM networks");
  while (rows.executeStep()) {
    Row row(rows);
    store::StoredNetwork stored;
    model::Network& network = stored.network;
    network.id = {row.number<std::uint32_t>()};
    network.name = row.text();
    network.subnet4 = row.parsed<base::Prefix>();
    network.subnet6 = row.parsed<base::Prefix>();
    network.port = row.number<std::uint16_t>();
    network.endpoint_host = row.text();
    network.nat = row.number() != 0;
    network.dns = split<base::IpAddress>(row.text(), row);
    network.mtu = row.number<std::uint16_t>();
    network.transit = row.number<std::uint32_t>();
    network.gateway_key = {row.bytes32()};
    stored.gateway_private_key = row.bytes32();
    network.created = row.time();
    network.stopped = row.number() != 0;
    network.chosen_gateway4 = row.parsed<base::IpAddress>();
    network.chosen_gateway6 = row.parsed<base::IpAddress>();
    network.reserved = split<model::AddressRange>(row.text(), row);
    network.default_role = row.text();
    network.max_members = row.number<std::uint32_t>();
    network.policy = row.text();
    network.max_devices = row.number<std::uint32_t>();
    network.names = row.number() != 0;
    network.forwarders = split<base::IpAddress>(row.text(), row);
    network.attach = row.text();
    network.host_access = row.number() != 0;
    network.listen = split<base::IpAddress>(row.text(), row);
    state.networks.emplace(network.id, std::move(stored));
  }
}

void read_roles(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT network, name, number, range4, range6, max_members, membership "
                         "FROM roles ORDER BY network, name");
  while (rows.executeStep()) {
    Row row(rows);
    const auto network = state.networks.find({row.number<std::uint32_t>()});
    if (network == state.networks.end()) row.damaged();
    model::Role role;
    role.name = row.text();
    role.number = row.number<std::uint32_t>();
    role.range4 = row.parsed<model::AddressRange>();
    role.range6 = row.parsed<model::AddressRange>();
    role.max_members = row.number<std::uint32_t>();
    role.membership_s = row.number<std::uint32_t>();
    network->second.network.roles.push_back(std::move(role));
  }
}

/// The roles of a network are exactly these.
void write_roles(SQLite::Database& database, const model::Network& network) {
  execute(database, "DELETE FROM roles WHERE network = ?", network.id.value);
  for (const model::Role& role : network.roles) {
    SQLite::Statement put(database,
                          "INSERT INTO roles (network, name, number, range4, range6, max_members, "
                          "membership) VALUES (?, ?, ?, ?, ?, ?, ?)");
    Binder(put)
        .add(network.id.value)
        .add(role.name)
        .add(role.number)
        .text_of(role.range4)
        .text_of(role.range6)
        .add(role.max_members)
        .add(role.membership_s);
    put.exec();
  }
}

void read_peers(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT id, network, name, role, state, address4, address6, public_key, "
                         "invited, enrolled, revoked, by_hand, expires, lease, person FROM peers");
  while (rows.executeStep()) {
    Row row(rows);
    model::Peer peer;
    peer.id = {row.number<std::uint32_t>()};
    peer.network = {row.number<std::uint32_t>()};
    peer.name = row.text();
    peer.role = row.text();
    const auto peer_state = model::parse_peer_state(row.text());
    if (!peer_state) row.damaged();
    peer.state = *peer_state;
    peer.address4 = row.parsed<base::IpAddress>();
    peer.address6 = row.parsed<base::IpAddress>();
    peer.public_key = row.key();
    peer.invited = row.time();
    peer.enrolled = row.time();
    peer.revoked = row.time();
    peer.by_hand = row.number() != 0;
    peer.expires = row.time();
    peer.lease_s = row.number<std::uint32_t>();
    peer.person = row.text();
    state.peers.emplace(peer.id, std::move(peer));
  }
}

void read_tokens(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT secret_hash, network, peer, expires, bound_to FROM tokens "
                         "ORDER BY secret_hash");
  while (rows.executeStep()) {
    Row row(rows);
    model::Token token;
    token.secret_hash = row.bytes32();
    token.network = {row.number<std::uint32_t>()};
    token.peer = {row.number<std::uint32_t>()};
    token.expires = row.time();
    token.bound_to = row.key();
    state.tokens.push_back(token);
  }
}

void read_refused(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database,
                         "SELECT network, key, since FROM refused_keys ORDER BY network, key");
  while (rows.executeStep()) {
    Row row(rows);
    store::RefusedKey refused;
    refused.network = {row.number<std::uint32_t>()};
    refused.key = {row.bytes32()};
    refused.since = row.time();
    state.refused.push_back(refused);
  }
}

void read_forwards(SQLite::Database& database, store::State& state) {
  SQLite::Statement rows(database, "SELECT protocol, port, network, peer, to_port FROM forwards");
  while (rows.executeStep()) {
    Row row(rows);
    model::Forward forward;
    const auto protocol = model::parse_protocol(row.text());
    if (!protocol) row.damaged();
    forward.from = {*protocol, row.number<std::uint16_t>()};
    forward.network = {row.number<std::uint32_t>()};
    forward.peer = {row.number<std::uint32_t>()};
    forward.to_port = row.number<std::uint16_t>();
    state.forwards.emplace(forward.from, forward);
  }
}

}  // namespace

base::Result<store::State> read_state(SQLite::Database& database) {
  // One transaction: the tables are of one instant, whoever else may be writing.
  SQLite::Transaction transaction(database);
  store::State state;
  read_networks(database, state);
  read_roles(database, state);
  read_peers(database, state);
  read_tokens(database, state);
  read_refused(database, state);
  read_forwards(database, state);
  read_identities(database, state);
  state.next_peer_id = database.execAndGet("SELECT next_peer_id FROM meta").getUInt();
  transaction.commit();
  return state;
}

void write_change(SQLite::Database& database, const store::PutNetwork& change) {
  const model::Network& network = change.network.network;
  SQLite::Statement put(
      database, upsert("networks", "id",
                       "name, subnet4, subnet6, port, endpoint_host, nat, dns, mtu, transit, "
                       "gateway_key, gateway_private_key, created, stopped, gateway4, "
                       "gateway6, reserved, default_role, max_members, policy, max_devices, "
                       "names, forwarders, attach, host_access, listen"));
  Binder(put)
      .add(network.id.value)
      .add(network.name)
      .text_of(network.subnet4)
      .text_of(network.subnet6)
      .add(network.port)
      .add(network.endpoint_host)
      .add(network.nat ? 1 : 0)
      .add(join(network.dns))
      .add(network.mtu)
      .add(network.transit)
      .blob(network.gateway_key.bytes)
      .blob(change.network.gateway_private_key)
      .add(network.created.ns)
      .add(network.stopped ? 1 : 0)
      .text_of(network.chosen_gateway4)
      .text_of(network.chosen_gateway6)
      .add(join(network.reserved))
      .add(network.default_role)
      .add(network.max_members)
      .add(network.policy)
      .add(network.max_devices)
      .add(network.names ? 1 : 0)
      .add(join(network.forwarders))
      .add(network.attach)
      .add(network.host_access ? 1 : 0)
      .add(join(network.listen));
  put.exec();
  write_roles(database, network);
}

void write_change(SQLite::Database& database, const store::DeleteNetwork& change) {
  execute(database, "DELETE FROM networks WHERE id = ?", change.id.value);
}

void write_change(SQLite::Database& database, const store::PutPeer& change) {
  const model::Peer& peer = change.peer;
  SQLite::Statement put(
      database, upsert("peers", "id",
                       "network, name, role, state, address4, address6, public_key, invited, "
                       "enrolled, revoked, by_hand, expires, lease, person"));
  Binder(put)
      .add(peer.id.value)
      .add(peer.network.value)
      .add(peer.name)
      .add(peer.role)
      .add(std::string(model::to_string(peer.state)))
      .text_of(peer.address4)
      .text_of(peer.address6)
      .key(peer.public_key)
      .add(peer.invited.ns)
      .add(peer.enrolled.ns)
      .add(peer.revoked.ns)
      .add(peer.by_hand ? 1 : 0)
      .add(peer.expires.ns)
      .add(peer.lease_s)
      .add(peer.person);
  put.exec();
  execute(database, "UPDATE meta SET next_peer_id = max(next_peer_id, ? + 1) WHERE id = 1",
          peer.id.value);
}

void write_change(SQLite::Database& database, const store::DeletePeer& change) {
  execute(database, "DELETE FROM peers WHERE id = ?", change.id.value);
}

void write_change(SQLite::Database& database, const store::PutToken& change) {
  const model::Token& token = change.token;
  SQLite::Statement put(database,
                        upsert("tokens", "secret_hash", "network, peer, expires, bound_to"));
  Binder(put)
      .blob(token.secret_hash)
      .add(token.network.value)
      .add(token.peer.value)
      .add(token.expires.ns)
      .key(token.bound_to);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteTokensOf& change) {
  execute(database, "DELETE FROM tokens WHERE peer = ?", change.peer.value);
}

void write_change(SQLite::Database& database, const store::PutForward& change) {
  const model::Forward& forward = change.forward;
  SQLite::Statement put(database, upsert("forwards", "protocol, port", "network, peer, to_port"));
  Binder(put)
      .add(std::string(model::to_string(forward.from.protocol)))
      .add(forward.from.port)
      .add(forward.network.value)
      .add(forward.peer.value)
      .add(forward.to_port);
  put.exec();
}

void write_change(SQLite::Database& database, const store::DeleteForward& change) {
  execute(database, "DELETE FROM forwards WHERE protocol = ? AND port = ?",
          std::string(model::to_string(change.from.protocol)), change.from.port);
}

void write_change(SQLite::Database& database, const store::DeleteForwardsOf& change) {
  execute(database, "DELETE FROM forwards WHERE peer = ?", change.peer.value);
}

void write_change(SQLite::Database& database, const store::RefuseKey& change) {
  SQLite::Statement put(database,
                        "INSERT INTO refused_keys (network, key, since) VALUES (?, ?, ?) "
                        "ON CONFLICT (network, key) DO NOTHING");
  Binder(put).add(change.key.network.value).blob(change.key.key.bytes).add(change.key.since.ns);
  put.exec();
}

}  // namespace warren::store_sqlite
