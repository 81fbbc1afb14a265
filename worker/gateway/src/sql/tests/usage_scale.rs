//! 规模测试：千万行日志与一年汇总下的耗时，默认不跑。
//!
//! Fills a database on disk and prints how long the statements of usage take in it. Not part of the quick
//! tests; run it with
//!
//! ```sh
//! USAGE_SCALE_ROWS=10000000 cargo test --package gateway --lib -- --ignored --nocapture usage_scale
//! ```
//!
//! `USAGE_SCALE_DIR` is where the database goes (the system's temporary folder by default; 10,000,000 rows take
//! about 6 GB there). It is removed at the end.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::too_many_lines,
    reason = "test code: an overflow is a panic, and figures are small; one test reads from top to bottom"
)]

use std::time::{Duration, Instant as Clock};

use admission::time::Instant;
use rusqlite::Connection;

use super::database::{Database, typed};
use super::logs::START;
use crate::admin_api::{LogQuery, UsageQuery};
use crate::sql::{
    LOGS_INSERT_LEN_MAX, LineRow, Statement, insert_logs, logs_page, logs_scan, remove_logs,
    roll_up, scan_end, usage_page, usage_totals,
};

const DAY_MS: u64 = 86_400_000;

/// Four servers with three models each, ten apps, 200 keys; one request in ten fails.
const FILL: &str = "
WITH RECURSIVE number (i) AS (SELECT ?1 UNION ALL SELECT i + 1 FROM number WHERE i + 1 < ?2),
drawn AS MATERIALIZED (
  SELECT i, abs(random() % 12) AS m, abs(random() % 100) AS fate, abs(random() % 10) AS a, abs(random() % 4000) AS t
  FROM number
)
INSERT INTO logs (ticket, request_id, started_at, stored_at, app, key_id, server_id, model, endpoint, status,
  error_code, stream, prompt_tokens, completion_tokens, cached_tokens, total_tokens, usage_source, queue_wait_ms,
  queue_position, ttft_ms, total_ms, overhead_ms, attempts, colo)
SELECT lower(hex(randomblob(16))), 'req_' || lower(hex(randomblob(16))), ?3 + i * ?4 / ?5, ?3 + i * ?4 / ?5 + 900,
  'app-' || a, 'key_' || (t % 200), 'srv_' || (m / 3), 'model-' || m, '/v1/chat/completions',
  CASE WHEN fate < 90 THEN 200 WHEN fate < 94 THEN 504 WHEN fate < 97 THEN 503 WHEN fate < 99 THEN 499 ELSE 502 END,
  CASE WHEN fate < 90 THEN NULL WHEN fate < 94 THEN 'queue_timeout' WHEN fate < 97 THEN 'queue_evicted'
    WHEN fate < 99 THEN NULL ELSE 'upstream_unreachable' END,
  t % 2, t, t / 4, t / 8, t + t / 4, 'exact', CASE WHEN fate % 3 = 0 THEN t * 10 ELSE 0 END, fate % 3 = 0,
  t / 3, t * 11, 3, 1, 'FRA'
FROM drawn";

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Clock::now();
    let done = work();
    (done, begun.elapsed())
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The longest of a few runs, the first of which may find nothing in memory.
fn measured(database: &Database, statements: &[Statement]) -> (usize, Duration) {
    (0..3)
        .map(|_| {
            timed(|| {
                statements
                    .iter()
                    .map(|statement| database.run(statement).unwrap().len())
                    .sum::<usize>()
            })
        })
        .max_by_key(|(_, time)| *time)
        .unwrap()
}

#[test]
#[ignore = "fills gigabytes; see the module"]
fn statements_of_usage_stay_fast_with_millions_of_rows() {
    let rows: u64 = variable("USAGE_SCALE_ROWS", "1000000").parse().unwrap();
    let folder = variable("USAGE_SCALE_DIR", &std::env::temp_dir().to_string_lossy());
    let folder = std::path::Path::new(&folder).join(format!("sluice-scale-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("d1.sqlite");
    let fast = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -3000000;";

    let database = Database::migrate(Connection::open(&path).unwrap());
    let _: Result<(), _> = database.connection.execute_batch(fast);
    let begin = START - 30 * DAY_MS;
    let ((), filled) = timed(|| {
        for from in (0..rows).step_by(100_000) {
            let to = (from + 100_000).min(rows);
            let params =
                [from, to, begin, 30 * DAY_MS, rows].map(|number| i64::try_from(number).unwrap());
            database.connection.execute(FILL, params).unwrap();
        }
    });
    println!("filled {rows} rows in {filled:?}");

    let now = Instant::from_millis(START);
    let (mut steps, mut longest) = (0, Duration::ZERO);
    let ((), rolled) = timed(|| {
        loop {
            let (taken, time) = timed(|| {
                let taken = database.run(&roll_up(now)[0]).unwrap()[0]["done"]
                    .as_f64()
                    .unwrap();
                for statement in &roll_up(now)[1..] {
                    database.run(statement).unwrap();
                }
                taken
            });
            (steps, longest) = (steps + 1, longest.max(time));
            if taken == 0.0 {
                break;
            }
        }
    });
    println!("rolled up in {rolled:?}: {steps} steps, the longest {longest:?}");
    // The eleven months before look like this one.
    for (table, span) in [("usage_hours", 30), ("usage_days", 30)] {
        for month in 1..12 {
            let columns: Vec<String> = database
                .run(&Statement {
                    sql: "SELECT name FROM pragma_table_info(?1) WHERE name <> 'bucket'",
                    params: vec![table.into()],
                })
                .unwrap()
                .iter()
                .map(|row| row["name"].as_str().unwrap().to_owned())
                .collect();
            let columns = columns.join(", ");
            let copy = format!(
                "INSERT OR IGNORE INTO {table} (bucket, {columns}) SELECT bucket - {month} * {span} * {DAY_MS}, {columns}
                 FROM {table} WHERE bucket >= {begin} / {DAY_MS} * {DAY_MS} + {DAY_MS}"
            );
            database.connection.execute_batch(&copy).unwrap();
        }
    }
    let count = |sql: &str| {
        database
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    println!(
        "{} hours, {} days",
        count("SELECT count(*) FROM usage_hours"),
        count("SELECT count(*) FROM usage_days")
    );
    drop(database);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{} MB on disk", bytes / 1_000_000);

    // As D1 finds it: the default cache, a journal.
    let database = Database {
        connection: Connection::open(&path).unwrap(),
    };
    let mode: String = database
        .connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let mut slow = Vec::new();
    let mut judge = |what: String, (found, time): (usize, Duration), bound_ms: u64| {
        println!("{time:>10.1?} {found:>5} rows  {what}");
        if time > Duration::from_millis(bound_ms) {
            slow.push(what);
        }
    };
    let range = "from=2026-10-24T00:00:00Z&to=2026-11-23T00:00:00Z";
    for filter in [
        "",
        "&server_id=srv_2",
        "&app=app-7",
        "&model=model-11",
        "&key_id=key_33",
        "&status=499",
        "&status=200",
        "&error_code=upstream_unreachable",
        "&request_id=none",
        "&app=app-7&status=502",
        "&app=app-7&model=none",
    ] {
        let mut query = LogQuery::parse(&format!("{range}{filter}")).unwrap();
        let mut statements: Vec<Statement> = logs_scan(&query).into_iter().collect();
        query.until = statements.first().and_then(|scan| {
            let rows: Vec<LineRow> = typed(&database.run(scan).unwrap());
            rows.first().and_then(scan_end)
        });
        statements.push(logs_page(&query));
        judge(
            format!("logs {filter}"),
            measured(&database, &statements),
            100,
        );
    }
    for granularity in ["hour", "day"] {
        for grouping in [
            "",
            "server_id",
            "app",
            "model",
            "server_id,app,model",
            "server_id,model",
        ] {
            for limit in [50, 500] {
                let text = format!(
                    "granularity={granularity}{}&limit={limit}&{range}",
                    super::usage::by(grouping)
                );
                let query = UsageQuery::parse(&text, now).unwrap();
                let mut statements = usage_totals(&query);
                statements.push(usage_page(&query));
                judge(
                    format!("usage by {granularity}, {grouping}, limit {limit}"),
                    measured(&database, &statements),
                    100,
                );
            }
        }
    }
    let batch: Vec<_> = (0..LOGS_INSERT_LEN_MAX as u64)
        .map(|ticket| super::logs::row(&mut super::logs::Random(ticket), ticket, START))
        .collect();
    let insert = insert_logs(&batch, now).unwrap();
    judge(
        "insert of a batch".to_owned(),
        (0, timed(|| database.run(&insert[0]).unwrap()).1),
        1_000,
    );
    // A day, as retention takes it.
    let cutoff = Instant::from_millis(begin + DAY_MS);
    let (mut removed, mut steps, mut longest) = (0, 0, Duration::ZERO);
    let ((), all) = timed(|| {
        loop {
            let (found, time) = timed(|| database.run(&remove_logs(cutoff, now)).unwrap().len());
            (removed, steps, longest) = (removed + found, steps + 1, longest.max(time));
            if found == 0 {
                break;
            }
        }
    });
    println!("removed {removed} rows of a day in {all:?}: {steps} statements");
    judge("longest removing statement".to_owned(), (0, longest), 1_000);
    drop(database);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(slow.is_empty(), "slower than promised: {slow:#?}");
}
