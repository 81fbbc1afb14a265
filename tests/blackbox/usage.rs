//! 用量：统计、日志、CSV、汇总与保留，端到端。
//!
//! Rows of the log are put into the database of a stopped gateway with the gateway's own statement; then it is
//! started on it, its cron is fired, and everything else is asked over HTTP. What the requests themselves leave
//! behind is judged elsewhere.

mod document;
mod export;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gateway::log_row::{LogRow, UsageSource};
use gateway::sql::{Value as Bound, insert_logs};
use gateway_tests::harness::{Gateway, SOON};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::Value;
use tempfile::TempDir;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        statistics_and_log_show_what_is_stored,
        sums_are_exact_whatever_happens_to_the_cron,
        old_rows_go_and_their_sums_stay,
        what_cannot_be_served_is_refused,
    ]
    .into_iter()
    .chain(document::trials())
    .chain(export::trials())
    .collect()
}

fn now() -> u64 {
    let elapsed = UNIX_EPOCH
        .elapsed()
        .or_else(|_| SystemTime::now().duration_since(UNIX_EPOCH));
    elapsed.expect("a clock after 1970").as_millis() as u64
}

/// The start of this hour, UTC.
fn this_hour() -> u64 {
    now() / HOUR_MS * HOUR_MS
}

fn time(millis: u64) -> String {
    gateway::admin_api::rfc3339(instant(millis))
}

fn instant(millis: u64) -> admission::time::Instant {
    admission::time::Instant::from_millis(millis)
}

fn row(number: u64, started_at: u64) -> LogRow {
    let (status, error_code) = match number % 10 {
        8 => (504, Some("queue_timeout".to_owned())),
        9 => (499, None),
        _ => (200, None),
    };
    LogRow {
        ticket: format!("ticket-{number}"),
        request_id: format!("req-{number}"),
        started_at,
        app: ["chat", "batch", "=HYPERLINK(\"x\")"][(number % 3) as usize].to_owned(),
        key_id: "key_1".to_owned(),
        server_id: ["srv_a", "srv_b"][(number % 2) as usize].to_owned(),
        model: "模型, \"one\"".to_owned(),
        endpoint: "/v1/chat/completions".to_owned(),
        status,
        error_code,
        stream: number % 2 == 1,
        prompt_tokens: number,
        completion_tokens: 7,
        cached_tokens: number / 2,
        total_tokens: number + 7,
        usage_source: UsageSource::Exact,
        queue_wait_ms: 10 * (number % 100),
        queue_position: number % 100,
        ttft_ms: (status == 200).then_some(50),
        total_ms: 10 * (number % 100) + 120,
        overhead_ms: 3,
        attempts: 1,
        colo: String::new(),
    }
}

/// A state directory whose database has these rows.
async fn state_with(rows: &[LogRow], stored_at: u64) -> TempDir {
    let state = TempDir::with_prefix("sluice-usage-").expect("a temporary directory");
    let gateway = Gateway::serve().state(state.path()).start().await;
    let stopped = gateway.stop(Signal::SIGTERM, SOON).await;
    assert!(stopped.is_some_and(|status| status.success()));
    fill(state.path(), rows, stored_at);
    state
}

fn fill(state: &Path, rows: &[LogRow], stored_at: u64) {
    let folder = std::fs::read_dir(state.join("storage/sluice-d1")).expect("the database's folder");
    let file = folder
        .map(|entry| entry.expect("a readable entry").path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "sqlite")
        })
        .expect("the database's file");
    let mut connection = Connection::open(file).expect("nobody else has it open");
    let transaction = connection.transaction().expect("a transaction");
    for statement in insert_logs(rows, instant(stored_at)).expect("rows are JSON") {
        let params = statement.params.into_iter().map(|param| match param {
            Bound::Null => Sql::Null,
            Bound::Integer(integer) => Sql::Integer(integer),
            Bound::Text(text) => Sql::Text(text),
        });
        let written = transaction.execute(statement.sql, rusqlite::params_from_iter(params));
        written.expect("the rows are written");
    }
    transaction.commit().expect("the rows are kept");
}

async fn get(gateway: &Gateway, path: &str) -> Value {
    let request = gateway.request("GET", path).token(gateway.viewer_token());
    request.send().await.expect(200).json()
}

/// All items of a list, page by page.
async fn walk(gateway: &Gateway, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(gateway, &format!("{path}{cursor}")).await;
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

fn sum(items: &[Value], field: &str) -> u64 {
    items.iter().filter_map(|item| item[field].as_u64()).sum()
}

/// What the rows in this time add up to: requests, errors, cancelled, total tokens, wait.
fn naive(rows: &[LogRow], from: u64, to: u64) -> [u64; 5] {
    let rows = || {
        rows.iter()
            .filter(move |row| (from..to).contains(&row.started_at))
    };
    [
        rows().count() as u64,
        rows()
            .filter(|row| row.status >= 400 && row.status != 499)
            .count() as u64,
        rows().filter(|row| row.status == 499).count() as u64,
        rows().map(|row| row.total_tokens).sum(),
        rows().map(|row| row.queue_wait_ms).sum(),
    ]
}

const FIELDS: [&str; 5] = [
    "requests",
    "errors",
    "cancelled",
    "total_tokens",
    "queue_wait_ms_sum",
];

/// Statistics of the last three days in both granularities are those of the rows.
async fn check_sums(gateway: &Gateway, rows: &[LogRow]) {
    let midnight = this_hour() / DAY_MS * DAY_MS;
    let (from, to) = (midnight - 2 * DAY_MS, midnight + DAY_MS);
    for granularity in ["hour", "day"] {
        let range = format!(
            "granularity={granularity}&from={}&to={}&limit=500",
            time(from),
            time(to)
        );
        for grouping in ["", "&group_by=server_id", "&group_by=app,model"] {
            let path = format!("/api/stats/usage?{range}{grouping}");
            let report = get(gateway, &path).await;
            let items = walk(gateway, &path).await;
            for (field, expected) in FIELDS.into_iter().zip(naive(rows, from, to)) {
                assert_eq!(report["totals"][field], expected, "{path}: {field}");
                assert_eq!(sum(&items, field), expected, "{path}: {field}");
            }
        }
    }
}

async fn statistics_and_log_show_what_is_stored() {
    let hour = this_hour();
    let rows: Vec<LogRow> = (0..600)
        .map(|number| row(number, hour - number * HOUR_MS / 20))
        .collect();
    let state = state_with(&rows, now()).await;
    let gateway = Gateway::serve().state(state.path()).start().await;
    gateway.cron().await;
    check_sums(&gateway, &rows).await;

    let report = get(
        &gateway,
        "/api/stats/usage?granularity=day&group_by=server_id&server_id=srv_a",
    )
    .await;
    let item = &report["items"][0];
    assert_eq!(
        (&item["server_id"], &item["app"], &item["model"]),
        (&"srv_a".into(), &Value::Null, &Value::Null)
    );
    let (p50, p95) = (
        item["latency_p50_ms"].as_u64(),
        item["latency_p95_ms"].as_u64(),
    );
    assert!(
        p50.is_some() && p50 <= p95 && p95 <= item["latency_ms_max"].as_u64(),
        "{item}"
    );

    let log = walk(&gateway, "/api/logs?limit=170").await;
    let ids: Vec<&str> = log
        .iter()
        .filter_map(|row| row["request_id"].as_str())
        .collect();
    let expected: Vec<String> = (0..600).map(|number| format!("req-{number}")).collect();
    assert_eq!(ids, expected, "newest first");
    let second = serde_json::json!({
        "request_id": "req-8", "started_at": time(rows[8].started_at), "app": "=HYPERLINK(\"x\")", "key_id": "key_1",
        "server_id": "srv_a", "model": "模型, \"one\"", "endpoint": "/v1/chat/completions", "status": 504,
        "error_code": "queue_timeout", "stream": false, "prompt_tokens": 8, "completion_tokens": 7,
        "cached_tokens": 4, "total_tokens": 15, "usage_source": "exact", "queue_wait_ms": 80, "queue_position": 8,
        "ttft_ms": null, "total_ms": 200, "overhead_ms": 3, "attempts": 1, "colo": "",
    });
    assert_eq!(log[8], second);
    for (filter, count) in [
        ("server_id=srv_b", 300),
        ("app=batch", 200),
        ("status=499", 60),
        ("error_code=queue_timeout", 60),
        ("key_id=key_1", 600),
        ("key_id=key_2", 0),
        ("request_id=req-17", 1),
        ("app=chat&status=504", 20),
    ] {
        assert_eq!(
            walk(&gateway, &format!("/api/logs?limit=500&{filter}"))
                .await
                .len(),
            count,
            "{filter}"
        );
    }
    let range = format!("/api/logs?from={}&to={}", time(hour - HOUR_MS), time(hour));
    assert_eq!(
        walk(&gateway, &range).await.len(),
        20,
        "its beginning is in it, its end is not"
    );
    export::statistics_are_those_of_the_api(&gateway).await;
    for path in [
        "/api/stats/usage",
        "/api/stats/usage.csv",
        "/api/logs",
        "/api/logs.csv",
    ] {
        gateway
            .request("GET", path)
            .send()
            .await
            .expect_error(401, "unauthorized");
        gateway
            .admin("POST", path)
            .send()
            .await
            .expect_error(405, "method_not_allowed");
        gateway.admin("HEAD", path).send().await.expect(200);
    }
}

async fn sums_are_exact_whatever_happens_to_the_cron() {
    let hour = this_hour();
    let started = |number: u64| hour - number % 40 * HOUR_MS - number % 999;
    let mut rows: Vec<LogRow> = (0..30_000)
        .map(|number| row(number, started(number)))
        .collect();
    let state = state_with(&rows, now()).await;
    // Killed in the middle of a run, at another moment each time.
    for delay in [2, 25, 60] {
        let gateway = Gateway::serve().state(state.path()).start().await;
        let until_killed = tokio::time::timeout(Duration::from_millis(delay), gateway.cron());
        assert!(
            until_killed.await.is_err() || delay > 2,
            "the run is still under way"
        );
        gateway.kill().await;
    }
    let gateway = Gateway::serve().state(state.path()).start().await;
    // Two at once, then once more.
    tokio::join!(gateway.cron(), gateway.cron());
    gateway.cron().await;
    check_sums(&gateway, &rows).await;
    // Late rows, among them some that were stored before.
    assert!(gateway.stop(Signal::SIGTERM, SOON).await.is_some());
    let late: Vec<LogRow> = (29_000..31_000)
        .map(|number| row(number, started(number)))
        .collect();
    fill(state.path(), &late, now());
    rows.extend(late.into_iter().skip(1_000));
    let gateway = Gateway::serve().state(state.path()).start().await;
    gateway.cron().await;
    check_sums(&gateway, &rows).await;
}

async fn old_rows_go_and_their_sums_stay() {
    let hour = this_hour();
    let rows: Vec<LogRow> = (0..60)
        .map(|number| row(number, hour - number * HOUR_MS))
        .collect();
    // Stored a day ago and more, so that nobody will send them again.
    let state = state_with(&rows, hour - 2 * DAY_MS).await;
    let start = Gateway::serve()
        .state(state.path())
        .variable("LOG_RETENTION_DAYS", "1");
    let gateway = start.start().await;
    gateway.cron().await;
    let left = walk(&gateway, "/api/logs?limit=500").await;
    let oldest = left
        .last()
        .and_then(|row| row["started_at"].as_str())
        .unwrap_or_default()
        .to_owned();
    assert!(
        (23..=25).contains(&left.len()),
        "a day of rows: {}",
        left.len()
    );
    assert!(oldest > time(now() - DAY_MS - HOUR_MS), "{oldest}");
    check_sums(&gateway, &rows).await;
}

async fn what_cannot_be_served_is_refused() {
    let gateway = crate::stage::gateway().await;
    for (path, param) in [
        ("/api/stats/usage?granularity=week", "granularity"),
        ("/api/stats/usage?group_by=key_id", "group_by"),
        (
            "/api/stats/usage?from=2026-01-01T00:30:00Z&to=2026-01-02T00:00:00Z",
            "from",
        ),
        (
            "/api/stats/usage?from=2026-01-01T00:00:00Z&to=2026-03-01T00:00:00Z",
            "from",
        ),
        (
            "/api/stats/usage?granularity=day&from=2020-01-01T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from",
        ),
        (
            "/api/stats/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from",
        ),
        ("/api/stats/usage?to=soon", "to"),
        ("/api/stats/usage?cursor=abc", "cursor"),
        ("/api/stats/usage.csv?limit=5", "limit"),
        ("/api/stats/usage?granularity=day&sever_id=x", "sever_id"),
        ("/api/logs?limit=501", "limit"),
        ("/api/logs?status=1000", "status"),
        ("/api/logs?cursor=eA", "cursor"),
        (
            "/api/logs.csv?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from",
        ),
        ("/api/logs?app=a&app=b", "app"),
    ] {
        let answer = gateway
            .admin("GET", path)
            .send()
            .await
            .expect_error(422, "invalid_field");
        assert_eq!(answer.json()["error"]["param"], param, "{path}");
    }
}
