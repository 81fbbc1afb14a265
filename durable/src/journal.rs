//! 用量日志：与结算同一步写下，由闹钟成批搬到 D1。
//!
//! The rows of requests that are over, in the object's own database until they are in D1. They are written
//! in the turn of the change that ended the request, so a row is there exactly if its permit is gone. An
//! alarm moves them; D1 takes a row once, however often it is brought.
//!
//! Owns what is pending and what is stored; [`gateway::journal`] makes the rows.

use std::cell::{Cell, Ref, RefCell};
use std::time::Duration;

use gateway::journal::{ROWS_MAX, pause_before_moving};
use gateway::log::{Detail, Event};
use gateway::log_row::LogRow;
use gateway::metrics::Counters;
use gateway::sql::{self, JournalRow};
use worker::{D1Database, Result};

use crate::clock::now;
use crate::d1::prepare;
use crate::log::print;
use crate::storage::Storage;

/// Rows of one statement: at 1 KiB at most each, half of what D1 takes.
const BATCH_LEN_MAX: u64 = 500;
/// Batches of one alarm, so that it ends in time and calls are answered in between.
const BATCHES_MAX: u32 = 20;
/// See the module.
pub(crate) struct Journal {
    pending: RefCell<Vec<LogRow>>,
    stored: Cell<u64>,
    alarm_is_set: Cell<bool>,
    failures: Cell<u32>,
    counters: RefCell<Counters>,
}

impl Journal {
    /// The journal of what is stored.
    pub(crate) fn open(storage: &Storage) -> Result<Self> {
        Ok(Self {
            pending: RefCell::default(),
            stored: Cell::new(storage.journal_rows()?),
            alarm_is_set: Cell::new(false),
            failures: Cell::new(0),
            counters: RefCell::new(stored_counters(storage)?),
        })
    }

    /// Adds the row of a request that has just ended; it is written with the next commit.
    pub(crate) fn add(&self, row: Option<LogRow>) {
        self.pending.borrow_mut().extend(row);
    }

    /// Whether rows wait to be written.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Rows that are not in D1 yet.
    pub(crate) fn rows(&self) -> u64 {
        let pending = self.pending.borrow().len() as u64;
        self.stored.get().saturating_add(pending)
    }

    /// What all rows ever written say in sums.
    pub(crate) fn counters(&self) -> Ref<'_, Counters> {
        self.counters.borrow()
    }

    /// Whether one more would be one too many.
    pub(crate) fn is_full(&self) -> bool {
        self.rows() >= ROWS_MAX
    }

    /// Writes what is pending, in this turn.
    pub(crate) fn write(&self, storage: &Storage) -> Result<()> {
        let rows = self.pending.take();
        if !rows.is_empty() {
            storage.put_journal(&rows)?;
            let mut counters = self.counters.borrow_mut();
            for row in &rows {
                counters.add(row);
            }
            storage.put_counters(&counters)?;
            let added = rows.len() as u64;
            self.stored.set(self.stored.get().saturating_add(added));
        }
        Ok(())
    }

    /// When the alarm should be set, if rows are stored and none is set.
    pub(crate) fn needs_alarm(&self) -> Option<Duration> {
        let needed = self.stored.get() > 0 && !self.alarm_is_set.replace(self.stored.get() > 0);
        needed.then(|| pause_before_moving(self.failures.get()))
    }

    /// Moves the oldest rows to D1. Called by the alarm; what is left over needs another one.
    pub(crate) async fn flush(&self, storage: &Storage, db: &D1Database) -> Result<()> {
        self.alarm_is_set.set(false);
        let moved = self.move_batches(storage, db).await;
        let failures = match &moved {
            Ok(()) => 0,
            Err(_) => self.failures.get().saturating_add(1),
        };
        self.failures.set(failures);
        moved
    }

    async fn move_batches(&self, storage: &Storage, db: &D1Database) -> Result<()> {
        for _ in 0..BATCHES_MAX {
            let batch = storage.journal_batch(BATCH_LEN_MAX)?;
            if batch.is_empty() {
                break;
            }
            let statements = sql::insert_logs(&readable(&batch), now());
            let statements: Result<Vec<_>> = statements
                .iter()
                .map(|statement| prepare(db, statement))
                .collect();
            let statements = statements?;
            if !statements.is_empty() {
                db.batch(statements).await?;
            }
            storage.delete_journal(&batch)?;
            self.stored.set(storage.journal_rows()?);
        }
        Ok(())
    }
}

/// Counts that cannot be read begin anew, which whoever watches them takes for a new object.
fn stored_counters(storage: &Storage) -> Result<Counters> {
    let Some(row) = storage.counters()? else {
        return Ok(Counters::default());
    };
    Ok(Counters::decode(&row).unwrap_or_else(|error| {
        let detail = Detail::new(&error.to_string());
        print(&Event::JournalRowUnreadable { detail });
        Counters::default()
    }))
}

/// A row that cannot be read can never be moved; it must not keep the others from it.
fn readable(batch: &[JournalRow]) -> Vec<LogRow> {
    let mut rows = Vec::with_capacity(batch.len());
    for row in batch {
        match serde_json::from_str(&row.row) {
            Ok(row) => rows.push(row),
            Err(error) => print(&Event::JournalRowUnreadable {
                detail: Detail::new(&error.to_string()),
            }),
        }
    }
    rows
}
