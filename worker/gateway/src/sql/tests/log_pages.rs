//! 日志的页：每行一次、次序不变、只走索引、扫描有界。
//!
//! Pages and exports show each row of a query once and in order, by the index of one filter, and look through a
//! bounded number of rows at a time.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "test code: an overflow is a panic, and figures are small"
)]

use std::collections::BTreeSet;

use super::database::{Database, typed};
use super::logs::{Random, START, entries, plain, row, store};
use crate::admin_api::{LogEntry, LogQuery};
use crate::export::Export;
use crate::log_row::LogRow;
use crate::sql::{LineRow, log_entry, logs_page, logs_scan, scan_end};

/// Every row of the query, page by page, and how many pages there were.
fn walk(database: &Database, text: &str) -> (Vec<String>, usize) {
    let (mut all, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let mut query = LogQuery::parse(&format!("{text}{cursor}")).unwrap();
        if let Some(scan) = logs_scan(&query) {
            let rows: Vec<LineRow> = typed(&database.run(&scan).unwrap());
            query.until = rows.first().map(|row| scan_end(row).unwrap());
        }
        let rows: Vec<LineRow> = typed(&database.run(&logs_page(&query)).unwrap());
        let list = query.list(rows.iter().map(|row| log_entry(row).unwrap()).collect());
        all.extend(list.items.into_iter().map(|item| item.request_id));
        pages += 1;
        match list.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (all, pages),
        }
    }
}

/// Whether a row belongs to a query.
type Is = fn(&LogRow) -> bool;

#[test]
fn pages_show_every_row_of_a_query_once_and_in_order() {
    let database = Database::migrated();
    let mut random = Random::announced();
    // Many rows of the same millisecond, so that the order of storage decides.
    let rows: Vec<LogRow> = (0..400)
        .map(|ticket| {
            let started_at = START + random.below(20);
            row(&mut random, ticket, started_at)
        })
        .collect();
    store(&database, &rows, START);
    let filters: [(&str, Is); 10] = [
        ("", |_| true),
        ("&server_id=srv_a", |row| row.server_id == "srv_a"),
        ("&app=%3Dcmd", |row| row.app == "=cmd"),
        ("&model=%E6%A8%A1%E5%9E%8B", |row| row.model == "模型"),
        ("&key_id=key_b", |row| row.key_id == "key_b"),
        ("&status=499", |row| row.status == 499),
        ("&error_code=queue_timeout", |row| {
            row.error_code.as_deref() == Some("queue_timeout")
        }),
        ("&request_id=r17", |row| row.request_id == "r17"),
        ("&app=chat&status=200&server_id=srv_b", |row| {
            (row.app.as_str(), row.status, row.server_id.as_str()) == ("chat", 200, "srv_b")
        }),
        (
            "&from=2026-11-23T08:00:00.005Z&to=2026-11-23T08:00:00.009Z",
            |row| (START + 5..START + 9).contains(&row.started_at),
        ),
    ];
    for (filter, is_so) in filters {
        let mut expected: Vec<(u64, usize, &str)> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| is_so(row))
            .map(|(place, row)| (row.started_at, place, row.request_id.as_str()))
            .collect();
        expected.sort_unstable();
        let (found, _) = walk(&database, &format!("limit=7{filter}"));
        let expected: Vec<&str> = expected.iter().rev().map(|(_, _, id)| *id).collect();
        assert!(!expected.is_empty(), "{filter}");
        assert_eq!(found, expected, "{filter}");
    }
}

/// Rows of one app, few of which have the status 502: by that, a page would look through all of them.
fn sparse(rows: u64) -> (Database, Vec<String>) {
    let database = Database::migrated();
    let all: Vec<LogRow> = (0..rows)
        .map(|ticket| LogRow {
            app: "chat".to_owned(),
            status: if ticket % 4_000 == 1 { 502 } else { 200 },
            started_at: START + ticket / 3,
            ..plain(&ticket.to_string(), &format!("r{ticket}"))
        })
        .collect();
    store(&database, &all, START);
    let mut sparse: Vec<String> = all
        .iter()
        .filter(|row| row.status == 502)
        .map(|row| row.request_id.clone())
        .collect();
    sparse.reverse();
    (database, sparse)
}

#[test]
fn filters_that_hardly_ever_meet_are_looked_for_a_bounded_number_of_rows_at_a_time() {
    let (database, sparse) = sparse(25_000);
    let (found, pages) = walk(&database, "app=chat&status=502&limit=2");
    assert_eq!(found, sparse);
    assert!(
        pages > 3,
        "three scans, and pages that are full before: {pages}"
    );
    let (none, pages) = walk(&database, "app=chat&status=418");
    assert_eq!((none.len(), pages), (0, 3), "10,000 rows each");
    for filters in [
        "app=a&status=200",
        "model=a&status=200",
        "server_id=a&status=200",
        "key_id=a&app=b",
        "error_code=a&app=b",
    ] {
        let scan = logs_scan(&LogQuery::parse(filters).unwrap()).unwrap();
        let plan = database.plan(&scan).join("; ");
        assert!(
            plan.starts_with("SEARCH logs USING COVERING INDEX logs_by_"),
            "{plan}"
        );
        assert!(!plan.contains("TEMP"), "{plan}");
    }
    for filters in ["", "app=a", "status=200", "request_id=a&app=b"] {
        assert_eq!(
            logs_scan(&LogQuery::parse(filters).unwrap()),
            None,
            "{filters}"
        );
    }
}

#[test]
fn an_export_has_every_row_once_also_where_filters_hardly_ever_meet() {
    let (database, sparse) = sparse(25_000);
    for (filters, expected) in [
        ("app=chat&status=502", sparse.len()),
        ("app=chat", 25_000),
        ("app=none", 0),
    ] {
        let mut export = Export::logs(filters).unwrap();
        let mut csv = String::new();
        while let Some(statement) = export.next() {
            csv.push_str(
                &export
                    .push(&typed(&database.run(&statement).unwrap()))
                    .unwrap(),
            );
        }
        let mut lines = csv.split_terminator("\r\n");
        assert!(lines.next().unwrap().starts_with("request_id,started_at,"));
        let ids: Vec<&str> = lines.map(|line| line.split(',').next().unwrap()).collect();
        let distinct: BTreeSet<&&str> = ids.iter().collect();
        assert_eq!(
            (ids.len(), distinct.len()),
            (expected, expected),
            "{filters}"
        );
        if filters.contains("502") {
            assert_eq!(ids, sparse);
        }
    }
}

#[test]
fn rows_that_come_while_pages_are_read_neither_repeat_nor_hide_others() {
    let database = Database::migrated();
    let mut random = Random(3);
    let mut rows = |from: u64| -> Vec<LogRow> {
        (from..from + 20)
            .map(|ticket| row(&mut random, ticket, START + ticket % 5))
            .collect()
    };
    store(&database, &rows(0), START);
    let first = entries(&database, "limit=10");
    store(&database, &rows(100), START);
    let cursor = first[9].place().encode();
    let rest = entries(&database, &format!("limit=500&cursor={cursor}"));
    let seen: Vec<&LogEntry> = first.iter().take(10).chain(&rest).collect();
    let distinct: BTreeSet<u64> = seen.iter().map(|entry| entry.sequence).collect();
    assert_eq!(distinct.len(), seen.len());
    assert!(
        (1..=20).all(|sequence| distinct.contains(&sequence)),
        "every row that was there at first"
    );
}

#[test]
fn a_page_of_logs_by_any_one_filter_uses_an_index_and_sorts_nothing() {
    let database = Database::migrated();
    let range = "from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z";
    for (filter, index) in [
        ("", "logs_by_time (started_at>? AND started_at<?)"),
        (
            "&server_id=x",
            "logs_by_server (server_id=? AND started_at>? AND started_at<?)",
        ),
        (
            "&app=x",
            "logs_by_app (app=? AND started_at>? AND started_at<?)",
        ),
        (
            "&model=x",
            "logs_by_model (model=? AND started_at>? AND started_at<?)",
        ),
        (
            "&key_id=x",
            "logs_by_key (key_id=? AND started_at>? AND started_at<?)",
        ),
        (
            "&status=200",
            "logs_by_status (status=? AND started_at>? AND started_at<?)",
        ),
        (
            "&error_code=x",
            "logs_by_error (error_code=? AND started_at>? AND started_at<?)",
        ),
        ("&request_id=x", "sqlite_autoindex_logs_2 (request_id=?)"),
    ] {
        let query = LogQuery::parse(&format!("{range}{filter}")).unwrap();
        let plan = database.plan(&logs_page(&query));
        assert_eq!(
            plan,
            [format!("SEARCH logs USING INDEX {index}")],
            "{filter}"
        );
    }
}
