//! 数据库停摆时的用量日志：一行不丢，有界，可见，恢复后追上。
//!
//! What becomes of the rows of requests while D1 fails or does not answer at all, for the Worker and for the limiter
//! objects alike. With the other tests an outage lasts until the object has noticed it; `make outage` lets it last
//! five minutes (`OUTAGE_SECONDS`, half of them failing, half of them hanging) and prints what it cost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateway_tests::harness::{Chat, Database, Gateway, SOON};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        rows_outlive_a_database_that_fails_and_one_that_hangs,
        rows_outlive_a_process_that_dies_while_the_database_fails,
        full_journal_lets_nobody_in_until_the_database_takes_rows,
    ]
}

/// Clients, and how long each waits between two requests.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(60);

/// Between two looks at the live figures.
const POLL: Duration = Duration::from_millis(100);

/// Until an object has noticed that a call hangs, or has caught up: pauses of up to 30 s lie in between.
const PATIENT: Duration = Duration::from_mins(3);

const NAME: &str = "outage-journal";

/// The live figures of the only server, which need no database.
async fn live(gateway: &Gateway) -> Value {
    let live = gateway.admin("GET", "/api/live").send().await.expect(200);
    live.json()["items"][0].clone()
}

fn number(live: &Value, name: &str) -> u64 {
    live[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no {name}: {live}"))
}

/// Waits until the live figures are so; the most rows that the journal had meanwhile.
async fn until(gateway: &Gateway, what: &str, is_so: impl Fn(&Value) -> bool) -> u64 {
    let (started, mut rows_max) = (Instant::now(), 0);
    loop {
        let live = live(gateway).await;
        rows_max = rows_max.max(number(&live, "journal_rows"));
        if is_so(&live) {
            return rows_max;
        }
        assert!(started.elapsed() < PATIENT, "not so: {what}; {live}");
        tokio::time::sleep(POLL).await;
    }
}

async fn all_is_moved(gateway: &Gateway) {
    until(gateway, "all rows are in the database", |live| {
        live["in_flight"] == 0 && live["journal_rows"] == 0
    })
    .await;
}

/// Chats of one server, each with an id of its own.
#[derive(Debug)]
struct Load {
    chat: Chat,
    next: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    fn chat(&self) -> Chat {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let chat = self
            .chat
            .clone()
            .header("x-request-id", &format!("row-{number}"));
        chat.demo(json!({"prompt_tokens": 20 + number % 50, "chunks": 3}))
    }

    /// One chat after the other until it is over.
    async fn run(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Relaxed) {
            self.chat().send().await.expect(200);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A gateway with one server and chats for it, the first of which was served: what an isolate has never seen, it
/// cannot know while the database fails.
async fn staged(start: gateway_tests::harness::Start) -> (Gateway, Provider, Arc<Load>) {
    let gateway = start
        .with_faults()
        .variable("LOG_REQUESTS", "off")
        .start()
        .await;
    let provider = Provider::start();
    gateway
        .server(NAME)
        .provider(&provider)
        .model(NAME)
        .create()
        .await;
    let key = gateway.key(NAME).create().await;
    gateway.in_force().await;
    let load = Load {
        chat: gateway.chat(&key).model(NAME).bound(PATIENT),
        next: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    };
    load.chat().send().await.expect(200);
    all_is_moved(&gateway).await;
    (gateway, provider, Arc::new(load))
}

/// Every request has one row, with the tokens that the provider counted. Their number.
async fn check_rows(gateway: &Gateway, provider: &Provider) -> usize {
    let (mut ids, mut tokens, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let path = format!("/api/logs?limit=500{cursor}");
        let page = gateway.admin("GET", &path).send().await.expect(200).json();
        for row in page["items"].as_array().expect("items") {
            assert_eq!(
                (&row["status"], &row["usage_source"]),
                (&json!(200), &json!("exact")),
                "{row}"
            );
            ids.push(row["request_id"].as_str().expect("an id").to_owned());
            tokens += row["total_tokens"].as_u64().expect("a number");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let chats = provider.ledger().chats();
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(
        (ids.len(), distinct.len()),
        (chats.len(), chats.len()),
        "one row each"
    );
    assert!(ids.iter().all(|id| !id.contains('~')), "none came twice");
    assert_eq!(tokens, chats.iter().map(|chat| chat.tokens).sum::<u64>());
    ids.len()
}

/// Memory of workerd in MiB.
fn memory(gateway: &Gateway, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.workerd_id()));
    let status = status.expect("workerd runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number") / 1_024
}

async fn rows_outlive_a_database_that_fails_and_one_that_hangs() {
    let seconds = std::env::var("OUTAGE_SECONDS").map(|text| text.parse().expect("seconds"));
    let half = seconds.map_or(Duration::ZERO, |seconds: u64| {
        Duration::from_secs(seconds) / 2
    });
    let (gateway, provider, load) = staged(Gateway::serve()).await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).run());
    }
    until(&gateway, "rows come and go", |live| {
        number(live, "rpm_used") > 50
    })
    .await;
    let memory_before = memory(&gateway, "VmRSS");

    let began = Instant::now();
    let first = load.next.load(Ordering::Relaxed);
    gateway.database(Database::Fails).await;
    until(&gateway, "the object has noticed", |live| {
        number(live, "journal_failures") >= 2 && began.elapsed() >= half
    })
    .await;
    let failures = number(&live(&gateway).await, "journal_failures");
    gateway.database(Database::Hangs).await;
    // Counted only if the object gives the call up: a call that hangs must not hold the alarm for ever.
    let rows_max = until(&gateway, "the object has given up", |live| {
        number(live, "journal_failures") > failures && began.elapsed() >= half * 2
    })
    .await;
    let (outage, memory_during) = (began.elapsed(), memory(&gateway, "VmRSS"));
    let served = load.next.load(Ordering::Relaxed) - first;
    assert!(rows_max > 0, "rows wait, and it can be seen");
    gateway.database(Database::Answers).await;
    let back = Instant::now();
    let left = until(&gateway, "the object has caught up", |live| {
        live["journal_failures"] == 0 && number(live, "journal_rows") < 500
    })
    .await;
    let caught_up = back.elapsed();
    load.is_over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    all_is_moved(&gateway).await;
    let rows = check_rows(&gateway, &provider).await;
    println!(
        "{outage:?} without D1: {served} requests served, {rows_max} rows in the journal at most; \
         caught up with {left} rows in {caught_up:?}; {rows} rows in all, none lost, none twice; \
         workerd had {memory_before} MiB before, {memory_during} MiB at the end of it, {} MiB at most",
        memory(&gateway, "VmHWM"),
    );
}

async fn rows_outlive_a_process_that_dies_while_the_database_fails() {
    let state = TempDir::with_prefix("sluice-outage-").expect("a temporary directory");
    for how in [Database::Fails, Database::Hangs] {
        let path = state.path().join(format!("{how:?}"));
        let serve = || {
            Gateway::serve()
                .state(&path)
                .variable("FAULT_LEASE_MS", "4000")
        };
        let (gateway, provider, load) = staged(serve()).await;
        gateway.database(how).await;
        for _ in 0..5 {
            load.chat().send().await.expect(200);
        }
        until(&gateway, "all of them have ended", |live| {
            live["journal_rows"] == 5
        })
        .await;
        // Its permit is durable before it is used, and what came before it as well.
        let unfinished = tokio::spawn(load.chat().demo(json!({"hang": true})).send_if_it_lives());
        provider.ledger().wait_for_chats(7, SOON).await;
        gateway.kill().await;
        assert!(unfinished.await.expect("no panic").is_none());
        let gateway = serve().with_faults().start().await;
        // Nobody calls the limiter object: its alarm outlives the process, and ends the permit as well.
        let started = Instant::now();
        let rows = loop {
            let page = gateway
                .admin("GET", "/api/logs")
                .send()
                .await
                .expect(200)
                .json();
            let rows = page["items"].as_array().expect("items").clone();
            if rows.len() >= 7 {
                break rows;
            }
            assert!(started.elapsed() < SOON, "the rows do not come: {rows:#?}");
            tokio::time::sleep(POLL).await;
        };
        let of = |source: &str| {
            rows.iter()
                .filter(|row| row["usage_source"] == source)
                .count()
        };
        assert_eq!(
            (rows.len(), of("exact"), of("reserved")),
            (7, 6, 1),
            "{rows:#?}"
        );
    }
}

async fn full_journal_lets_nobody_in_until_the_database_takes_rows() {
    let few = Gateway::serve().variable("FAULT_JOURNAL_ROWS", "20");
    let (gateway, provider, load) = staged(few).await;
    gateway.database(Database::Fails).await;
    let mut served = 0;
    let refused = loop {
        let answer = load.chat().send().await;
        if answer.status != 200 {
            break answer;
        }
        served += 1;
        assert!(served <= 20, "it has a bound");
    };
    refused.expect_error(503, "server_overloaded");
    assert_eq!(served, 20);
    let rows_max = until(&gateway, "all have ended", |live| live["in_flight"] == 0).await;
    assert_eq!(rows_max, 20);
    gateway.database(Database::Answers).await;
    all_is_moved(&gateway).await;
    load.chat().send().await.expect(200);
    all_is_moved(&gateway).await;
    assert_eq!(check_rows(&gateway, &provider).await, served + 2);
}
