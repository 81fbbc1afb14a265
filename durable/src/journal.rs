//! 用量日志：与结算同一步写下，由闹钟成批搬到 D1。
//!
//! The rows of requests that are over, in the object's own database until they are in D1. They are written
//! in the turn of the change that ended the request, so a row is there exactly if its permit is gone. An
//! alarm moves them; D1 takes a row once, however often it is brought.
//!
//! Owns what is pending and what is stored; [`gateway::journal`] makes the rows.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::time::Duration;

use admission::Instant;
use admission::protocol::TicketId;
use futures::future::{Either, select};
use gateway::journal::{ANSWER_WAIT_MAX, Entry, Moving};
use gateway::log::{Detail, Event};
use gateway::log_row::LogRow;
use gateway::metrics::Counters;
use gateway::sql::{self, JournalLines};
use worker::{D1Database, D1PreparedStatement, Delay, Error, Result};

use crate::clock::now;
use crate::d1::prepare;
use crate::log::print;
use crate::storage::Storage;

/// Rows of one batch: reading, bringing and deleting so many takes two or three milliseconds, in which the
/// object answers nobody.
const BATCH_LEN: u64 = 50;
/// Rows of one batch where many have gathered: at 1 KiB at most each, half of what D1 takes.
const BATCH_LEN_MAX: u64 = 500;
/// So many rows are many: what a second brings is moved in small batches.
const MANY: u64 = 4_000;
/// Batches of one alarm, so that it ends in time.
const BATCHES_MAX: u32 = 100;
/// What lies between two batches, so that what came meanwhile is done with before the next one.
const BREATH: Duration = Duration::from_millis(12);

/// See the module.
pub(crate) struct Journal {
    pending: RefCell<Vec<Entry>>,
    /// Tickets that have come back, whose held rows are to be deleted.
    withdrawn: RefCell<Vec<TicketId>>,
    stored: Cell<u64>,
    moving: Rc<RefCell<Moving>>,
    rows_max: u64,
    counters: RefCell<Counters>,
}

impl Journal {
    /// The journal of what is stored, which takes so many rows.
    pub(crate) fn open(storage: &Storage, rows_max: u64) -> Result<Self> {
        Ok(Self {
            pending: RefCell::default(),
            withdrawn: RefCell::default(),
            stored: Cell::new(storage.journal_rows()?),
            moving: Rc::default(),
            rows_max,
            counters: RefCell::new(stored_counters(storage)?),
        })
    }

    /// Adds the row of a request that has just ended; it is written with the next commit.
    pub(crate) fn add(&self, row: Option<impl Into<Entry>>) {
        self.pending.borrow_mut().extend(row.map(Into::into));
    }

    /// A ticket has come back: a row that is held for it is none.
    pub(crate) fn withdraw(&self, ticket: &TicketId) {
        let is_of_it = |entry: &Entry| entry.is_held() && entry.row.ticket == ticket.as_str();
        self.pending.borrow_mut().retain(|entry| !is_of_it(entry));
        self.withdrawn.borrow_mut().push(ticket.clone());
    }

    /// Whether something waits to be written.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.borrow().is_empty() || !self.withdrawn.borrow().is_empty()
    }

    /// Rows that are not in D1 yet.
    pub(crate) fn rows(&self) -> u64 {
        let pending = self.pending.borrow().len() as u64;
        self.stored.get().saturating_add(pending)
    }

    /// Moves to D1 in a row that have failed.
    pub(crate) fn failures(&self) -> u64 {
        self.moving.borrow().failures().into()
    }

    /// What all rows ever written say in sums.
    pub(crate) fn counters(&self) -> Ref<'_, Counters> {
        self.counters.borrow()
    }

    /// Whether one more would be one too many. Each permit that is out will leave one.
    pub(crate) fn is_full(&self, permits_out: u64) -> bool {
        self.rows().saturating_add(permits_out) >= self.rows_max
    }

    /// Writes what is pending, in this turn.
    pub(crate) fn write(&self, storage: &Storage) -> Result<()> {
        let withdrawn = self.withdrawn.take();
        if !withdrawn.is_empty() {
            storage.withdraw_journal(&withdrawn)?;
            self.stored.set(storage.journal_rows()?);
        }
        let rows = self.pending.take();
        if !rows.is_empty() {
            storage.put_journal(&rows)?;
            let over = rows.iter().filter(|entry| !entry.is_held());
            self.count(over.map(|entry| &entry.row), storage)?;
            let added = rows.len() as u64;
            self.stored.set(self.stored.get().saturating_add(added));
        }
        Ok(())
    }

    /// Counts rows, in this turn: those that are held when they leave, because they may be withdrawn.
    fn count<'a>(&self, rows: impl Iterator<Item = &'a LogRow>, storage: &Storage) -> Result<()> {
        let mut rows = rows.peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        let mut counters = self.counters.borrow_mut();
        for row in rows {
            counters.add(row);
        }
        storage.put_counters(&counters)
    }

    /// After how long the alarm is to fire, where it has to be set now.
    pub(crate) fn alarm(&self, lease_end: Option<Instant>) -> Option<Duration> {
        let mut moving = self.moving.borrow_mut();
        moving.alarm(self.stored.get(), lease_end, now())
    }

    /// What is to be done if the alarm could not be set.
    pub(crate) fn without_alarm(&self) -> impl FnOnce() + 'static {
        let moving = Rc::clone(&self.moving);
        move || moving.borrow_mut().has_no_alarm()
    }

    /// Moves the oldest rows to D1. Called by the alarm; what is left over needs another one.
    pub(crate) async fn flush(&self, storage: &Storage, db: &D1Database) -> Result<()> {
        if !self.moving.borrow_mut().begins() {
            return Ok(());
        }
        let moved = self.move_batches(storage, db).await;
        self.moving.borrow_mut().ended(moved.is_ok());
        moved
    }

    async fn move_batches(&self, storage: &Storage, db: &D1Database) -> Result<()> {
        for _ in 0..BATCHES_MAX {
            let batch = storage.journal_batch(batch_len(self.stored.get()), now())?;
            let sequences: Vec<u64> = batch.rows().map(|row| row.sequence).collect();
            if sequences.is_empty() {
                break;
            }
            let entries = readable(&batch);
            let held = entries.iter().filter(|entry| entry.is_held());
            let held: Vec<LogRow> = held.map(|entry| entry.row.clone()).collect();
            let rows: Vec<LogRow> = entries.into_iter().map(|entry| entry.row).collect();
            let statements = sql::insert_logs(&rows, now())?;
            let statements: Result<Vec<_>> = statements
                .iter()
                .map(|statement| prepare(db, statement))
                .collect();
            let statements = statements?;
            if !statements.is_empty() {
                insert(db, statements).await?;
            }
            storage.delete_journal(&sequences)?;
            self.count(held.iter(), storage)?;
            let moved = sequences.len() as u64;
            self.stored.set(self.stored.get().saturating_sub(moved));
            Delay::from(BREATH).await;
        }
        // Rows that have replaced others were counted twice. Once an alarm, because it reads them all.
        self.stored.set(storage.journal_rows()?);
        Ok(())
    }
}

/// Small batches while they keep up with what comes.
fn batch_len(stored: u64) -> u64 {
    if stored > MANY {
        BATCH_LEN_MAX
    } else {
        BATCH_LEN
    }
}

/// A call that is given up may be carried out all the same, even long after: D1 takes each row once.
async fn insert(db: &D1Database, statements: Vec<D1PreparedStatement>) -> Result<()> {
    let batch = std::pin::pin!(db.batch(statements));
    match select(batch, Delay::from(ANSWER_WAIT_MAX)).await {
        Either::Left((results, _)) => results.map(drop),
        Either::Right(_) => Err(Error::RustError("no answer in time".to_owned())),
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
fn readable(batch: &JournalLines) -> Vec<Entry> {
    let mut entries = Vec::new();
    for row in batch.rows() {
        match Entry::decode(row.row) {
            Ok(entry) => entries.push(entry),
            Err(error) => print(&Event::JournalRowUnreadable {
                detail: Detail::new(&error.to_string()),
            }),
        }
    }
    entries
}
