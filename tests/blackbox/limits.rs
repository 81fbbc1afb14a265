//! 限额：滑动一分钟，由上游来数。
//!
//! The scenarios that wait for a window to slide. They run at once, each on its
//! own server and provider; the count is the provider's, never the gateway's.

use std::time::Duration;

use gateway_tests::harness::Answer;
use gateway_tests::provider::WINDOW;
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::Stage;

/// A waiter of one window is served within this: the window and a generous rest.
const SLID: Duration = Duration::from_secs(70);

/// Spacing of requests where a window must slide step by step.
const STEP: Duration = Duration::from_millis(400);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        eleventh_of_ten_requests_waits_until_the_window_slides,
        waiters_go_in_order_as_the_window_slides,
        burst_is_spread_without_breaking_the_limit,
        tokens_are_kept_inside_the_window,
        tokens_beyond_the_estimate_are_a_debt_of_the_window,
        evicted_and_timed_out_requests_cost_nothing,
    ]
}

async fn all(chats: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for chat in chats {
        answers.push(chat.await.expect("no panic").expect(200));
    }
    answers
}

async fn eleventh_of_ten_requests_waits_until_the_window_slides() {
    // With the default timeout of 60 s: a wait for the whole window is what it is for.
    let stage = Stage::with("limit-rpm", |server| server.rpm(10)).await;
    let chats = (0..10).map(|_| stage.chat().spawn()).collect();
    for answer in all(chats).await {
        assert_eq!(
            (
                answer.number("x-queue-position"),
                answer.number("x-queue-wait-ms")
            ),
            (0, 0)
        );
    }
    assert_eq!(
        stage.provider.ledger().chats().len(),
        10,
        "ten go through at once"
    );
    let eleventh = stage.chat().bound(SLID).send().await.expect(200);
    assert!(eleventh.number("x-queue-position") > 0);
    assert!(
        eleventh.number("x-queue-wait-ms") > 50_000,
        "{}",
        eleventh.number("x-queue-wait-ms")
    );
    let ledger = stage.provider.ledger();
    assert_eq!(ledger.chats().len(), 11);
    assert_eq!(ledger.most_requests_in(WINDOW), 10, "at the provider");
}

async fn waiters_go_in_order_as_the_window_slides() {
    let stage = Stage::with("limit-order", |server| {
        server.rpm(5).field("queue_timeout_ms", json!(90_000))
    })
    .await;
    for _ in 0..5 {
        stage.chat().send().await.expect(200);
        // The window shall slide in steps, so that the order of dispatch shows at the provider.
        tokio::time::sleep(STEP).await;
    }
    let mut waiting = Vec::new();
    for number in 1..=5_u64 {
        waiting.push(
            stage
                .chat()
                .field("user", json!(number.to_string()))
                .bound(SLID)
                .spawn(),
        );
        stage.queue_length(number).await;
    }
    for (index, answer) in all(waiting).await.iter().enumerate() {
        assert_eq!(answer.number("x-queue-position"), index as u64 + 1);
    }
    let chats = stage.provider.ledger().chats();
    let users: Vec<String> = chats[5..]
        .iter()
        .filter_map(|chat| Some(chat.json()["user"].as_str()?.to_owned()))
        .collect();
    assert_eq!(users, ["1", "2", "3", "4", "5"]);
    assert_eq!(stage.provider.ledger().most_requests_in(WINDOW), 5);
}

async fn burst_is_spread_without_breaking_the_limit() {
    let stage = Stage::with("limit-burst", |server| {
        server.rpm(30).field("queue_timeout_ms", json!(90_000))
    })
    .await;
    let answers = all((0..60).map(|_| stage.chat().bound(SLID).spawn()).collect()).await;
    let at_once = answers
        .iter()
        .filter(|answer| answer.number("x-queue-position") == 0)
        .count();
    assert_eq!(at_once, 30, "as many as the limit go straight through");
    assert_eq!(stage.provider.ledger().chats().len(), 60);
    assert!(stage.provider.ledger().most_requests_in(WINDOW) <= 30);
}

async fn tokens_are_kept_inside_the_window() {
    // Room for ten, and for what the estimate of the tenth is above its cost.
    let stage = Stage::with("limit-tpm", |server| {
        server.tpm(1090).field("queue_timeout_ms", json!(90_000))
    })
    .await;
    // Each costs exactly 100 tokens.
    let chat = || {
        stage
            .chat()
            .field("max_tokens", json!(10))
            .demo(json!({"prompt_tokens": 90, "chunks": 10}))
    };
    for number in 1..=10_u64 {
        let answer = chat().send().await.expect(200);
        assert_eq!(answer.number("x-queue-position"), 0, "{number} of ten");
        stage
            .live_until("settled", |live| live["tpm_used"] == number * 100)
            .await;
    }
    let eleventh = chat().bound(SLID).send().await.expect(200);
    assert!(eleventh.number("x-queue-position") > 0);
    assert!(eleventh.number("x-queue-wait-ms") > 50_000);
    let ledger = stage.provider.ledger();
    assert_eq!(ledger.chats().len(), 11);
    assert_eq!(ledger.most_tokens_in(WINDOW), 1000, "at the provider");
}

async fn tokens_beyond_the_estimate_are_a_debt_of_the_window() {
    let stage = Stage::with("limit-debt", |server| {
        server.tpm(1000).field("queue_timeout_ms", json!(90_000))
    })
    .await;
    let chat = || stage.chat().field("max_tokens", json!(10));
    chat()
        .demo(json!({"prompt_tokens": 5000, "chunks": 10}))
        .send()
        .await
        .expect(200);
    stage
        .live_until("the debt", |live| live["tpm_used"] == 5010)
        .await;
    let next = chat()
        .demo(json!({"prompt_tokens": 10, "chunks": 10}))
        .bound(SLID)
        .send()
        .await
        .expect(200);
    assert!(
        next.number("x-queue-wait-ms") > 50_000,
        "it waits until the debt has left the window"
    );
}

async fn evicted_and_timed_out_requests_cost_nothing() {
    let stage = Stage::with("limit-refused", |server| {
        server
            .rpm(2)
            .field("queue_max", json!(1))
            .field("queue_timeout_ms", json!(4000))
    })
    .await;
    all((0..2).map(|_| stage.chat().spawn()).collect()).await;
    let evicted = stage.chat().spawn();
    stage.queue_length(1).await;
    let timed_out = stage.chat().spawn();
    evicted
        .await
        .expect("no panic")
        .expect_error(503, "queue_evicted");
    timed_out
        .await
        .expect("no panic")
        .expect_error(504, "queue_timeout");
    stage.queue_length(0).await;
    stage
        .patch(json!({"queue_timeout_ms": 90_000, "queue_max": 10}))
        .await;
    stage.gateway.in_force().await;
    let answers = all((0..2).map(|_| stage.chat().bound(SLID).spawn()).collect()).await;
    // Had the refused ones counted, only some of these would fit into the next window.
    let waits: Vec<u64> = answers
        .iter()
        .map(|answer| answer.number("x-queue-wait-ms"))
        .collect();
    assert!(waits.iter().all(|wait| *wait < 60_500), "{waits:?}");
    assert_eq!(stage.provider.ledger().chats().len(), 4);
    assert_eq!(stage.provider.ledger().most_requests_in(WINDOW), 2);
}
