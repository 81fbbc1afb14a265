//! 统计语句：任意分组、过滤与分页，和与总计相等，不排序。
//!
//! Statistics in every grouping and granularity against sums computed row by row, page by page, with the totals
//! of any range; and how they are carried out.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::too_many_lines,
    reason = "test code: an overflow is a panic, and figures are small; one test reads from top to bottom"
)]

use std::collections::BTreeMap;

use admission::time::Instant;

use super::database::{Database, typed};
use super::logs::{Random, START, row, store};
use super::{at, sealed};
use crate::admin_api::{UsageLine, UsageQuery, UsageReport, UsageSums};
use crate::log_row::LogRow;
use crate::sql::{
    LineRow, Statement, create_server, roll_up, usage_line, usage_page, usage_sums, usage_totals,
};

const HOUR_MS: u64 = 3_600_000;
const NOW: Instant = Instant::from_millis(START);

fn rolled_up(random: &mut Random, rows: u64) -> (Database, Vec<LogRow>) {
    let mut database = Database::migrated();
    let rows: Vec<LogRow> = (0..rows)
        .map(|ticket| {
            let started_at = START - random.below(72 * HOUR_MS);
            row(random, ticket, started_at)
        })
        .collect();
    store(&database, &rows, START);
    database.batch(&roll_up(NOW)).unwrap();
    (database, rows)
}

fn lines(database: &Database, statement: &Statement) -> Vec<LineRow> {
    typed(&database.run(statement).unwrap())
}

fn report(database: &Database, query: &UsageQuery) -> UsageReport {
    let page: Vec<UsageLine> = lines(database, &usage_page(query))
        .iter()
        .map(|row| usage_line(row).unwrap())
        .collect();
    let parts: Vec<UsageSums> = usage_totals(query)
        .iter()
        .flat_map(|statement| lines(database, statement))
        .map(|row| usage_sums(&row).unwrap())
        .collect();
    UsageReport::new(query, page, &parts)
}

/// All rows of the query, page by page; the totals of each page are the same.
fn walk(database: &Database, text: &str) -> UsageReport {
    let mut whole = report(database, &UsageQuery::parse(text, NOW).unwrap());
    while let Some(cursor) = whole.next_cursor.take() {
        let query = UsageQuery::parse(&format!("{text}&cursor={cursor}"), NOW).unwrap();
        let next = report(database, &query);
        assert_eq!(next.totals, whole.totals);
        whole.items.extend(next.items);
        whole.next_cursor = next.next_cursor;
    }
    whole
}

/// The parameter for this grouping, none for none.
pub(super) fn by(grouping: &str) -> String {
    if grouping.is_empty() {
        String::new()
    } else {
        format!("&group_by={grouping}")
    }
}

#[test]
fn every_grouping_shows_each_group_once_and_adds_up_to_the_totals() {
    let mut random = Random::announced();
    let (database, rows) = rolled_up(&mut random, 1_500);
    let groupings = [
        "",
        "server_id",
        "app",
        "model",
        "server_id,app",
        "model,server_id",
        "app,model",
        "server_id,app,model",
    ];
    for (granularity, range, span) in [
        (
            "hour",
            "from=2026-11-20T09:00:00Z&to=2026-11-23T09:00:00Z",
            HOUR_MS,
        ),
        (
            "hour",
            "from=2026-11-21T05:00:00Z&to=2026-11-23T03:00:00Z",
            HOUR_MS,
        ),
        (
            "hour",
            "from=2026-11-21T05:00:00Z&to=2026-11-21T06:00:00Z",
            HOUR_MS,
        ),
        (
            "day",
            "from=2026-11-20T00:00:00Z&to=2026-11-24T00:00:00Z",
            24 * HOUR_MS,
        ),
    ] {
        for grouping in groupings {
            for (filter, is_so) in [
                ("", (|_| true) as fn(&LogRow) -> bool),
                ("&app=chat", |row| row.app == "chat"),
                ("&server_id=srv_b&model=gpt-4", |row| {
                    (&*row.server_id, &*row.model) == ("srv_b", "gpt-4")
                }),
            ] {
                let text = format!(
                    "granularity={granularity}&{range}{}{filter}&limit=7",
                    by(grouping)
                );
                let query = UsageQuery::parse(&text, NOW).unwrap();
                let in_range = query.from.as_millis()..query.to.as_millis();
                let mut expected: BTreeMap<_, (u64, u64)> = BTreeMap::new();
                for row in rows
                    .iter()
                    .filter(|row| is_so(row) && in_range.contains(&row.started_at))
                {
                    let named =
                        |name: &str, value: &String| grouping.contains(name).then(|| value.clone());
                    let bucket = Instant::from_millis(row.started_at / span * span);
                    let key = (
                        crate::admin_api::rfc3339(bucket),
                        named("server_id", &row.server_id),
                        named("app", &row.app),
                        named("model", &row.model),
                    );
                    let sums = expected.entry(key).or_default();
                    *sums = (sums.0 + 1, sums.1 + row.total_tokens);
                }
                let report = walk(&database, &text);
                let found: BTreeMap<_, (u64, u64)> = report
                    .items
                    .iter()
                    .map(|item| {
                        let key = (
                            item.bucket.clone(),
                            item.server_id.clone(),
                            item.app.clone(),
                            item.model.clone(),
                        );
                        (key, (item.figures.requests, item.figures.total_tokens))
                    })
                    .collect();
                assert_eq!(found.len(), report.items.len(), "a group twice: {text}");
                assert_eq!(found, expected, "{text}");
                let requests: u64 = report.items.iter().map(|item| item.figures.requests).sum();
                let tokens: u64 = report
                    .items
                    .iter()
                    .map(|item| item.figures.total_tokens)
                    .sum();
                let waits: u64 = report
                    .items
                    .iter()
                    .map(|item| item.figures.queue_wait_ms_sum)
                    .sum();
                let longest = report
                    .items
                    .iter()
                    .map(|item| item.figures.latency_ms_max)
                    .max();
                assert_eq!(
                    (report.totals.requests, report.totals.total_tokens),
                    (requests, tokens),
                    "{text}"
                );
                assert_eq!(report.totals.queue_wait_ms_sum, waits, "{text}");
                assert_eq!(
                    report.totals.latency_ms_max,
                    longest.unwrap_or_default(),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn a_range_without_requests_has_no_rows_and_totals_of_nothing() {
    let (database, _) = rolled_up(&mut Random(5), 20);
    let text = "from=2026-01-01T00:00:00Z&to=2026-01-10T05:00:00Z";
    let report = report(&database, &UsageQuery::parse(text, NOW).unwrap());
    assert!(report.items.is_empty() && report.next_cursor.is_none());
    assert_eq!(
        (report.totals.requests, report.totals.latency_p50_ms),
        (0, None)
    );
}

#[test]
fn rows_name_the_server_as_long_as_there_is_one() {
    let mut random = Random(9);
    let (mut database, _) = rolled_up(&mut random, 200);
    let create = create_server("srv_a", &super::server("first"), &sealed("srv_a"), at(1));
    database.batch(&create).unwrap();
    let report = walk(&database, "granularity=day&group_by=server_id");
    for item in &report.items {
        let expected = (item.server_id.as_deref() == Some("srv_a")).then_some("first");
        assert_eq!(item.server_name.as_deref(), expected);
    }
    assert!(report.items.iter().any(|item| item.server_name.is_some()));
    assert!(report.items.iter().any(|item| item.server_name.is_none()));
}

#[test]
fn statistics_of_thirty_days_use_an_index_and_sort_nothing() {
    let (database, _) = rolled_up(&mut Random(2), 200);
    let range = "from=2026-10-24T00:00:00Z&to=2026-11-23T00:00:00Z";
    for granularity in ["hour", "day"] {
        for grouping in [
            "",
            "server_id",
            "app",
            "model",
            "server_id,app",
            "server_id,model",
            "app,model",
            "server_id,app,model",
        ] {
            for filter in ["", "&server_id=x", "&app=x", "&model=x"] {
                let text = format!("granularity={granularity}{}&{range}{filter}", by(grouping));
                let query = UsageQuery::parse(&text, NOW).unwrap();
                let mut statements = usage_totals(&query);
                statements.push(usage_page(&query));
                for statement in statements {
                    let plan = database.plan(&statement);
                    let used = |step: &String| {
                        step.starts_with("SEARCH usage_")
                            && step.contains("(bucket>? AND bucket<?)")
                    };
                    let named = |step: &String| {
                        step.starts_with("CORRELATED SCALAR SUBQUERY")
                            || step.starts_with("SEARCH servers USING INDEX")
                    };
                    assert_eq!(
                        plan.iter().filter(|step| used(step)).count(),
                        1,
                        "{text}: {plan:?}"
                    );
                    let others: Vec<_> = plan
                        .iter()
                        .filter(|step| !used(step) && !named(step))
                        .collect();
                    assert!(
                        others
                            .iter()
                            .all(|step| step.starts_with("SCALAR SUBQUERY")),
                        "{text}: {plan:?}"
                    );
                }
            }
        }
    }
}
