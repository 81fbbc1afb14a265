//! 汇总的语句：认领日志行，累加到小时与天。
//!
//! Owns the writes of the sums. Rolling up is three statements for one D1 batch: the first claims rows of the log
//! by moving the watermark, the others add exactly these rows to the sums. As a batch is one transaction, the
//! rows are claimed and added, or neither; and as D1 runs one transaction at a time, no two runs can claim the
//! same row.
//!
//! Rows are claimed in the order in which they were stored, not in which their requests started: a row that
//! arrives late is claimed late and added to the bucket of its hour then.
//!
//! Invariant: the sums are those of all rows up to `rolled_to`, each counted once.

use admission::time::Instant;

use super::Statement;
use super::buckets::buckets;
use crate::error::ErrorCode;

/// Rows that one transaction adds: it keeps other statements waiting for some tens of milliseconds.
pub const ROLLUP_LEN_MAX: u64 = 2_000;

/// Status of a row whose client had left.
const STATUS_CLIENT_LEFT: u64 = 499;

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("CLAIM", CLAIM),
    ("ADD_HOURS", ADD_HOURS),
    ("ADD_DAYS", ADD_DAYS),
];

macro_rules! wait_column {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!("wait_", $number)
    };
}
macro_rules! wait_count {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!(
            "sum(queue_wait_ms BETWEEN ",
            $least,
            " AND ",
            $greatest,
            ")"
        )
    };
}
macro_rules! wait_added {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!(
            "wait_",
            $number,
            " = wait_",
            $number,
            " + excluded.wait_",
            $number
        )
    };
}
macro_rules! latency_column {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!("latency_", $number)
    };
}
macro_rules! latency_count {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!("sum(total_ms BETWEEN ", $least, " AND ", $greatest, ")")
    };
}
macro_rules! latency_added {
    ($number:literal, $least:literal, $greatest:literal) => {
        concat!(
            "latency_",
            $number,
            " = latency_",
            $number,
            " + excluded.latency_",
            $number
        )
    };
}
const CLAIM: &str = "\
UPDATE rollup SET rolled_from = rolled_to, rolled_at = ?2,
  rolled_to = max(rolled_to, min(rolled_to + ?1, coalesce((SELECT max(sequence) FROM logs), 0)))
WHERE id = 1
RETURNING rolled_to - rolled_from AS done";

macro_rules! add {
    ($table:literal, $bucket_ms:literal) => {
        concat!(
            "INSERT INTO ", $table, " (bucket, server_id, app, model, requests, errors, queue_timeouts,
  queue_evictions, cancelled, prompt_tokens, completion_tokens, cached_tokens, total_tokens, queued_requests,
  queue_wait_ms_sum, queue_wait_ms_max, latency_ms_sum, latency_ms_max, ",
            buckets!(wait_column), ", ", buckets!(latency_column), ")
SELECT started_at - started_at % ", $bucket_ms, ", server_id, app, model, count(*),
  sum(status >= 400 AND status <> ?3), coalesce(sum(error_code = ?1), 0), coalesce(sum(error_code = ?2), 0),
  sum(status = ?3), sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(total_tokens),
  sum(queue_position > 0), sum(queue_wait_ms), max(queue_wait_ms), sum(total_ms), max(total_ms),
  ",
            buckets!(wait_count), ", ", buckets!(latency_count), "
FROM logs
WHERE sequence > (SELECT rolled_from FROM rollup WHERE id = 1)
  AND sequence <= (SELECT rolled_to FROM rollup WHERE id = 1)
GROUP BY 1, 2, 3, 4
ON CONFLICT (bucket, server_id, app, model) DO UPDATE SET
  requests = requests + excluded.requests, errors = errors + excluded.errors,
  queue_timeouts = queue_timeouts + excluded.queue_timeouts,
  queue_evictions = queue_evictions + excluded.queue_evictions, cancelled = cancelled + excluded.cancelled,
  prompt_tokens = prompt_tokens + excluded.prompt_tokens,
  completion_tokens = completion_tokens + excluded.completion_tokens,
  cached_tokens = cached_tokens + excluded.cached_tokens, total_tokens = total_tokens + excluded.total_tokens,
  queued_requests = queued_requests + excluded.queued_requests,
  queue_wait_ms_sum = queue_wait_ms_sum + excluded.queue_wait_ms_sum,
  queue_wait_ms_max = max(queue_wait_ms_max, excluded.queue_wait_ms_max),
  latency_ms_sum = latency_ms_sum + excluded.latency_ms_sum,
  latency_ms_max = max(latency_ms_max, excluded.latency_ms_max), ",
            buckets!(wait_added), ", ", buckets!(latency_added)
        )
    };
}

const ADD_HOURS: &str = add!("usage_hours", "3600000");
const ADD_DAYS: &str = add!("usage_days", "86400000");

/// Adds the next rows of the log to the sums, a bounded number of them, in one D1 batch. The first result says
/// how many were taken (`done`).
#[must_use]
pub fn roll_up(now: Instant) -> [Statement; 3] {
    let add = |sql| {
        Statement::new(
            sql,
            [
                ErrorCode::QueueTimeout.as_str().into(),
                ErrorCode::QueueEvicted.as_str().into(),
                STATUS_CLIENT_LEFT.into(),
            ],
        )
    };
    [
        Statement::new(CLAIM, [ROLLUP_LEN_MAX.into(), now.into()]),
        add(ADD_HOURS),
        add(ADD_DAYS),
    ]
}
