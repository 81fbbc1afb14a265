//! 日志表的语句：成批写入、按页读取、过期删除。
//!
//! Owns the rows of `logs` from their arrival to their removal. A batch of them is one statement with one JSON
//! parameter, because D1 allows 100 parameters; a page is one column of JSON texts, because D1 hands every cell
//! over by itself.
//!
//! Invariant: a row is written once, however often and in whatever company it arrives, and no row of a request
//! can make a statement fail: whatever the schema would refuse is cut to its bounds first.

use admission::time::Instant;
use std::borrow::Cow;

use serde::Deserialize;
use serde::ser::{Serialize, SerializeSeq, Serializer};

use super::Statement;
use crate::admin_api::{LogEntry, LogFilter, LogQuery};
use crate::log_row::LogRow;

/// Rows of one inserting statement. The longest row takes less than 4 KiB, a parameter of D1 at most 2 MB.
pub const LOGS_INSERT_LEN_MAX: usize = 250;

/// Rows that one statement removes: it keeps other statements waiting for some tens of milliseconds.
pub const LOGS_REMOVE_LEN_MAX: u64 = 250;

/// Rows that a page with several filters looks through: some tens of milliseconds, also on a cold disk.
pub const LOGS_SCAN_LEN_MAX: u64 = 10_000;

/// Characters that the columns take; the same as in the schema.
const NAME_CHARS_MAX: usize = 64;
const MODEL_CHARS_MAX: usize = 256;
const COLO_CHARS_MAX: usize = 16;

/// Largest integer that JavaScript reads back exactly.
const INTEGER_MAX: u64 = (1 << 53) - 1;

pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("INSERT_LOGS", INSERT_LOGS),
    ("LOGS_PAGE", LOGS_PAGE),
    ("LOGS_PAGE_OF_SERVER", LOGS_PAGE_OF_SERVER),
    ("LOGS_PAGE_OF_APP", LOGS_PAGE_OF_APP),
    ("LOGS_PAGE_OF_MODEL", LOGS_PAGE_OF_MODEL),
    ("LOGS_PAGE_OF_KEY", LOGS_PAGE_OF_KEY),
    ("LOGS_PAGE_OF_STATUS", LOGS_PAGE_OF_STATUS),
    ("LOGS_PAGE_OF_ERROR", LOGS_PAGE_OF_ERROR),
    ("LOGS_PAGE_OF_REQUEST", LOGS_PAGE_OF_REQUEST),
    ("SCAN_END_OF_SERVER", SCAN_END_OF_SERVER),
    ("SCAN_END_OF_APP", SCAN_END_OF_APP),
    ("SCAN_END_OF_MODEL", SCAN_END_OF_MODEL),
    ("SCAN_END_OF_KEY", SCAN_END_OF_KEY),
    ("SCAN_END_OF_ERROR", SCAN_END_OF_ERROR),
    ("REMOVE_LOGS", REMOVE_LOGS),
];

// The places are those of `cells`. A request id that is taken, by a stored row or by an earlier one of this very
// batch, gets a tilde (which no client's id may contain) and the ticket behind it.
const INSERT_LOGS: &str = "\
WITH given AS (
  SELECT key AS place, value AS cells, value ->> 0 AS ticket, value ->> 1 AS request_id
  FROM json_each(?1)
), numbered AS (
  SELECT place, cells, ticket, request_id, row_number() OVER (PARTITION BY ticket ORDER BY place) AS copy
  FROM given WHERE NOT EXISTS (SELECT 1 FROM logs WHERE logs.ticket = given.ticket)
), fresh AS (
  SELECT place, cells, ticket, request_id, row_number() OVER (PARTITION BY request_id ORDER BY place) AS nth
  FROM numbered WHERE copy = 1
)
INSERT INTO logs (ticket, request_id, stored_at, started_at, app, key_id, server_id, model, endpoint, status,
  error_code, stream, prompt_tokens, completion_tokens, cached_tokens, total_tokens, usage_source, queue_wait_ms,
  queue_position, ttft_ms, total_ms, overhead_ms, attempts, colo)
SELECT ticket,
  CASE WHEN nth > 1 OR EXISTS (SELECT 1 FROM logs WHERE logs.request_id = fresh.request_id)
    THEN request_id || char(126) || ticket ELSE request_id END,
  ?2, cells ->> 2, cells ->> 3, cells ->> 4, cells ->> 5, cells ->> 6, cells ->> 7, cells ->> 8,
  cells ->> 9, cells ->> 10, cells ->> 11, cells ->> 12, cells ->> 13, cells ->> 14, cells ->> 15, cells ->> 16,
  cells ->> 17, cells ->> 18, cells ->> 19, cells ->> 20, cells ->> 21, cells ->> 22
FROM fresh ORDER BY place";

/// A page of logs in the range, newest first, by the index that leads with the given filter. A second filter is
/// compared with each row of that index, so the rarer one should lead.
macro_rules! page {
    ($index:literal, $leading:literal) => {
        concat!(
            "SELECT json_array(sequence, request_id, started_at, app, key_id, server_id, model, endpoint,
  status, error_code, stream, prompt_tokens, completion_tokens, cached_tokens, total_tokens, usage_source,
  queue_wait_ms, queue_position, ttft_ms, total_ms, overhead_ms, attempts, colo) AS line
FROM logs",
            $index,
            " WHERE ",
            $leading,
            "started_at >= ?1 AND (started_at, sequence) < (?2, ?3)
  AND (started_at, sequence) >= (?12, ?13)
  AND (?5 IS NULL OR server_id = ?5) AND (?6 IS NULL OR app = ?6) AND (?7 IS NULL OR model = ?7)
  AND (?8 IS NULL OR key_id = ?8) AND (?9 IS NULL OR status = ?9) AND (?10 IS NULL OR error_code = ?10)
  AND (?11 IS NULL OR request_id = ?11)
ORDER BY started_at DESC, sequence DESC LIMIT ?4"
        )
    };
}

const LOGS_PAGE: &str = page!(" INDEXED BY logs_by_time", "");
const LOGS_PAGE_OF_SERVER: &str = page!(" INDEXED BY logs_by_server", "server_id = ?5 AND ");
const LOGS_PAGE_OF_APP: &str = page!(" INDEXED BY logs_by_app", "app = ?6 AND ");
const LOGS_PAGE_OF_MODEL: &str = page!(" INDEXED BY logs_by_model", "model = ?7 AND ");
const LOGS_PAGE_OF_KEY: &str = page!(" INDEXED BY logs_by_key", "key_id = ?8 AND ");
const LOGS_PAGE_OF_STATUS: &str = page!(" INDEXED BY logs_by_status", "status = ?9 AND ");
const LOGS_PAGE_OF_ERROR: &str = page!(" INDEXED BY logs_by_error", "error_code = ?10 AND ");
// The one index of this column belongs to its constraint and has no name to ask for.
const LOGS_PAGE_OF_REQUEST: &str = page!("", "request_id = ?11 AND ");

/// The place of the row at which a page stops looking, from its index alone.
macro_rules! scan_end {
    ($index:literal, $column:literal) => {
        concat!(
            "SELECT json_array(started_at, sequence) AS line FROM logs INDEXED BY ",
            $index,
            " WHERE ",
            $column,
            " = ?5 AND started_at >= ?1 AND (started_at, sequence) < (?2, ?3)
ORDER BY started_at DESC, sequence DESC LIMIT 1 OFFSET ?4"
        )
    };
}

const SCAN_END_OF_SERVER: &str = scan_end!("logs_by_server", "server_id");
const SCAN_END_OF_APP: &str = scan_end!("logs_by_app", "app");
const SCAN_END_OF_MODEL: &str = scan_end!("logs_by_model", "model");
const SCAN_END_OF_KEY: &str = scan_end!("logs_by_key", "key_id");
const SCAN_END_OF_ERROR: &str = scan_end!("logs_by_error", "error_code");

// Only what the sums contain, and what nobody can send again: see RETRY_SPAN of the rollup.
const REMOVE_LOGS: &str = "\
DELETE FROM logs WHERE sequence IN (
  SELECT sequence FROM logs INDEXED BY logs_by_time
  WHERE started_at < ?1 AND stored_at < ?2 AND sequence <= (SELECT rolled_to FROM rollup WHERE id = 1)
  ORDER BY started_at LIMIT ?3
) RETURNING 1 AS done";

/// One line of a page or of statistics: a JSON array.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineRow {
    /// The array.
    pub line: String,
}

/// Writes rows, each at most once. At most [`LOGS_INSERT_LEN_MAX`] of them go into one statement; the statements
/// need not be one transaction, and any of them may be repeated.
///
/// # Errors
/// A row that is no JSON, which a [`LogRow`] cannot be.
pub fn insert_logs(rows: &[LogRow], now: Instant) -> Result<Vec<Statement>, serde_json::Error> {
    let statement = |rows: &[LogRow]| {
        let cells: Vec<Cells<'_>> = rows.iter().map(Cells).collect();
        let cells = serde_json::to_string(&cells)?;
        Ok(Statement::new(INSERT_LOGS, [cells.into(), now.into()]))
    };
    rows.chunks(LOGS_INSERT_LEN_MAX).map(statement).collect()
}

/// Finds where a page of a query with several filters stops looking ([`LineRow`], for [`scan_end`]). One filter
/// leads, by its index, and the others are compared with each of its rows; where they hardly ever meet, a page
/// would otherwise look through all of them. None where that cannot happen.
#[must_use]
pub fn logs_scan(query: &LogQuery) -> Option<Statement> {
    if query.filter.len() < 2 {
        return None;
    }
    let (_, scan) = leading(&query.filter);
    let (sql, value) = scan?;
    let (before, sequence) = before(query);
    let skipped = LOGS_SCAN_LEN_MAX.saturating_sub(1);
    Some(Statement::new(
        sql,
        [
            query.from.into(),
            before.into(),
            sequence.into(),
            skipped.into(),
            value.into(),
        ],
    ))
}

/// The place that a line of [`logs_scan`] is: time and sequence.
#[must_use]
pub fn scan_end(row: &LineRow) -> Option<(u64, u64)> {
    serde_json::from_str(&row.line).ok()
}

/// Reads one page of the log, newest first, and one row more ([`LineRow`], for [`log_entry`]).
#[must_use]
pub fn logs_page(query: &LogQuery) -> Statement {
    let filter = &query.filter;
    let (sql, _) = leading(filter);
    let (before, sequence) = before(query);
    let (until, until_sequence) = query.until.unwrap_or_default();
    Statement::new(
        sql,
        [
            query.from.into(),
            before.into(),
            sequence.into(),
            u64::from(query.limit).saturating_add(1).into(),
            filter.server_id.clone().into(),
            filter.app.clone().into(),
            filter.model.clone().into(),
            filter.key_id.clone().into(),
            filter.status.map(u64::from).into(),
            filter.error_code.clone().into(),
            filter.request_id.clone().into(),
            until.into(),
            until_sequence.into(),
        ],
    )
}

/// No sequence is 0, so nothing at the very end of the range comes before it.
fn before(query: &LogQuery) -> (u64, u64) {
    query.after.unwrap_or((query.to.as_millis(), 0))
}

/// The page by the filter that usually leaves least, and what finds the end of its scan. A request id leaves one
/// row, and a status leads only where it is alone.
fn leading(filter: &LogFilter) -> (&'static str, Option<(&'static str, String)>) {
    let scan = |sql, value: &Option<String>| value.clone().map(|value| (sql, value));
    if filter.request_id.is_some() {
        (LOGS_PAGE_OF_REQUEST, None)
    } else if filter.error_code.is_some() {
        (
            LOGS_PAGE_OF_ERROR,
            scan(SCAN_END_OF_ERROR, &filter.error_code),
        )
    } else if filter.key_id.is_some() {
        (LOGS_PAGE_OF_KEY, scan(SCAN_END_OF_KEY, &filter.key_id))
    } else if filter.app.is_some() {
        (LOGS_PAGE_OF_APP, scan(SCAN_END_OF_APP, &filter.app))
    } else if filter.model.is_some() {
        (LOGS_PAGE_OF_MODEL, scan(SCAN_END_OF_MODEL, &filter.model))
    } else if filter.server_id.is_some() {
        (
            LOGS_PAGE_OF_SERVER,
            scan(SCAN_END_OF_SERVER, &filter.server_id),
        )
    } else if filter.status.is_some() {
        (LOGS_PAGE_OF_STATUS, None)
    } else {
        (LOGS_PAGE, None)
    }
}

/// The row that a line of [`logs_page`] is. None for anything else, which no page can contain.
#[must_use]
pub fn log_entry(row: &LineRow) -> Option<LogEntry> {
    serde_json::from_str(&row.line).ok()
}

/// Removes rows that started before `started_before` and were stored before `stored_before`, oldest first, a
/// bounded number of them.
#[must_use]
pub fn remove_logs(started_before: Instant, stored_before: Instant) -> Statement {
    Statement::new(
        REMOVE_LOGS,
        [
            started_before.into(),
            stored_before.into(),
            LOGS_REMOVE_LEN_MAX.into(),
        ],
    )
}

/// A row as an array; the places are those of [`INSERT_LOGS`].
struct Cells<'a>(&'a LogRow);

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let mut cells = serializer.serialize_seq(None)?;
        for (name, chars_max) in [
            (&row.ticket, NAME_CHARS_MAX),
            (&row.request_id, NAME_CHARS_MAX),
        ] {
            cells.serialize_element(&text(name, chars_max))?;
        }
        cells.serialize_element(&integer(row.started_at))?;
        for (name, chars_max) in [
            (&row.app, NAME_CHARS_MAX),
            (&row.key_id, NAME_CHARS_MAX),
            (&row.server_id, NAME_CHARS_MAX),
            (&row.model, MODEL_CHARS_MAX),
            (&row.endpoint, NAME_CHARS_MAX),
        ] {
            cells.serialize_element(&text(name, chars_max))?;
        }
        cells.serialize_element(&row.status)?;
        let error_code = row.error_code.as_deref();
        cells.serialize_element(&error_code.map(|code| text(code, NAME_CHARS_MAX)))?;
        cells.serialize_element(&u8::from(row.stream))?;
        for number in [
            row.prompt_tokens,
            row.completion_tokens,
            row.cached_tokens,
            row.total_tokens,
        ] {
            cells.serialize_element(&integer(number))?;
        }
        cells.serialize_element(row.usage_source.as_str())?;
        cells.serialize_element(&integer(row.queue_wait_ms))?;
        cells.serialize_element(&integer(row.queue_position))?;
        cells.serialize_element(&row.ttft_ms.map(integer))?;
        for number in [row.total_ms, row.overhead_ms, row.attempts] {
            cells.serialize_element(&integer(number))?;
        }
        cells.serialize_element(&text(&row.colo, COLO_CHARS_MAX))?;
        cells.end()
    }
}

/// `SQLite` ends a text at a zero character where it measures one.
fn text(text: &str, chars_max: usize) -> Cow<'_, str> {
    // No character is shorter than a byte.
    if text.len() <= chars_max && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let characters = text.chars().take(chars_max);
    let replaced = characters.map(|character| match character {
        '\0' => char::REPLACEMENT_CHARACTER,
        other => other,
    });
    Cow::Owned(replaced.collect())
}

fn integer(number: u64) -> u64 {
    number.min(INTEGER_MAX)
}
