//! 日志从请求而来：每种结局恰好一行，进程被杀也不例外。
//!
//! What requests leave behind in the log, from their end to the admin API: one row each, however they ended,
//! with the tokens that the provider reported. Judged against the provider's own ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_tests::harness::{Chat, Gateway, SOON};
use gateway_tests::provider::{Options, Provider};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        every_ending_leaves_its_row,
        every_request_at_the_provider_has_one_row_though_the_process_is_killed,
    ]
}

/// Rows are moved a second after they were written; a few batches on a busy machine.
const MOVED: Duration = Duration::from_secs(20);

/// The rows of a server, when so many are there; oldest first.
pub(crate) async fn rows(gateway: &Gateway, server_id: &str, count: usize) -> Vec<Value> {
    let path = format!("/api/logs?server_id={server_id}&limit=500");
    let started = std::time::Instant::now();
    loop {
        let page = gateway.admin("GET", &path).send().await.expect(200).json();
        let mut rows = page["items"].as_array().expect("items").clone();
        if rows.len() >= count {
            rows.reverse();
            return rows;
        }
        assert!(started.elapsed() < MOVED, "{} of {count}", rows.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn every_ending_leaves_its_row() {
    let stage = Stage::with("journal", |server| {
        server
            .field("max_concurrency", json!(1))
            .field("queue_max", json!(1))
    })
    .await;
    let chat = |name: &str| stage.chat().header("x-request-id", name);
    let cost = json!({"prompt_tokens": 90, "chunks": 10});
    chat("plain").demo(cost.clone()).send().await.expect(200);
    let streamed = chat("streamed").stream().demo(cost).send().await;
    streamed.expect(200);
    let failed = chat("failed").demo(json!({"status": 500})).send().await;
    failed.expect(500);
    // One holds the only slot, one waits, and is pushed out by the next, whose patience ends.
    let held = chat("held").demo(json!({"header_gate": "answer"})).spawn();
    stage
        .live_until("the slot is taken", |live| live["in_flight"] == 1)
        .await;
    let evicted = chat("evicted").spawn();
    stage.queue_length(1).await;
    let impatient = chat("impatient").header("x-queue-timeout", "3").spawn();
    let evicted = evicted.await.expect("an answer");
    evicted.expect_error(503, "queue_evicted");
    let impatient = impatient.await.expect("an answer");
    impatient.expect_error(504, "queue_timeout");
    let leaving = stage.connect(&chat("leaving")).await;
    stage.queue_length(1).await;
    leaving.reset();
    stage.queue_length(0).await;
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);

    let rows = rows(stage.gateway, &stage.server.id, 7).await;
    let by_id: BTreeMap<&str, &Value> = rows
        .iter()
        .map(|row| (row["request_id"].as_str().expect("an id"), row))
        .collect();
    assert_eq!(by_id.len(), 7, "one row each: {rows:#?}");
    let outcome = |id: &str| {
        let row = by_id[id];
        let status = row["status"].as_u64().expect("a status");
        (status, row["error_code"].as_str().unwrap_or_default())
    };
    assert_eq!(outcome("failed"), (500, ""));
    assert_eq!(outcome("evicted"), (503, "queue_evicted"));
    assert_eq!(outcome("impatient"), (504, "queue_timeout"));
    assert_eq!(outcome("leaving"), (499, ""));
    assert_eq!(outcome("held"), (200, ""));
    for id in ["plain", "streamed"] {
        assert_eq!(outcome(id), (200, ""));
        let row = by_id[id];
        assert_eq!(
            (&row["prompt_tokens"], &row["total_tokens"]),
            (&json!(90), &json!(100)),
            "{row}"
        );
        assert_eq!(row["usage_source"], "exact");
        assert_eq!(row["stream"], id == "streamed");
        assert_eq!(row["attempts"], 1);
    }
    for id in ["evicted", "impatient", "leaving"] {
        assert!(by_id[id]["queue_position"].as_u64() > Some(0), "{id}");
        assert_eq!(by_id[id]["total_tokens"], 0);
    }
    assert!(by_id["impatient"]["queue_wait_ms"].as_u64() >= Some(3_000));
    assert_eq!(stage.live().await["journal_rows"], 0);
}

/// Requests, and how often the process is killed under them.
const REQUESTS: usize = 240;
const KILLS: usize = 4;

fn number_of(app: &Value) -> usize {
    let number = app.as_str().and_then(|app| app.strip_prefix("kill-"));
    number
        .and_then(|number| number.parse().ok())
        .expect("a numbered app")
}

/// Each request has an app of its own, by which row and ledger are compared.
fn numbered(chat: &Chat, number: usize) -> Chat {
    chat.clone()
        .app(&format!("kill-{number}"))
        .field("user", json!(number.to_string()))
        .demo(json!({"prompt_tokens": number, "chunks": 5, "header_delay_ms": 30}))
}

async fn every_request_at_the_provider_has_one_row_though_the_process_is_killed() {
    let state = TempDir::with_prefix("sluice-journal-").expect("a temporary directory");
    let start = async || {
        Gateway::serve()
            .state(state.path())
            .with_faults()
            .variable("FAULT_LEASE_MS", "2000")
            .start()
            .await
    };
    let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
    let mut gateway = start().await;
    let server = gateway
        .server("journal-kill")
        .provider(&provider)
        .model("journal-kill")
        .create()
        .await;
    let key = gateway.key("journal-kill").create().await;
    gateway.in_force().await;
    let per_life = REQUESTS / (KILLS + 1);
    for life in 0..=KILLS {
        let chat = gateway.chat(&key).model("journal-kill");
        let mut clients = JoinSet::new();
        for number in life * per_life..(life + 1) * per_life {
            let chat = numbered(&chat, number);
            clients.spawn(async move { chat.send_if_it_lives().await.map(|answer| answer.status) });
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        if life < KILLS {
            // In mid-burst: some are answered, some at the provider, some not even granted.
            gateway.kill().await;
            gateway = start().await;
        }
        clients.join_all().await;
    }
    let chats = provider.ledger().chats();
    let seen: BTreeMap<usize, u64> = chats
        .iter()
        .map(|chat| {
            let number = chat.json()["user"]
                .as_str()
                .and_then(|user| user.parse().ok());
            let number: usize = number.expect("a number");
            (number, number as u64 + 5)
        })
        .collect();
    assert_eq!(seen.len(), chats.len(), "nobody was sent twice");
    gateway
        .live_within(SOON, &server.id, "every lease ends", |live| {
            live["in_flight"] == 0 && live["queue_length"] == 0
        })
        .await;
    let rows = rows(&gateway, &server.id, seen.len()).await;
    let mut of: BTreeMap<usize, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        of.entry(number_of(&row["app"])).or_default().push(row);
    }
    let (mut exact, mut reserved) = (0, 0);
    for (number, tokens) in &seen {
        let rows = of
            .get(number)
            .unwrap_or_else(|| panic!("{number} has no row"));
        assert_eq!(rows.len(), 1, "{number}: {rows:#?}");
        match rows[0]["usage_source"].as_str() {
            Some("exact") if rows[0]["status"] == 200 => {
                assert_eq!(rows[0]["total_tokens"], *tokens, "{number}");
                exact += 1;
            }
            // Only who was on the way when the process died is not exact.
            _ => {
                assert!(
                    *number < KILLS * per_life,
                    "{number} met no kill: {rows:#?}"
                );
                reserved += 1;
            }
        }
    }
    println!(
        "{} at the provider, {} rows; {exact} exact, {reserved} that a kill caught",
        seen.len(),
        rows.len()
    );
    assert!(exact > 0 && of.values().all(|rows| rows.len() == 1));
}
