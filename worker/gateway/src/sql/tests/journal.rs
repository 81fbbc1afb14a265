//! 限流对象自己的日志表。
//!
//! What the statements of the journal keep: order of leaving, one row a ticket, nothing lost in between.

use admission::Instant;
use admission::protocol::RefusalReason;
use admission::protocol::TicketId;
use rusqlite::Connection;

use super::database::Database;
use crate::journal::{Entry, HELD};
use crate::log_row::LogRow;
use crate::metrics::Counters;
use crate::sql::journal::STATEMENTS;
use crate::sql::{
    CountersRow, JournalCount, JournalLines, count_journal, create_journal, delete_journal,
    journal_batch, put_counters, put_journal, read_counters, withdraw_journal,
};

fn object() -> Database {
    let database = Database {
        connection: Connection::open_in_memory().unwrap(),
    };
    for statement in [create_journal(), create_journal()].as_flattened() {
        database.run(statement).unwrap();
    }
    database
}

fn row(ticket: &str, status: u16) -> LogRow {
    LogRow {
        ticket: ticket.to_owned(),
        model: "gpt \"quoted\" 模型".to_owned(),
        status,
        ..LogRow::default()
    }
}

const NOW: Instant = Instant::from_millis(1_700_000_000_000);

fn put(database: &Database, rows: &[LogRow]) {
    let rows: Vec<Entry> = rows.iter().cloned().map(Entry::from).collect();
    database.run(&put_journal(&rows).unwrap()).unwrap();
}

/// Sequences and rows.
type Batch = (Vec<u64>, Vec<LogRow>);

fn batch(database: &Database, len_max: u64) -> Batch {
    batch_at(database, len_max, NOW)
}

fn batch_at(database: &Database, len_max: u64, now: Instant) -> Batch {
    let rows = database.run(&journal_batch(len_max, now)).unwrap();
    let lines: JournalLines = serde_json::from_value(rows[0].clone()).unwrap();
    let rows = lines.rows();
    rows.map(|row| (row.sequence, Entry::decode(row.row).unwrap().row))
        .unzip()
}

fn content((_, rows): &Batch) -> &[LogRow] {
    rows
}

fn count(database: &Database) -> u64 {
    let rows = database.run(&count_journal()).unwrap();
    serde_json::from_value::<JournalCount>(rows[0].clone())
        .unwrap()
        .rows
}

#[test]
fn every_statement_prepares_on_the_objects_schema() {
    let database = object();
    for (name, sql) in STATEMENTS {
        assert!(database.connection.prepare(sql).is_ok(), "{name}");
    }
}

#[test]
fn rows_leave_in_the_order_in_which_they_came() {
    let database = object();
    put(&database, &[row("b", 200), row("a", 200)]);
    put(&database, &[row("c", 500)]);
    assert_eq!(count(&database), 3);
    let first = batch(&database, 2);
    assert_eq!(content(&first), [row("b", 200), row("a", 200)]);
    database.run(&delete_journal(&first.0)).unwrap();
    assert_eq!(content(&batch(&database, 2)), [row("c", 500)]);
}

#[test]
fn a_later_row_of_a_ticket_replaces_the_earlier_and_outlives_its_leaving() {
    let database = object();
    put(&database, &[row("a", 499)]);
    let leaving = batch(&database, 10);
    put(&database, &[row("a", 200)]);
    assert_eq!(count(&database), 1);
    database.run(&delete_journal(&leaving.0)).unwrap();
    assert_eq!(content(&batch(&database, 10)), [row("a", 200)]);
}

#[test]
fn a_held_row_leaves_when_its_time_has_come_and_others_do_not_wait_for_it() {
    let database = object();
    let held = Entry::of_refusal(row("a", 499), RefusalReason::Cancelled, false, NOW);
    database.run(&put_journal(&[held]).unwrap()).unwrap();
    put(&database, &[row("b", 200)]);
    assert_eq!(content(&batch(&database, 10)), [row("b", 200)]);
    let later = NOW.saturating_add(HELD);
    assert_eq!(
        content(&batch_at(&database, 10, later)),
        [row("a", 499), row("b", 200)]
    );
}

#[test]
fn the_held_row_of_a_ticket_that_comes_back_is_withdrawn_and_no_other() {
    let database = object();
    let held = ["a", "b"]
        .map(|ticket| Entry::of_refusal(row(ticket, 499), RefusalReason::Cancelled, false, NOW));
    database.run(&put_journal(&held).unwrap()).unwrap();
    put(&database, &[row("c", 200)]);
    let back = ["a", "c"].map(|ticket| TicketId::try_from(ticket).unwrap());
    database.run(&withdraw_journal(&back)).unwrap();
    let later = NOW.saturating_add(HELD);
    assert_eq!(
        content(&batch_at(&database, 10, later)),
        [row("b", 499), row("c", 200)]
    );
}

#[test]
fn the_counts_are_one_row_that_each_write_replaces() {
    let database = object();
    let read = || {
        let rows = database.run(&read_counters()).unwrap();
        let rows = rows
            .into_iter()
            .map(|row| serde_json::from_value::<CountersRow>(row).unwrap());
        rows.map(|row| row.row).collect::<Vec<_>>()
    };
    assert_eq!(read(), [""; 0], "a new object has none");
    let mut counters = Counters::default();
    for _ in 0..2 {
        counters.add(&LogRow::default());
        database.run(&put_counters(&counters)).unwrap();
    }
    assert_eq!(read(), [counters.encode()]);
}
