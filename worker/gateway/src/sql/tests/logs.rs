//! 日志语句：恰好一行、只删该删。
//!
//! Rows are written once however they arrive, and only rows that may go are removed. Also the source of random rows for the other tests of usage.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code: an overflow is a panic, and figures are small"
)]

use std::collections::BTreeSet;

use admission::time::Instant;

use super::database::{Database, typed};
use crate::admin_api::{LogEntry, LogQuery};
use crate::log_row::{LogRow, UsageSource};
use crate::sql::{
    LOGS_INSERT_LEN_MAX, LineRow, insert_logs, log_entry, logs_page, remove_logs, roll_up,
};

/// 2026-11-23T08:00:00Z.
pub(super) const START: u64 = 1_795_420_800_000;

/// A deterministic source: splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    /// One whose seed is the clock's, or `USAGE_SEED`; a failing test shows it.
    pub(super) fn announced() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let seed = std::env::var("USAGE_SEED").map_or(now as u64, |seed| seed.parse().unwrap());
        println!("USAGE_SEED={seed}");
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    pub(super) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A row of a request that started then.
pub(super) fn row(random: &mut Random, ticket: u64, started_at: u64) -> LogRow {
    let status = random.of(&[200, 200, 200, 400, 499, 502, 503, 504]);
    let error_code = match status {
        503 => Some("queue_evicted"),
        504 => Some("queue_timeout"),
        502 => Some("upstream_unreachable"),
        _ => None,
    };
    let wait = random.of(&[0, 0, 0, 1, 10, 11, 99, 4_000, 60_350, 700_000]);
    let (prompt, completion) = (random.below(5_000), random.below(900));
    LogRow {
        ticket: format!("t{ticket}"),
        request_id: format!("r{ticket}"),
        started_at,
        app: random.of(&["chat", "batch", "=cmd"]).to_owned(),
        key_id: random.of(&["key_a", "key_b", ""]).to_owned(),
        server_id: random.of(&["srv_a", "srv_b"]).to_owned(),
        model: random.of(&["gpt-4", "模型", ""]).to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        status,
        error_code: error_code.map(str::to_owned),
        stream: random.below(2) == 1,
        prompt_tokens: prompt,
        completion_tokens: completion,
        cached_tokens: prompt / 2,
        total_tokens: prompt + completion,
        usage_source: random.of(&[
            UsageSource::Exact,
            UsageSource::Estimated,
            UsageSource::Reserved,
        ]),
        queue_wait_ms: wait,
        queue_position: u64::from(wait > 0) * random.below(9),
        ttft_ms: (status == 200).then(|| random.below(3_000)),
        total_ms: wait + random.below(30_000),
        overhead_ms: random.below(9),
        attempts: random.below(3),
        colo: String::new(),
    }
}

pub(super) fn store(database: &Database, rows: &[LogRow], now: u64) {
    for statement in insert_logs(rows, Instant::from_millis(now)).unwrap() {
        assert!(database.run(&statement).unwrap().is_empty());
    }
}

pub(super) fn entries(database: &Database, query: &str) -> Vec<LogEntry> {
    let query = LogQuery::parse(query).unwrap();
    let rows: Vec<LineRow> = typed(&database.run(&logs_page(&query)).unwrap());
    rows.iter().map(|row| log_entry(row).unwrap()).collect()
}

fn ids(database: &Database) -> BTreeSet<String> {
    entries(database, "limit=500")
        .into_iter()
        .map(|entry| entry.request_id)
        .collect()
}

pub(super) fn plain(ticket: &str, request_id: &str) -> LogRow {
    LogRow {
        ticket: ticket.to_owned(),
        request_id: request_id.to_owned(),
        started_at: START,
        ..LogRow::default()
    }
}

pub(super) fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn a_row_reads_back_as_it_was_written() {
    let database = Database::migrated();
    let mut random = Random(7);
    let rows: Vec<LogRow> = (0..50)
        .map(|ticket| row(&mut random, ticket, START + ticket))
        .collect();
    store(&database, &rows, START);
    let found = entries(&database, "limit=500");
    assert_eq!(found.len(), 50);
    for (entry, row) in found.iter().rev().zip(&rows) {
        assert_eq!(
            (&entry.request_id, entry.started_at),
            (&row.request_id, row.started_at)
        );
        assert_eq!(
            (&entry.app, &entry.key_id, &entry.server_id),
            (&row.app, &row.key_id, &row.server_id)
        );
        assert_eq!(
            (&entry.model, &entry.endpoint, &entry.colo),
            (&row.model, &row.endpoint, &row.colo)
        );
        assert_eq!(
            (entry.status, &entry.error_code, entry.stream != 0),
            (row.status, &row.error_code, row.stream)
        );
        assert_eq!(
            (entry.prompt_tokens, entry.completion_tokens),
            (row.prompt_tokens, row.completion_tokens)
        );
        assert_eq!(
            (entry.cached_tokens, entry.total_tokens),
            (row.cached_tokens, row.total_tokens)
        );
        assert_eq!(
            (entry.usage_source, entry.attempts),
            (row.usage_source, row.attempts)
        );
        assert_eq!(
            (entry.queue_wait_ms, entry.queue_position),
            (row.queue_wait_ms, row.queue_position)
        );
        assert_eq!(
            (entry.ttft_ms, entry.total_ms, entry.overhead_ms),
            (row.ttft_ms, row.total_ms, row.overhead_ms)
        );
    }
}

#[test]
fn a_row_that_is_sent_again_is_written_once() {
    let database = Database::migrated();
    let first = [plain("a", "x"), plain("b", "y")];
    store(&database, &first, START);
    store(&database, &first, START);
    let mut overlapping = vec![plain("b", "y"), plain("c", "z"), plain("c", "z")];
    store(&database, &overlapping, START);
    overlapping.reverse();
    store(&database, &overlapping, START);
    assert_eq!(entries(&database, "").len(), 3);
    assert_eq!(ids(&database), set(&["x", "y", "z"]));
}

#[test]
fn a_request_id_that_is_taken_gets_the_ticket_behind_it() {
    let database = Database::migrated();
    store(
        &database,
        &[plain("a", "x"), plain("b", "x"), plain("c", "x")],
        START,
    );
    assert_eq!(
        ids(&database),
        set(&["x", "x~b", "x~c"]),
        "within one batch"
    );
    store(
        &database,
        &[
            plain("d", "x"),
            plain("b", "x"),
            plain("e", "new"),
            plain("f", "new"),
        ],
        START,
    );
    assert_eq!(
        ids(&database),
        set(&["x", "x~b", "x~c", "x~d", "new", "new~f"]),
        "and in a later one"
    );
}

#[test]
fn no_row_of_a_request_can_make_the_statement_fail() {
    let database = Database::migrated();
    let long = "\u{0}'\"\u{1F600}\\,".repeat(400);
    let number = u64::MAX;
    let worst = LogRow {
        ticket: "t".repeat(64),
        request_id: "r".repeat(64),
        started_at: number,
        app: long.clone(),
        key_id: long.clone(),
        server_id: long.clone(),
        model: long.clone(),
        endpoint: long.clone(),
        status: u16::MAX,
        error_code: Some(long.clone()),
        stream: true,
        prompt_tokens: number,
        completion_tokens: number,
        cached_tokens: number,
        total_tokens: number,
        usage_source: UsageSource::Reserved,
        queue_wait_ms: number,
        queue_position: number,
        ttft_ms: Some(number),
        total_ms: number,
        overhead_ms: number,
        attempts: number,
        colo: long,
    };
    let rows: Vec<LogRow> = (0..LOGS_INSERT_LEN_MAX)
        .map(|index| LogRow {
            ticket: format!("{index:064}"),
            ..worst.clone()
        })
        .collect();
    let statements = insert_logs(&rows, Instant::from_millis(START)).unwrap();
    assert_eq!(statements.len(), 1);
    let crate::sql::Value::Text(parameter) = &statements[0].params[0] else {
        panic!("a JSON text");
    };
    assert!(parameter.len() < 1_500_000, "{}", parameter.len());
    database.run(&statements[0]).unwrap();
    let query = LogQuery {
        to: Instant::from_millis(u64::MAX),
        ..LogQuery::parse("limit=500").unwrap()
    };
    assert_eq!(
        database.run(&logs_page(&query)).unwrap().len(),
        LOGS_INSERT_LEN_MAX
    );
}

#[test]
fn more_rows_than_one_statement_takes_become_several() {
    let rows: Vec<LogRow> = (0..=LOGS_INSERT_LEN_MAX)
        .map(|index| plain(&index.to_string(), "x"))
        .collect();
    let len = |rows: &[LogRow]| insert_logs(rows, Instant::default()).unwrap().len();
    assert_eq!((len(&rows), len(&[])), (2, 0));
}

#[test]
fn only_old_rows_that_are_in_the_sums_and_cannot_come_again_are_removed() {
    let mut database = Database::migrated();
    let old = |ticket: &str, started_at| LogRow {
        started_at,
        ..plain(ticket, ticket)
    };
    let day = 86_400_000;
    let now = START + 40 * day;
    let remove = || {
        remove_logs(
            Instant::from_millis(now - 30 * day),
            Instant::from_millis(now - day),
        )
    };
    store(&database, &[old("old", START), old("young", now)], START);
    assert!(
        database.run(&remove()).unwrap().is_empty(),
        "nothing is in the sums yet"
    );
    database.batch(&roll_up(Instant::from_millis(now))).unwrap();
    store(&database, &[old("late", START + 1)], now);
    assert_eq!(database.run(&remove()).unwrap().len(), 1);
    assert_eq!(ids(&database), set(&["young", "late"]));
    database.batch(&roll_up(Instant::from_millis(now))).unwrap();
    assert!(
        database.run(&remove()).unwrap().is_empty(),
        "stored today, so it may be sent again"
    );
    let later = remove_logs(
        Instant::from_millis(now - 30 * day),
        Instant::from_millis(now + 1),
    );
    assert_eq!(database.run(&later).unwrap().len(), 1);
    assert_eq!(ids(&database), set(&["young"]));
    let plan = database.plan(&later).join("; ");
    assert!(
        plan.contains("logs_by_time (started_at<?)") && !plan.contains("SCAN"),
        "{plan}"
    );
}
