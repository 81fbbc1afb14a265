//! 对象的 SQLite：写入变更，启动时读回。
//!
//! Runs the statements of [`gateway::sql`] on the object's own database. `exec` is synchronous, and
//! what one turn writes commits together; the platform holds back the object's answers until it is
//! durable.

use admission::protocol::TicketId;
use admission::{Changes, Instant, State};
use gateway::journal::Entry;
use gateway::metrics::Counters;
use gateway::sql::{self, AdmissionRow, CountersRow, JournalCount, JournalLines, Statement, Value};
use serde::de::DeserializeOwned;
use worker::{Error, Result, SqlStorage, SqlStorageValue};

/// The database of one object.
pub(crate) struct Storage {
    sql: SqlStorage,
}

impl Storage {
    /// Opens it; makes the table in a new object.
    pub(crate) fn open(sql: SqlStorage) -> Result<Self> {
        let storage = Self { sql };
        storage.run(&sql::create_admission_rows())?;
        for statement in sql::create_journal() {
            storage.run(&statement)?;
        }
        Ok(storage)
    }

    /// What was stored, and how many rows could not be read.
    pub(crate) fn load(&self) -> Result<(State, usize)> {
        let rows: Vec<AdmissionRow> = self.rows(&sql::all_admission_rows())?;
        Ok(sql::admission_state(rows))
    }

    /// Writes all of the changes, in this turn.
    pub(crate) fn write(&self, changes: &Changes) -> Result<()> {
        for statement in sql::write_admission_changes(changes)? {
            self.run(&statement)?;
        }
        Ok(())
    }

    /// Adds rows to the journal, in this turn.
    pub(crate) fn put_journal(&self, rows: &[Entry]) -> Result<()> {
        self.run(&sql::put_journal(rows)?)
    }

    /// Deletes the held rows of tickets that have come back, in this turn.
    pub(crate) fn withdraw_journal(&self, tickets: &[TicketId]) -> Result<()> {
        self.run(&sql::withdraw_journal(tickets))
    }

    /// Stores the counts of all rows that were ever added, in this turn.
    pub(crate) fn put_counters(&self, counters: &Counters) -> Result<()> {
        self.run(&sql::put_counters(counters))
    }

    /// The counts as they were stored, encoded; None in a new object.
    pub(crate) fn counters(&self) -> Result<Option<String>> {
        let rows: Vec<CountersRow> = self.rows(&sql::read_counters())?;
        Ok(rows.into_iter().next().map(|row| row.row))
    }

    /// The oldest rows of the journal that may be moved.
    pub(crate) fn journal_batch(&self, len_max: u64, now: Instant) -> Result<JournalLines> {
        let batch: Vec<JournalLines> = self.rows(&sql::journal_batch(len_max, now))?;
        let batch = batch.into_iter().next();
        batch.ok_or_else(|| Error::RustError("an aggregate without a row".to_owned()))
    }

    /// Deletes rows of the journal.
    pub(crate) fn delete_journal(&self, sequences: &[u64]) -> Result<()> {
        self.run(&sql::delete_journal(sequences))
    }

    /// How many rows the journal has.
    pub(crate) fn journal_rows(&self) -> Result<u64> {
        let count: Vec<JournalCount> = self.rows(&sql::count_journal())?;
        Ok(count.first().map_or(0, |count| count.rows))
    }

    fn rows<T: DeserializeOwned>(&self, statement: &Statement) -> Result<Vec<T>> {
        let bindings: Vec<_> = statement.params.iter().map(bind).collect();
        self.sql.exec(statement.sql, bindings)?.to_array()
    }

    fn run(&self, statement: &Statement) -> Result<()> {
        let bindings: Vec<_> = statement.params.iter().map(bind).collect();
        self.sql.exec(statement.sql, bindings).map(drop)
    }
}

fn bind(value: &Value) -> SqlStorageValue {
    match value {
        Value::Null => SqlStorageValue::Null,
        Value::Integer(integer) => SqlStorageValue::Integer(*integer),
        Value::Text(text) => SqlStorageValue::String(text.clone()),
    }
}
