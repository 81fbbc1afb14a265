-- 初始表结构：服务器、网关密钥、配置版本、审计。
-- Times are milliseconds since the Unix epoch, UTC. Flags are 0 or 1. The bounds repeat those of
-- gateway::admin_api::bounds, so that a row which no rule would have let in cannot exist either.
-- No triggers, and no semicolon inside a statement: every way of applying a migration can split it.

CREATE TABLE servers (
  id                  TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  name                TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
  base_url            TEXT    NOT NULL CHECK (length(base_url) BETWEEN 1 AND 2048),
  -- A JSON array of model names. The last character of a name may be an asterisk.
  models              TEXT    NOT NULL CHECK (json_valid(models) AND json_type(models) = 'array'),
  enabled             INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  -- Servers are tried in this order, and by id where two positions are equal.
  position            INTEGER NOT NULL CHECK (position >= 0),
  -- A limit of NULL means unlimited and 0 means paused.
  rpm_limit           INTEGER CHECK (rpm_limit BETWEEN 0 AND 1000000),
  tpm_limit           INTEGER CHECK (tpm_limit BETWEEN 0 AND 1000000000),
  max_concurrency     INTEGER CHECK (max_concurrency BETWEEN 0 AND 100000),
  queue_max           INTEGER NOT NULL CHECK (queue_max BETWEEN 0 AND 100000),
  queue_timeout_ms    INTEGER NOT NULL CHECK (queue_timeout_ms BETWEEN 0 AND 600000),
  on_full             TEXT    NOT NULL CHECK (on_full IN ('evict_oldest', 'reject_newest')),
  overflow            TEXT    NOT NULL CHECK (overflow IN ('wait', 'next_server')),
  upstream_timeout_ms INTEGER NOT NULL CHECK (upstream_timeout_ms BETWEEN 1000 AND 3600000),
  -- An envelope of gateway::envelope, never the key itself.
  api_key             TEXT    NOT NULL CHECK (api_key LIKE 'v1.%'),
  api_key_hint        TEXT    NOT NULL CHECK (length(api_key_hint) <= 4),
  -- Rises by one with each write of this row. It is the ETag and the version of the limits.
  version             INTEGER NOT NULL CHECK (version >= 1),
  created_at          INTEGER NOT NULL CHECK (created_at >= 0),
  updated_at          INTEGER NOT NULL CHECK (updated_at >= 0)
) STRICT;

CREATE INDEX servers_by_position ON servers (position, id);

CREATE TABLE gateway_keys (
  id         TEXT    NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 64),
  name       TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  -- NULL means any app.
  app        TEXT    CHECK (length(app) BETWEEN 1 AND 64),
  -- A JSON array of model names. NULL and an empty array mean any model.
  models     TEXT    CHECK (models IS NULL OR (json_valid(models) AND json_type(models) = 'array')),
  -- SHA-256 of the secret in lower-case hexadecimal. The secret itself is stored nowhere.
  digest     TEXT    NOT NULL UNIQUE CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
  prefix     TEXT    NOT NULL CHECK (length(prefix) BETWEEN 1 AND 14),
  expires_at INTEGER CHECK (expires_at >= 0),
  enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
  created_at INTEGER NOT NULL CHECK (created_at >= 0)
) STRICT;

CREATE INDEX gateway_keys_by_age ON gateway_keys (created_at, id);

-- One row. Its version rises with every change of servers, their order, or gateway keys.
CREATE TABLE config_version (
  id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version    INTEGER NOT NULL CHECK (version >= 1),
  updated_at INTEGER NOT NULL CHECK (updated_at >= 0)
) STRICT;

INSERT INTO config_version (id, version, updated_at) VALUES (1, 1, 0);

-- Who changed what, when. Written in the transaction of the change itself.
CREATE TABLE audit (
  id          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at          INTEGER NOT NULL CHECK (at >= 0),
  actor       TEXT    NOT NULL CHECK (length(actor) BETWEEN 1 AND 256),
  action      TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
  target_kind TEXT    NOT NULL CHECK (length(target_kind) BETWEEN 1 AND 32),
  target_id   TEXT    NOT NULL CHECK (length(target_id) <= 64),
  -- The fields that were written, without secrets.
  detail      TEXT    NOT NULL CHECK (json_valid(detail))
) STRICT;

CREATE INDEX audit_by_target ON audit (target_kind, target_id, id);
