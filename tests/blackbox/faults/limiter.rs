//! 限流对象的故障：闲时、排队时、流到一半时重置。
//!
//! Resets of the limiter object, and what the client, the row and the window have of it: nothing. Crowds of waiters over
//! resets are the business of `restart`, lost processes that of `leaving` and `ledger`.

use gateway_tests::harness::{Gateway, SOON};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{at_rest, only_row, outcome};
use crate::journal::rows;
use crate::stage::{PATIENT, Stage};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        reset_of_an_idle_limiter_keeps_its_window,
        reset_with_a_queue_is_noticed_by_nobody,
        reset_in_mid_stream_is_noticed_by_nobody,
        reset_of_an_unsettled_permit_before_headers_costs_nothing,
    ]
}

/// Prompt and completion of the request that is always the same here.
const TOKENS: u64 = 14;

async fn stage(name: &str) -> Stage<'static> {
    Stage::faulty(name, |server| {
        server
            .rpm(1_000)
            .tpm(1_000_000)
            .field("max_concurrency", json!(1))
    })
    .await
}

/// Neither a request nor a token is forgotten. After a reset more tokens may be counted: what could have been granted
/// without being recorded is allowed for, until it has left the window.
fn counted(live: &Value, requests: u64, tokens: u64) {
    assert_eq!(live["rpm_used"], requests, "{live}");
    assert!(live["tpm_used"].as_u64() >= Some(tokens), "{live}");
    assert_eq!(
        (&live["in_flight"], &live["queue_length"]),
        (&json!(0), &json!(0))
    );
}

async fn reset_of_an_idle_limiter_keeps_its_window() {
    let stage = stage("fault-reset-idle").await;
    stage.chat().send().await.expect(200);
    stage.idle().await;
    stage.reset_limiter().await;
    // A settlement that was not durable yet is repeated.
    stage.idle().await;
    let live = stage.live().await;
    counted(&live, 1, TOKENS);
    let row = only_row(stage.gateway, &stage.server).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
    let next = stage.chat().send().await.expect(200);
    assert_eq!(next.number("x-queue-wait-ms"), 0);
}

async fn reset_with_a_queue_is_noticed_by_nobody() {
    let stage = stage("fault-reset-queue").await;
    let held = stage
        .chat()
        .demo(json!({"header_gate": "go"}))
        .bound(PATIENT);
    let held = held.spawn();
    stage
        .live_until("the slot is taken", |live| live["in_flight"] == 1)
        .await;
    let waiting = stage.waiter(1, 1).await;
    stage.reset_limiter().await;
    stage.provider.gate("go").open_for_good();
    held.await.expect("an answer").expect(200);
    waiting.await.expect("an answer").expect(200);
    let live = at_rest(stage.gateway, &stage.server).await;
    counted(&live, 2, 2 * TOKENS);
    for row in rows(stage.gateway, &stage.server.id, 2).await {
        assert_eq!(outcome(&row), (200, "", "exact"), "{row}");
    }
}

async fn reset_in_mid_stream_is_noticed_by_nobody() {
    let stage = stage("fault-reset-stream").await;
    let chat = stage.chat().stream().demo(json!({"chunk_gate": "word"}));
    let gate = stage.provider.gate("word");
    gate.open(1);
    let mut stream = chat.open().await;
    stream
        .read_until(SOON, "the first word", |bytes| !bytes.is_empty())
        .await;
    stage.reset_limiter().await;
    gate.open_for_good();
    let answer = stream.rest(SOON).await.expect("the stream ends properly");
    let last = answer.events().pop().expect("events");
    assert_eq!(last.data, "[DONE]");
    let live = at_rest(stage.gateway, &stage.server).await;
    counted(&live, 1, TOKENS);
    let row = only_row(stage.gateway, &stage.server).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
}

async fn reset_of_an_unsettled_permit_before_headers_costs_nothing() {
    let stage = stage("fault-reset-headers").await;
    let gateway: &Gateway = stage.gateway;
    let held = stage
        .chat()
        .demo(json!({"header_gate": "go", "status": 500}));
    let held = held.bound(PATIENT).spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    stage.reset_limiter().await;
    let live = stage.live().await;
    assert_eq!(live["in_flight"], 1, "a permit outlives the object: {live}");
    stage.provider.gate("go").open_for_good();
    held.await.expect("an answer").expect(500);
    let live = at_rest(gateway, &stage.server).await;
    counted(&live, 1, 0);
    let row = only_row(gateway, &stage.server).await;
    assert_eq!(outcome(&row), (500, "", "exact"));
}
