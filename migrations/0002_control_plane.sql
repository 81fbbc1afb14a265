-- 控制面：密钥轮换的宽限、审计的筛选、表结构的版本。
-- The secret that a rotated gateway key had before, the indexes of the audit list, and the version of this
-- schema. Each later migration sets that version to its own number.

-- SHA-256 of the secret before the last rotation, and the time at which that one stops working.
ALTER TABLE gateway_keys ADD COLUMN previous_digest TEXT
  CHECK (previous_digest IS NULL OR (length(previous_digest) = 64 AND previous_digest NOT GLOB '*[^0-9a-f]*'));
ALTER TABLE gateway_keys ADD COLUMN previous_expires_at INTEGER
  CHECK (previous_expires_at >= 0 AND (previous_digest IS NULL) = (previous_expires_at IS NULL));

CREATE UNIQUE INDEX gateway_keys_by_previous_digest ON gateway_keys (previous_digest);

-- One for each filter of the list, each in the list's order. The id is the last part of every index.
DROP INDEX audit_by_target;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX audit_by_target ON audit (target_id, at);
CREATE INDEX audit_by_kind ON audit (target_kind, at);
CREATE INDEX audit_by_actor ON audit (actor, at);
CREATE INDEX audit_by_action ON audit (action, at);

CREATE TABLE schema_version (
  id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL CHECK (version >= 1)
) STRICT;

INSERT INTO schema_version (id, version) VALUES (1, 2);
