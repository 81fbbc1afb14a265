-- 用量：日志行、按小时与按天的汇总、汇总的水位。
-- Times are milliseconds since the Unix epoch, UTC. One row of logs for each request, then sums of them.
-- No triggers, and no semicolon inside a statement: every way of applying a migration can split it.

CREATE TABLE logs (
  -- The order in which rows came to be here, never used twice. The rollup's watermark is one of these.
  sequence          INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  -- What makes writing a row twice harmless.
  ticket            TEXT    NOT NULL UNIQUE CHECK (length(ticket) BETWEEN 1 AND 64),
  -- As the client chose it, or with a tilde and the ticket behind it where that was taken.
  request_id        TEXT    NOT NULL UNIQUE CHECK (length(request_id) <= 192),
  started_at        INTEGER NOT NULL CHECK (started_at >= 0),
  stored_at         INTEGER NOT NULL CHECK (stored_at >= 0),
  app               TEXT    NOT NULL CHECK (length(app) <= 64),
  key_id            TEXT    NOT NULL CHECK (length(key_id) <= 64),
  server_id         TEXT    NOT NULL CHECK (length(server_id) <= 64),
  model             TEXT    NOT NULL CHECK (length(model) <= 256),
  endpoint          TEXT    NOT NULL CHECK (length(endpoint) <= 64),
  status            INTEGER NOT NULL CHECK (status BETWEEN 0 AND 65535),
  error_code        TEXT    CHECK (length(error_code) <= 64),
  stream            INTEGER NOT NULL CHECK (stream IN (0, 1)),
  prompt_tokens     INTEGER NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens INTEGER NOT NULL CHECK (completion_tokens >= 0),
  cached_tokens     INTEGER NOT NULL CHECK (cached_tokens >= 0),
  total_tokens      INTEGER NOT NULL CHECK (total_tokens >= 0),
  usage_source      TEXT    NOT NULL CHECK (usage_source IN ('exact', 'estimated', 'reserved')),
  queue_wait_ms     INTEGER NOT NULL CHECK (queue_wait_ms >= 0),
  queue_position    INTEGER NOT NULL CHECK (queue_position >= 0),
  ttft_ms           INTEGER CHECK (ttft_ms >= 0),
  total_ms          INTEGER NOT NULL CHECK (total_ms >= 0),
  overhead_ms       INTEGER NOT NULL CHECK (overhead_ms >= 0),
  attempts          INTEGER NOT NULL CHECK (attempts >= 0),
  colo              TEXT    NOT NULL CHECK (length(colo) <= 16)
) STRICT;

-- One for each filter of the log query. Every index ends in the sequence, so each is in the order of the
-- pages, newest first when read backwards.
CREATE INDEX logs_by_time ON logs (started_at);
CREATE INDEX logs_by_server ON logs (server_id, started_at);
CREATE INDEX logs_by_app ON logs (app, started_at);
CREATE INDEX logs_by_model ON logs (model, started_at);
CREATE INDEX logs_by_key ON logs (key_id, started_at);
CREATE INDEX logs_by_status ON logs (status, started_at);
CREATE INDEX logs_by_error ON logs (error_code, started_at) WHERE error_code IS NOT NULL;

-- Sums of the rows of logs whose requests started in this hour, and how many took how long. The bounds of
-- the histograms are those of gateway::histogram.
CREATE TABLE usage_hours (
  -- Where the hour begins.
  bucket              INTEGER NOT NULL CHECK (bucket >= 0 AND bucket % 3600000 = 0),
  server_id           TEXT    NOT NULL,
  app                 TEXT    NOT NULL,
  model               TEXT    NOT NULL,
  requests            INTEGER NOT NULL CHECK (requests >= 0),
  errors              INTEGER NOT NULL CHECK (errors >= 0),
  queue_timeouts      INTEGER NOT NULL CHECK (queue_timeouts >= 0),
  queue_evictions     INTEGER NOT NULL CHECK (queue_evictions >= 0),
  cancelled           INTEGER NOT NULL CHECK (cancelled >= 0),
  prompt_tokens       INTEGER NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens   INTEGER NOT NULL CHECK (completion_tokens >= 0),
  cached_tokens       INTEGER NOT NULL CHECK (cached_tokens >= 0),
  total_tokens        INTEGER NOT NULL CHECK (total_tokens >= 0),
  queued_requests     INTEGER NOT NULL CHECK (queued_requests >= 0),
  queue_wait_ms_sum   INTEGER NOT NULL CHECK (queue_wait_ms_sum >= 0),
  queue_wait_ms_max   INTEGER NOT NULL CHECK (queue_wait_ms_max >= 0),
  latency_ms_sum      INTEGER NOT NULL CHECK (latency_ms_sum >= 0),
  latency_ms_max      INTEGER NOT NULL CHECK (latency_ms_max >= 0),
  wait_00             INTEGER NOT NULL CHECK (wait_00 >= 0),
  wait_01             INTEGER NOT NULL CHECK (wait_01 >= 0),
  wait_02             INTEGER NOT NULL CHECK (wait_02 >= 0),
  wait_03             INTEGER NOT NULL CHECK (wait_03 >= 0),
  wait_04             INTEGER NOT NULL CHECK (wait_04 >= 0),
  wait_05             INTEGER NOT NULL CHECK (wait_05 >= 0),
  wait_06             INTEGER NOT NULL CHECK (wait_06 >= 0),
  wait_07             INTEGER NOT NULL CHECK (wait_07 >= 0),
  wait_08             INTEGER NOT NULL CHECK (wait_08 >= 0),
  wait_09             INTEGER NOT NULL CHECK (wait_09 >= 0),
  wait_10             INTEGER NOT NULL CHECK (wait_10 >= 0),
  wait_11             INTEGER NOT NULL CHECK (wait_11 >= 0),
  wait_12             INTEGER NOT NULL CHECK (wait_12 >= 0),
  wait_13             INTEGER NOT NULL CHECK (wait_13 >= 0),
  wait_14             INTEGER NOT NULL CHECK (wait_14 >= 0),
  wait_15             INTEGER NOT NULL CHECK (wait_15 >= 0),
  wait_16             INTEGER NOT NULL CHECK (wait_16 >= 0),
  wait_17             INTEGER NOT NULL CHECK (wait_17 >= 0),
  wait_18             INTEGER NOT NULL CHECK (wait_18 >= 0),
  wait_19             INTEGER NOT NULL CHECK (wait_19 >= 0),
  wait_20             INTEGER NOT NULL CHECK (wait_20 >= 0),
  wait_21             INTEGER NOT NULL CHECK (wait_21 >= 0),
  wait_22             INTEGER NOT NULL CHECK (wait_22 >= 0),
  wait_23             INTEGER NOT NULL CHECK (wait_23 >= 0),
  latency_00          INTEGER NOT NULL CHECK (latency_00 >= 0),
  latency_01          INTEGER NOT NULL CHECK (latency_01 >= 0),
  latency_02          INTEGER NOT NULL CHECK (latency_02 >= 0),
  latency_03          INTEGER NOT NULL CHECK (latency_03 >= 0),
  latency_04          INTEGER NOT NULL CHECK (latency_04 >= 0),
  latency_05          INTEGER NOT NULL CHECK (latency_05 >= 0),
  latency_06          INTEGER NOT NULL CHECK (latency_06 >= 0),
  latency_07          INTEGER NOT NULL CHECK (latency_07 >= 0),
  latency_08          INTEGER NOT NULL CHECK (latency_08 >= 0),
  latency_09          INTEGER NOT NULL CHECK (latency_09 >= 0),
  latency_10          INTEGER NOT NULL CHECK (latency_10 >= 0),
  latency_11          INTEGER NOT NULL CHECK (latency_11 >= 0),
  latency_12          INTEGER NOT NULL CHECK (latency_12 >= 0),
  latency_13          INTEGER NOT NULL CHECK (latency_13 >= 0),
  latency_14          INTEGER NOT NULL CHECK (latency_14 >= 0),
  latency_15          INTEGER NOT NULL CHECK (latency_15 >= 0),
  latency_16          INTEGER NOT NULL CHECK (latency_16 >= 0),
  latency_17          INTEGER NOT NULL CHECK (latency_17 >= 0),
  latency_18          INTEGER NOT NULL CHECK (latency_18 >= 0),
  latency_19          INTEGER NOT NULL CHECK (latency_19 >= 0),
  latency_20          INTEGER NOT NULL CHECK (latency_20 >= 0),
  latency_21          INTEGER NOT NULL CHECK (latency_21 >= 0),
  latency_22          INTEGER NOT NULL CHECK (latency_22 >= 0),
  latency_23          INTEGER NOT NULL CHECK (latency_23 >= 0),
  PRIMARY KEY (bucket, server_id, app, model)
) STRICT, WITHOUT ROWID;

-- The primary key is in the order of grouping by server first, these of the other groupings.
CREATE INDEX usage_hours_by_app ON usage_hours (bucket, app, model);
CREATE INDEX usage_hours_by_model ON usage_hours (bucket, model, server_id);

-- Sums of the rows of logs whose requests started in this day, and how many took how long. The bounds of
-- the histograms are those of gateway::histogram.
CREATE TABLE usage_days (
  -- Where the day begins.
  bucket              INTEGER NOT NULL CHECK (bucket >= 0 AND bucket % 86400000 = 0),
  server_id           TEXT    NOT NULL,
  app                 TEXT    NOT NULL,
  model               TEXT    NOT NULL,
  requests            INTEGER NOT NULL CHECK (requests >= 0),
  errors              INTEGER NOT NULL CHECK (errors >= 0),
  queue_timeouts      INTEGER NOT NULL CHECK (queue_timeouts >= 0),
  queue_evictions     INTEGER NOT NULL CHECK (queue_evictions >= 0),
  cancelled           INTEGER NOT NULL CHECK (cancelled >= 0),
  prompt_tokens       INTEGER NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens   INTEGER NOT NULL CHECK (completion_tokens >= 0),
  cached_tokens       INTEGER NOT NULL CHECK (cached_tokens >= 0),
  total_tokens        INTEGER NOT NULL CHECK (total_tokens >= 0),
  queued_requests     INTEGER NOT NULL CHECK (queued_requests >= 0),
  queue_wait_ms_sum   INTEGER NOT NULL CHECK (queue_wait_ms_sum >= 0),
  queue_wait_ms_max   INTEGER NOT NULL CHECK (queue_wait_ms_max >= 0),
  latency_ms_sum      INTEGER NOT NULL CHECK (latency_ms_sum >= 0),
  latency_ms_max      INTEGER NOT NULL CHECK (latency_ms_max >= 0),
  wait_00             INTEGER NOT NULL CHECK (wait_00 >= 0),
  wait_01             INTEGER NOT NULL CHECK (wait_01 >= 0),
  wait_02             INTEGER NOT NULL CHECK (wait_02 >= 0),
  wait_03             INTEGER NOT NULL CHECK (wait_03 >= 0),
  wait_04             INTEGER NOT NULL CHECK (wait_04 >= 0),
  wait_05             INTEGER NOT NULL CHECK (wait_05 >= 0),
  wait_06             INTEGER NOT NULL CHECK (wait_06 >= 0),
  wait_07             INTEGER NOT NULL CHECK (wait_07 >= 0),
  wait_08             INTEGER NOT NULL CHECK (wait_08 >= 0),
  wait_09             INTEGER NOT NULL CHECK (wait_09 >= 0),
  wait_10             INTEGER NOT NULL CHECK (wait_10 >= 0),
  wait_11             INTEGER NOT NULL CHECK (wait_11 >= 0),
  wait_12             INTEGER NOT NULL CHECK (wait_12 >= 0),
  wait_13             INTEGER NOT NULL CHECK (wait_13 >= 0),
  wait_14             INTEGER NOT NULL CHECK (wait_14 >= 0),
  wait_15             INTEGER NOT NULL CHECK (wait_15 >= 0),
  wait_16             INTEGER NOT NULL CHECK (wait_16 >= 0),
  wait_17             INTEGER NOT NULL CHECK (wait_17 >= 0),
  wait_18             INTEGER NOT NULL CHECK (wait_18 >= 0),
  wait_19             INTEGER NOT NULL CHECK (wait_19 >= 0),
  wait_20             INTEGER NOT NULL CHECK (wait_20 >= 0),
  wait_21             INTEGER NOT NULL CHECK (wait_21 >= 0),
  wait_22             INTEGER NOT NULL CHECK (wait_22 >= 0),
  wait_23             INTEGER NOT NULL CHECK (wait_23 >= 0),
  latency_00          INTEGER NOT NULL CHECK (latency_00 >= 0),
  latency_01          INTEGER NOT NULL CHECK (latency_01 >= 0),
  latency_02          INTEGER NOT NULL CHECK (latency_02 >= 0),
  latency_03          INTEGER NOT NULL CHECK (latency_03 >= 0),
  latency_04          INTEGER NOT NULL CHECK (latency_04 >= 0),
  latency_05          INTEGER NOT NULL CHECK (latency_05 >= 0),
  latency_06          INTEGER NOT NULL CHECK (latency_06 >= 0),
  latency_07          INTEGER NOT NULL CHECK (latency_07 >= 0),
  latency_08          INTEGER NOT NULL CHECK (latency_08 >= 0),
  latency_09          INTEGER NOT NULL CHECK (latency_09 >= 0),
  latency_10          INTEGER NOT NULL CHECK (latency_10 >= 0),
  latency_11          INTEGER NOT NULL CHECK (latency_11 >= 0),
  latency_12          INTEGER NOT NULL CHECK (latency_12 >= 0),
  latency_13          INTEGER NOT NULL CHECK (latency_13 >= 0),
  latency_14          INTEGER NOT NULL CHECK (latency_14 >= 0),
  latency_15          INTEGER NOT NULL CHECK (latency_15 >= 0),
  latency_16          INTEGER NOT NULL CHECK (latency_16 >= 0),
  latency_17          INTEGER NOT NULL CHECK (latency_17 >= 0),
  latency_18          INTEGER NOT NULL CHECK (latency_18 >= 0),
  latency_19          INTEGER NOT NULL CHECK (latency_19 >= 0),
  latency_20          INTEGER NOT NULL CHECK (latency_20 >= 0),
  latency_21          INTEGER NOT NULL CHECK (latency_21 >= 0),
  latency_22          INTEGER NOT NULL CHECK (latency_22 >= 0),
  latency_23          INTEGER NOT NULL CHECK (latency_23 >= 0),
  PRIMARY KEY (bucket, server_id, app, model)
) STRICT, WITHOUT ROWID;

-- The primary key is in the order of grouping by server first, these of the other groupings.
CREATE INDEX usage_days_by_app ON usage_days (bucket, app, model);
CREATE INDEX usage_days_by_model ON usage_days (bucket, model, server_id);

-- One row. Rows of logs up to rolled_to are in the sums. Those after rolled_from got there last.
CREATE TABLE rollup (
  id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  rolled_from INTEGER NOT NULL CHECK (rolled_from >= 0),
  rolled_to   INTEGER NOT NULL CHECK (rolled_to >= rolled_from),
  rolled_at   INTEGER NOT NULL CHECK (rolled_at >= 0)
) STRICT;

INSERT INTO rollup (id, rolled_from, rolled_to, rolled_at) VALUES (1, 0, 0, 0);

UPDATE schema_version SET version = 3 WHERE id = 1;
