//! 限流对象自己的 SQLite：用量日志的语句。
//!
//! Owns the statements of the journal, in which a row waits until it is in D1. Rows leave in the order in
//! which they came, but those that are held.
//!
//! Invariant: one row for each ticket; a later one replaces an earlier that has not left yet.

use serde::Deserialize;

use admission::Instant;
use admission::protocol::TicketId;

use super::Statement;
use crate::journal::Entry;
use crate::metrics::Counters;

/// Every statement by name, for the test that prepares each of them on the object's schema.
#[cfg(test)]
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("CREATE_JOURNAL", CREATE_JOURNAL),
    ("PUT_JOURNAL", PUT_JOURNAL),
    ("JOURNAL_BATCH", JOURNAL_BATCH),
    ("DELETE_JOURNAL", DELETE_JOURNAL),
    ("WITHDRAW_JOURNAL", WITHDRAW_JOURNAL),
    ("COUNT_JOURNAL", COUNT_JOURNAL),
    ("CREATE_COUNTERS", CREATE_COUNTERS),
    ("PUT_COUNTERS", PUT_COUNTERS),
    ("READ_COUNTERS", READ_COUNTERS),
];

const CREATE_JOURNAL: &str = "\
CREATE TABLE IF NOT EXISTS journal (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  ticket TEXT NOT NULL UNIQUE,
  row TEXT NOT NULL CHECK (json_valid(row))
) STRICT";

const PUT_JOURNAL: &str = "\
INSERT OR REPLACE INTO journal (ticket, row)
SELECT json_extract(value, '$.ticket'), value FROM json_each(?1)";

// One text and not many cells: the object's database hands over each cell by itself. JSON has no line break.
const JOURNAL_BATCH: &str = "\
SELECT group_concat(sequence || ' ' || row, char(10) ORDER BY sequence) AS lines FROM (
  SELECT sequence, row FROM journal WHERE coalesce(json_extract(row, '$.held_until'), 0) <= ?2
  ORDER BY sequence LIMIT ?1
)";

const DELETE_JOURNAL: &str = "\
DELETE FROM journal WHERE sequence IN (SELECT value FROM json_each(?1))";

const WITHDRAW_JOURNAL: &str = "\
DELETE FROM journal WHERE ticket IN (SELECT value FROM json_each(?1))
  AND json_extract(row, '$.held_until') IS NOT NULL";

const COUNT_JOURNAL: &str = "SELECT count(*) AS rows FROM journal";

const CREATE_COUNTERS: &str = "\
CREATE TABLE IF NOT EXISTS counters (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  row TEXT NOT NULL CHECK (json_valid(row))
) STRICT";

const PUT_COUNTERS: &str = "INSERT OR REPLACE INTO counters (only, row) VALUES (1, ?1)";

const READ_COUNTERS: &str = "SELECT row FROM counters";

/// Rows of the journal as they are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JournalLines {
    /// Sequence, space and row, a line each; none where there is no row.
    pub lines: Option<String>,
}

impl JournalLines {
    /// The rows, oldest first.
    pub fn rows(&self) -> impl Iterator<Item = JournalRow<'_>> {
        let lines = self.lines.iter().flat_map(|lines| lines.split('\n'));
        lines.filter_map(|line| {
            let (sequence, row) = line.split_once(' ')?;
            let sequence = sequence.parse().ok()?;
            Some(JournalRow { sequence, row })
        })
    }
}

/// One row of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalRow<'a> {
    /// Names it for [`delete_journal`]; a row that replaced another has a new one.
    pub sequence: u64,
    /// An [`Entry`] as JSON.
    pub row: &'a str,
}

/// How many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct JournalCount {
    /// As many.
    #[serde(deserialize_with = "super::rows::integer")]
    pub rows: u64,
}

/// The stored counts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CountersRow {
    /// [`crate::metrics::Counters`], encoded.
    pub row: String,
}

/// Makes the tables where they are missing.
#[must_use]
pub fn create_journal() -> [Statement; 2] {
    [CREATE_JOURNAL, CREATE_COUNTERS].map(|sql| Statement::new(sql, []))
}

/// Stores the counts of all rows ever written, in the turn that writes the newest of them.
#[must_use]
pub fn put_counters(counters: &Counters) -> Statement {
    Statement::new(PUT_COUNTERS, [counters.encode().into()])
}

/// Reads them ([`CountersRow`]).
#[must_use]
pub fn read_counters() -> Statement {
    Statement::new(READ_COUNTERS, [])
}

/// Adds rows.
///
/// # Errors
/// A row that is no JSON, which an [`Entry`] cannot be.
pub fn put_journal(rows: &[Entry]) -> Result<Statement, serde_json::Error> {
    let json = serde_json::to_string(rows)?;
    Ok(Statement::new(PUT_JOURNAL, [json.into()]))
}

/// Reads the oldest rows that are not held any more ([`JournalLines`]).
#[must_use]
pub fn journal_batch(len_max: u64, now: Instant) -> Statement {
    Statement::new(JOURNAL_BATCH, [len_max.into(), now.into()])
}

/// Deletes the held rows of tickets that have come back: their requests are not over.
#[must_use]
pub fn withdraw_journal(tickets: &[TicketId]) -> Statement {
    let tickets: Vec<&str> = tickets.iter().map(TicketId::as_str).collect();
    Statement::new(
        WITHDRAW_JOURNAL,
        [serde_json::json!(tickets).to_string().into()],
    )
}

/// Deletes rows that are in D1. A row that has replaced one of them meanwhile stays.
#[must_use]
pub fn delete_journal(sequences: &[u64]) -> Statement {
    Statement::new(
        DELETE_JOURNAL,
        [serde_json::json!(sequences).to_string().into()],
    )
}

/// Counts the rows ([`JournalCount`]).
#[must_use]
pub fn count_journal() -> Statement {
    Statement::new(COUNT_JOURNAL, [])
}
