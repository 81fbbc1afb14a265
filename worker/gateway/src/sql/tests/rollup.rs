//! 汇总的性质：任意到达、中断、重复与交错，和总是相等。
//!
//! Random histories of a database: batches of rows that arrive late and twice, runs of the cron that are killed
//! between two statements, run twice, or run at the same time on two connections, rows that are removed. After
//! each of them the sums are those of the rows that were ever stored, to the token.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "test code: an overflow is a panic, and figures are small"
)]

use std::collections::BTreeMap;

use admission::time::Instant;
use rusqlite::Connection;
use serde_json::Value as Json;

use super::database::Database;
use super::logs::{Random, START, row, store};
use crate::histogram::BOUNDS_MS;
use crate::log_row::LogRow;
use crate::rollup::{DoneRow, Run};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Figures of a bucket by column.
type Figures = BTreeMap<String, u64>;
/// Bucket, server, app and model.
type Key = (u64, String, String, String);

/// The sums that these rows make, computed one by one.
fn naive<'a>(rows: impl Iterator<Item = &'a LogRow>, span: u64) -> BTreeMap<Key, Figures> {
    let mut sums: BTreeMap<Key, Figures> = BTreeMap::new();
    for row in rows {
        let bucket = row.started_at / span * span;
        let key = (
            bucket,
            row.server_id.clone(),
            row.app.clone(),
            row.model.clone(),
        );
        let figures = sums.entry(key).or_default();
        let mut add =
            |name: &str, value: u64| *figures.entry(name.to_owned()).or_default() += value;
        let code = row.error_code.as_deref();
        add("requests", 1);
        add("errors", u64::from(row.status >= 400 && row.status != 499));
        add("queue_timeouts", u64::from(code == Some("queue_timeout")));
        add("queue_evictions", u64::from(code == Some("queue_evicted")));
        add("cancelled", u64::from(row.status == 499));
        add("prompt_tokens", row.prompt_tokens);
        add("completion_tokens", row.completion_tokens);
        add("cached_tokens", row.cached_tokens);
        add("total_tokens", row.total_tokens);
        add("queued_requests", u64::from(row.queue_position > 0));
        add("queue_wait_ms_sum", row.queue_wait_ms);
        add("latency_ms_sum", row.total_ms);
        for (kind, value) in [("wait", row.queue_wait_ms), ("latency", row.total_ms)] {
            let own = BOUNDS_MS
                .iter()
                .position(|bound| value <= *bound)
                .unwrap_or(BOUNDS_MS.len());
            for bucket in 0..=BOUNDS_MS.len() {
                add(&format!("{kind}_{bucket:02}"), u64::from(bucket == own));
            }
        }
        for (name, value) in [
            ("queue_wait_ms_max", row.queue_wait_ms),
            ("latency_ms_max", row.total_ms),
        ] {
            let greatest = figures.entry(name.to_owned()).or_default();
            *greatest = value.max(*greatest);
        }
    }
    sums
}

fn number(value: &Json) -> u64 {
    value.as_f64().unwrap() as u64
}

fn stored(database: &Database, sql: &'static str) -> BTreeMap<Key, Figures> {
    let mut sums = BTreeMap::new();
    for row in database.query(sql) {
        let Json::Object(mut row) = row else {
            panic!("a row")
        };
        let mut text = |name: &str| row.remove(name).unwrap().as_str().unwrap().to_owned();
        let (server_id, app, model) = (text("server_id"), text("app"), text("model"));
        let bucket = number(&row.remove("bucket").unwrap());
        let figures = row
            .iter()
            .map(|(name, value)| (name.clone(), number(value)))
            .collect();
        assert!(
            sums.insert((bucket, server_id, app, model), figures)
                .is_none()
        );
    }
    sums
}

fn check<'a>(database: &Database, rows: &(impl Iterator<Item = &'a LogRow> + Clone)) {
    for (sql, span) in [
        ("SELECT * FROM usage_hours", HOUR_MS),
        ("SELECT * FROM usage_days", DAY_MS),
    ] {
        let (found, expected) = (stored(database, sql), naive(rows.clone(), span));
        for (key, figures) in &expected {
            assert_eq!(found.get(key), Some(figures), "{sql}: {key:?}");
        }
        assert_eq!(found.len(), expected.len(), "{sql}");
    }
}

/// A run of the cron on its own connection, one statement at a time.
struct Worker {
    database: Database,
    run: Option<Run>,
    /// The statements of the step that are not done, and what the first of them answered.
    open: Option<(Vec<crate::sql::Statement>, Option<Vec<DoneRow>>)>,
}

impl Worker {
    fn new(database: Database) -> Self {
        Self {
            database,
            run: None,
            open: None,
        }
    }

    /// Carries out one statement, or begins or ends a transaction; nothing while the other one is in its own.
    fn advance(&mut self, now: Instant, retention_days: u32) {
        let run = self
            .run
            .get_or_insert_with(|| Run::new(now, retention_days));
        let Some((statements, done)) = &mut self.open else {
            match run.next(now) {
                None => self.run = None,
                Some(mut statements) => {
                    if self
                        .database
                        .connection
                        .execute_batch("BEGIN IMMEDIATE")
                        .is_ok()
                    {
                        statements.reverse();
                        self.open = Some((statements, None));
                    }
                }
            }
            return;
        };
        if let Some(statement) = statements.pop() {
            let rows = self.database.run(&statement).unwrap();
            done.get_or_insert_with(|| super::database::typed(&rows));
            return;
        }
        self.database.connection.execute_batch("COMMIT").unwrap();
        run.done(done.as_deref().unwrap_or_default());
        self.open = None;
    }

    /// Ends it as a crash would: what is not committed never was.
    fn kill(&mut self) {
        if self.open.take().is_some() {
            self.database.connection.execute_batch("ROLLBACK").unwrap();
        }
        self.run = None;
    }

    /// The answer of a step that was carried out is lost: the run ends as failed, the step stays.
    fn lose_answer(&mut self) {
        if let Some((mut statements, _)) = self.open.take() {
            while let Some(statement) = statements.pop() {
                self.database.run(&statement).unwrap();
            }
            self.database.connection.execute_batch("COMMIT").unwrap();
        }
        self.run = None;
    }
}

fn history(seed: u64) {
    let mut random = Random(seed);
    let uri = format!(
        "file:rollup-{seed}-{:?}?mode=memory&cache=shared",
        std::thread::current().id()
    );
    let shared = || Connection::open(&uri).unwrap();
    let journal = Database::migrate(shared());
    let mut workers = [(); 2].map(|()| {
        Worker::new(Database {
            connection: shared(),
        })
    });
    let retention_days = random.of(&[1, 2, 30]);
    let mut rows: Vec<LogRow> = Vec::new();
    let mut stored_at: Vec<u64> = Vec::new();
    let mut now = START;
    for _ in 0..random.below(150) + 30 {
        now += random.below(7_200_000);
        let at = Instant::from_millis(now);
        match random.below(12) {
            0..=3 => {
                // Late by up to three days, and some of them not for the first time.
                let first = rows.len() as u64;
                let fresh: Vec<LogRow> = (first..first + random.below(40))
                    .map(|ticket| {
                        let started_at = now - random.below(3 * DAY_MS) * random.below(2);
                        row(&mut random, ticket, started_at)
                    })
                    .collect();
                // As long as the limiter objects may repeat themselves.
                let repeatable = stored_at.partition_point(|at| at + DAY_MS < now);
                let recent = repeatable.max(rows.len().saturating_sub(random.below(20) as usize));
                let again = rows.get(recent..).unwrap_or_default().to_vec();
                if workers.iter().all(|worker| worker.open.is_none()) {
                    store(&journal, &[again, fresh.clone()].concat(), now);
                    stored_at.resize(rows.len() + fresh.len(), now);
                    rows.extend(fresh);
                }
            }
            4..=9 => {
                // Steps of one of them, among which the other may get its turn.
                let which = random.below(2) as usize;
                for _ in 0..random.below(9) {
                    workers[which].advance(at, retention_days);
                }
            }
            10 => workers[random.below(2) as usize].kill(),
            _ => workers[random.below(2) as usize].lose_answer(),
        }
    }
    workers.iter_mut().for_each(Worker::kill);
    let now = Instant::from_millis(now);
    for worker in &mut workers {
        // To its end, and the second one has nothing left to do.
        worker.advance(now, retention_days);
        while worker.run.is_some() {
            worker.advance(now, retention_days);
        }
        check(&journal, &rows.iter());
    }
}

#[test]
fn sums_of_hours_days_and_rows_are_equal_whatever_happens_to_the_cron() {
    let mut seeds = Random::announced();
    for _ in 0..60 {
        let seed = seeds.below(u64::MAX);
        println!("history seed {seed}");
        history(seed);
    }
}

#[test]
fn late_rows_are_added_to_the_bucket_of_their_start() {
    let mut database = Database::migrated();
    let mut random = Random(1);
    let first = [row(&mut random, 1, START)];
    store(&database, &first, START);
    database
        .batch(&crate::sql::roll_up(Instant::from_millis(START)))
        .unwrap();
    let late: Vec<LogRow> = (2..9)
        .map(|ticket| row(&mut random, ticket, START + 1))
        .collect();
    store(&database, &late, START + 3 * HOUR_MS);
    database
        .batch(&crate::sql::roll_up(Instant::from_millis(
            START + 3 * HOUR_MS,
        )))
        .unwrap();
    check(&database, &first.iter().chain(&late));
}

#[test]
fn every_bound_of_the_histograms_is_that_of_the_rules() {
    let mut database = Database::migrated();
    let values: Vec<u64> = BOUNDS_MS
        .iter()
        .flat_map(|bound| [*bound, bound + 1])
        .chain([u64::MAX >> 11])
        .collect();
    let rows: Vec<LogRow> = values
        .iter()
        .enumerate()
        .map(|(index, value)| LogRow {
            ticket: index.to_string(),
            request_id: index.to_string(),
            started_at: START,
            queue_wait_ms: *value,
            total_ms: *value,
            ..LogRow::default()
        })
        .collect();
    store(&database, &rows, START);
    database
        .batch(&crate::sql::roll_up(Instant::from_millis(START)))
        .unwrap();
    check(&database, &rows.iter());
}

#[test]
fn a_rollup_reads_only_the_rows_it_claimed() {
    let database = Database::migrated();
    for statement in &crate::sql::roll_up(Instant::from_millis(START))[1..] {
        let plan = database.plan(statement).join("; ");
        assert!(
            plan.contains("SEARCH logs USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            "{plan}"
        );
    }
    let claim = database
        .plan(&crate::sql::roll_up(Instant::from_millis(START))[0])
        .join("; ");
    assert!(!claim.contains("SCAN logs"), "{claim}");
}
