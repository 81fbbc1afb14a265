//! 日志从请求而来：每种结局恰好一行。
//!
//! What requests leave behind in the log, from their end to the admin API: one row each, however they ended,
//! with the tokens that the provider reported. Many of them, under kills, are the business of the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_tests::harness::Gateway;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![every_ending_leaves_its_row]
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
