//! 数据量与费用的表：算术与文档一致，常数重新测量。
//!
//! The tables of `docs/scaling.md` are what the arithmetic gives, and what the arithmetic takes as
//! measured is measured again: bytes of a row in a database with the real migrations, indexes by the schema.

use std::fs;

use admission::protocol::{Acquire, Limits, Settle, SettleOutcome, TicketId};
use admission::{Admission, Instant};
use gateway_tests::harness::root;
use gateway_tests::volumes::{
    LOG_ROW_BYTES, LOG_ROW_WRITES, OBJECT_ROWS_PER_REQUEST, OBJECT_ROWS_PER_WRITE, bill,
    rate_of_retention, read, rows_per_day, tables,
};
use rusqlite::Connection;

#[test]
fn the_documented_tables_are_the_arithmetic() {
    for path in ["docs/scaling.md", "docs/zh-CN/scaling.md"] {
        let document = fs::read_to_string(root().join(path)).expect("the document exists");
        for (name, table) in tables() {
            assert_eq!(
                read(&document, name).as_deref(),
                Some(table.as_str()),
                "{path}, {name}: renew it with cargo run -p gateway-tests --bin scale -- --volumes {path}"
            );
        }
    }
}

#[test]
fn arithmetic_agrees_with_figures_made_by_hand() {
    assert_eq!(rows_per_day(10), 864_000);
    // 10 GB / (30 days of 86,400 s and 430 bytes each).
    assert!((rate_of_retention(30) - 8.97).abs() < 0.01);
    // 10/s: 4.776 requests, 0.4368 CPU, 8.0147 object requests, 0 duration, 263.7 object rows,
    // 418.288 D1 rows, 3.75 storage, 5 subscription.
    let object_rows = (25.92e6 * 6.0 + 2.592e6 * 61.0 - 50e6) / 1e6;
    let object_requests = (2.0 * 25.92e6 + 2.592e6 - 1e6) / 1e6 * 0.15;
    let d1_rows = (25.92e6 * 18.0 + 2.0 * 20.0 * 43_200.0 - 50e6) / 1e6;
    let by_hand = 4.776 + 0.4368 + object_requests + object_rows + d1_rows + 3.75 + 5.0;
    assert!((bill(10) - by_hand).abs() < 0.01, "{} {by_hand}", bill(10));
}

fn migrated() -> Connection {
    let database = Connection::open_in_memory().expect("a database in memory");
    let mut files: Vec<_> = fs::read_dir(root().join("migrations"))
        .expect("migrations")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    for file in files {
        let statements = fs::read_to_string(&file).expect("a migration");
        database.execute_batch(&statements).expect("it applies");
    }
    database
}

fn number(database: &Connection, query: &str) -> u64 {
    database
        .query_row(query, [], |row| row.get::<_, i64>(0))
        .map(|value| value.try_into().expect("not negative"))
        .expect(query)
}

#[test]
fn a_row_of_the_log_takes_the_bytes_and_writes_that_the_document_counts_with() {
    const ROWS: u32 = 50_000;
    let database = migrated();
    let before = number(
        &database,
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    );
    database
        .execute(
            "WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < ?1)
INSERT INTO logs (ticket, request_id, started_at, stored_at, app, key_id, server_id, model, endpoint, status, error_code,
  stream, prompt_tokens, completion_tokens, cached_tokens, total_tokens, usage_source, queue_wait_ms, queue_position,
  ttft_ms, total_ms, overhead_ms, attempts, colo)
SELECT lower(hex(randomblob(16))), 'req_' || lower(hex(randomblob(16))), 1800000000000 + i * 100,
  1800000000900 + i * 100, 'app-' || (i % 10), 'key_' || (i % 200), 'srv_' || (i % 3), 'model-' || (i % 12),
  '/v1/chat/completions', CASE WHEN i % 20 = 0 THEN 504 ELSE 200 END,
  CASE WHEN i % 20 = 0 THEN 'queue_timeout' END, i % 2, i % 4000, i % 900, 0, i % 4000 + i % 900, 'exact', 0, 0,
  i % 700, i % 9000, 3, 1, 'FRA' FROM number",
            [ROWS],
        )
        .expect("rows");
    let after = number(
        &database,
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    );
    let bytes = (after - before) / u64::from(ROWS);
    println!("{bytes} bytes a row");
    // Random keys leave their pages two thirds full in a small table, fuller in a large one.
    let (least, most) = (LOG_ROW_BYTES * 85 / 100, LOG_ROW_BYTES * 120 / 100);
    assert!((least..=most).contains(&bytes), "{bytes} bytes a row");

    let indexes = number(
        &database,
        "SELECT count(*) FROM pragma_index_list('logs') WHERE partial = 0",
    );
    assert_eq!(
        indexes + 1,
        LOG_ROW_WRITES,
        "the table and the indexes that every row is in"
    );
}

#[test]
fn an_object_writes_as_many_rows_for_a_request_as_the_document_counts_with() {
    let mut core = Admission::new();
    let ticket = || TicketId::try_from(String::from("t")).expect("a ticket");
    let at = Instant::from_millis(1_800_000_000_000);
    let acquire = Acquire {
        ticket: ticket(),
        app: String::from("app"),
        key_id: String::from("key"),
        model: String::from("small"),
        prompt_bytes: 400,
        output_tokens_max: Some(10),
        wait_max: None,
        arrival: None,
        attempt: 0,
        pause: None,
        note: String::new(),
        config_version: 1,
        limits: Limits {
            version: 1,
            rpm: Some(600),
            ..Limits::default()
        },
    };
    core.acquire(acquire, at);
    let granted = core.take_changes();
    core.committed(granted.sequence);
    core.settle(&Settle::new(ticket(), SettleOutcome::Completed), at);
    let settled = core.take_changes();
    let permits = granted.leases.len() + settled.leases_removed.len();
    // The journal's row and its ticket's index, put and removed.
    assert_eq!(permits as u64 + 4, OBJECT_ROWS_PER_REQUEST);
    // The counters beside them.
    let shared = granted.buckets.len() + usize::from(granted.state.is_some()) + 1;
    assert_eq!(shared as u64, OBJECT_ROWS_PER_WRITE);
}
