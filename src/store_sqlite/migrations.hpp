// The schema, as the list of steps that made it. Steps are appended, never changed: a database in
// the field has run exactly those that its user_version counts.
#pragma once

#include <array>
#include <string_view>

namespace warren::store_sqlite {

// Times are nanoseconds since 1970. Addresses, prefixes and lists of addresses are text as people
// write them; keys, secrets and hashes are blobs. Names of states are those of model::to_string.
inline constexpr std::array<std::string_view, 9> kMigrations{
    // 1: networks, peers, tokens, refused keys, audit.
    R"sql(
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  next_peer_id INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, next_peer_id) VALUES (1, 1);

CREATE TABLE networks (
  id INTEGER PRIMARY KEY CHECK (id > 0),
  name TEXT NOT NULL UNIQUE,
  subnet4 TEXT,
  subnet6 TEXT,
  port INTEGER NOT NULL UNIQUE CHECK (port BETWEEN 0 AND 65535),
  endpoint_host TEXT NOT NULL,
  nat INTEGER NOT NULL CHECK (nat IN (0, 1)),
  dns TEXT NOT NULL,
  mtu INTEGER NOT NULL,
  transit INTEGER NOT NULL UNIQUE,
  gateway_key BLOB NOT NULL CHECK (length(gateway_key) = 32),
  gateway_private_key BLOB NOT NULL CHECK (length(gateway_private_key) = 32),
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE peers (
  id INTEGER PRIMARY KEY CHECK (id > 0),
  network INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('invited', 'enrolled', 'revoked')),
  address4 TEXT,
  address6 TEXT,
  public_key BLOB CHECK (public_key IS NULL OR length(public_key) = 32),
  invited INTEGER NOT NULL,
  enrolled INTEGER NOT NULL,
  revoked INTEGER NOT NULL,
  UNIQUE (network, address4),
  UNIQUE (network, address6),
  UNIQUE (id, network)
) STRICT;
CREATE UNIQUE INDEX peers_by_name ON peers (network, name) WHERE state != 'revoked';
CREATE UNIQUE INDEX peers_by_key ON peers (network, public_key) WHERE state != 'revoked';

CREATE TABLE tokens (
  secret_hash BLOB PRIMARY KEY CHECK (length(secret_hash) = 32),
  network INTEGER NOT NULL,
  peer INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  bound_to BLOB CHECK (bound_to IS NULL OR length(bound_to) = 32),
  FOREIGN KEY (peer, network) REFERENCES peers (id, network) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_peer ON tokens (peer, network);

CREATE TABLE refused_keys (
  network INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  key BLOB NOT NULL CHECK (length(key) = 32),
  since INTEGER NOT NULL,
  PRIMARY KEY (network, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  result TEXT NOT NULL
) STRICT;
)sql",
    // 2: the audit is read by target, and it can only grow.
    R"sql(
CREATE INDEX audit_by_target ON audit (target);
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit is never changed');
END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
BEGIN
  SELECT RAISE(ABORT, 'the audit is never deleted');
END;
)sql",
    // 3: peers that are added by hand, and memberships that end by themselves.
    R"sql(
ALTER TABLE peers ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0 CHECK (by_hand IN (0, 1));
ALTER TABLE peers ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
)sql",
    // 4: networks that are stopped, chosen addresses of gateways, reserved ranges; forwards.
    R"sql(
ALTER TABLE networks ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0 CHECK (stopped IN (0, 1));
ALTER TABLE networks ADD COLUMN gateway4 TEXT;
ALTER TABLE networks ADD COLUMN gateway6 TEXT;
ALTER TABLE networks ADD COLUMN reserved TEXT NOT NULL DEFAULT '';
CREATE TABLE forwards (
  protocol TEXT NOT NULL CHECK (protocol IN ('tcp', 'udp')),
  port INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
  network INTEGER NOT NULL,
  peer INTEGER NOT NULL,
  to_port INTEGER NOT NULL CHECK (to_port BETWEEN 1 AND 65535),
  PRIMARY KEY (protocol, port),
  FOREIGN KEY (peer, network) REFERENCES peers (id, network) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX forwards_by_peer ON forwards (peer, network);
)sql",
    // 5: ephemeral peers.
    R"sql(
ALTER TABLE peers ADD COLUMN lease INTEGER NOT NULL DEFAULT 0 CHECK (lease >= 0);
)sql",
    // 6: roles with ranges and limits, policies. What peers were called before there were roles
    // becomes a role of that name; the nameless and "default" one is called "member".
    R"sql(
CREATE TABLE roles (
  network INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 0),
  range4 TEXT,
  range6 TEXT,
  max_members INTEGER NOT NULL,
  membership INTEGER NOT NULL,
  PRIMARY KEY (network, name),
  UNIQUE (network, number)
) STRICT, WITHOUT ROWID;
UPDATE peers SET role = 'member' WHERE role IN ('', 'default');
INSERT INTO roles (network, name, number, range4, range6, max_members, membership)
  SELECT network, role, row_number() OVER (PARTITION BY network ORDER BY role), NULL, NULL, 0, 0
  FROM (SELECT DISTINCT network, role FROM peers WHERE role != 'member');
ALTER TABLE networks ADD COLUMN default_role TEXT NOT NULL DEFAULT '';
ALTER TABLE networks ADD COLUMN max_members INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN policy TEXT NOT NULL DEFAULT '';
)sql",
    // 7: the audit is a chain that begins behind the records of before; the oldest may be forgotten
    // once the anchor has passed them. "chain" is NULL in records that are older than the chain.
    R"sql(
CREATE TABLE audit_anchor (
  number INTEGER NOT NULL,
  chain BLOB NOT NULL CHECK (length(chain) = 32)
) STRICT;
INSERT INTO audit_anchor SELECT coalesce(max(id), 0), zeroblob(32) FROM audit;
ALTER TABLE audit ADD COLUMN chain BLOB CHECK (length(chain) = 32);
DROP TRIGGER audit_is_never_deleted;
CREATE TRIGGER audit_is_only_forgotten BEFORE DELETE ON audit
WHEN OLD.id > (SELECT number FROM audit_anchor)
BEGIN
  SELECT RAISE(ABORT, 'the audit is never deleted');
END;
)sql",
    // 8: names, segments of the host and persons; keys that no network accepts; authorities, the
    // certificates they issued, and the tokens of remote administrators.
    R"sql(
ALTER TABLE networks ADD COLUMN max_devices INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN names INTEGER NOT NULL DEFAULT 0 CHECK (names IN (0, 1));
ALTER TABLE networks ADD COLUMN forwarders TEXT NOT NULL DEFAULT '';
ALTER TABLE networks ADD COLUMN attach TEXT NOT NULL DEFAULT '';
ALTER TABLE networks ADD COLUMN host_access INTEGER NOT NULL DEFAULT 0
  CHECK (host_access IN (0, 1));
ALTER TABLE networks ADD COLUMN listen TEXT NOT NULL DEFAULT '';
ALTER TABLE peers ADD COLUMN person TEXT NOT NULL DEFAULT '';
CREATE TABLE refused_everywhere (
  key BLOB PRIMARY KEY CHECK (length(key) = 32),
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE authorities (
  network INTEGER NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
  number INTEGER NOT NULL CHECK (number > 0),
  certificate TEXT NOT NULL,
  private_key TEXT NOT NULL,
  chain TEXT NOT NULL,
  retiring INTEGER NOT NULL CHECK (retiring IN (0, 1)),
  list_number INTEGER NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (network, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_current_authority ON authorities (network) WHERE retiring = 0;
CREATE TABLE certificates (
  serial TEXT PRIMARY KEY,
  network INTEGER NOT NULL,
  authority INTEGER NOT NULL,
  peer INTEGER,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  issued INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  revoked INTEGER NOT NULL,
  FOREIGN KEY (network, authority) REFERENCES authorities (network, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_by_authority ON certificates (network, authority);
CREATE TABLE api_tokens (
  name TEXT PRIMARY KEY,
  secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32),
  network INTEGER REFERENCES networks (id) ON DELETE CASCADE,
  read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_tokens_by_network ON api_tokens (network);
)sql",
    // 9: what stays of an authority that is no more; whether one was brought, and whether a
    // certificate is a server's.
    R"sql(
ALTER TABLE authorities ADD COLUMN brought INTEGER NOT NULL DEFAULT 0 CHECK (brought IN (0, 1));
UPDATE authorities SET brought = 1 WHERE chain != '';
ALTER TABLE certificates ADD COLUMN server INTEGER NOT NULL DEFAULT 0 CHECK (server IN (0, 1));
UPDATE certificates SET server = 1 WHERE role = 'server';
CREATE TABLE last_lists (
  authority TEXT PRIMARY KEY CHECK (length(authority) = 64),
  der BLOB NOT NULL,
  until INTEGER NOT NULL
) STRICT;
)sql",
};

}  // namespace warren::store_sqlite
