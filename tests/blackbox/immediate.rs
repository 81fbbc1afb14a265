//! 即刻：改了限额，队伍马上动。
//!
//! What a change in the admin API means to those who wait right now: it reaches
//! the limiter with the answer, not with the next request that brings it along.

use std::time::{Duration, Instant};

use gateway_tests::harness::Answer;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stage::{PATIENT, Stage, calm};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        raising_a_limit_drains_the_queue,
        more_slots_drain_the_queue,
        disabling_a_server_answers_its_waiters_and_refuses_new_ones,
        deleting_a_server_answers_its_waiters,
        shorter_queue_lets_the_oldest_go,
    ]
}

/// The bound from the change to the last answer.
const DRAINED: Duration = Duration::from_secs(1);

/// So many numbered waiters.
async fn waiters(stage: &Stage<'_>, count: u64) -> Vec<JoinHandle<Answer>> {
    let before = stage.live().await["queue_length"].as_u64().unwrap_or(0);
    let chats = (1..=count)
        .map(|number| stage.numbered(number).bound(PATIENT).spawn())
        .collect();
    stage.queue_length(before + count).await;
    chats
}

/// Changes the server; all of them are answered within the bound.
async fn answered_by(
    stage: &Stage<'_>,
    change: Value,
    waiting: Vec<JoinHandle<Answer>>,
) -> Vec<Answer> {
    let measuring = calm().await;
    let changed = Instant::now();
    stage.patch(change.clone()).await;
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(waiting.await.expect("an answer"));
    }
    drop(measuring);
    let last = answers.iter().map(|answer| answer.ended).max();
    let took = last.map(|last| last.duration_since(changed));
    println!("{}: {change} answers all after {took:?}", stage.model);
    assert!(took <= Some(DRAINED), "{took:?}");
    answers
}

async fn raising_a_limit_drains_the_queue() {
    let raises = [
        (
            "immediate-spent",
            json!({"rpm_limit": 5}),
            5,
            json!({"rpm_limit": 1000}),
        ),
        (
            "immediate-paused",
            json!({"rpm_limit": 0}),
            0,
            json!({"rpm_limit": null}),
        ),
        (
            "immediate-tokens",
            json!({"tpm_limit": 0}),
            0,
            json!({"tpm_limit": 100_000}),
        ),
    ];
    for (name, low, spent, high) in raises {
        let stage = Stage::new(name).await;
        stage.patch(low).await;
        for _ in 0..spent {
            stage.chat().send().await.expect(200);
        }
        let waiting = waiters(&stage, 50).await;
        for answer in answered_by(&stage, high, waiting).await {
            answer.expect(200);
        }
        stage.idle().await;
    }
}

async fn more_slots_drain_the_queue() {
    let stage = Stage::with("immediate-slots", |server| {
        server.field("max_concurrency", json!(1))
    })
    .await;
    let held = stage.chat().demo(json!({"header_gate": "answer"}));
    let held = held.bound(PATIENT).spawn();
    stage
        .live_until("the slot is taken", |live| live["in_flight"] == 1)
        .await;
    let waiting = waiters(&stage, 30).await;
    for answer in answered_by(&stage, json!({"max_concurrency": 10}), waiting).await {
        answer.expect(200);
    }
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
}

async fn disabling_a_server_answers_its_waiters_and_refuses_new_ones() {
    let stage = Stage::with("immediate-disable", |server| server.rpm(0)).await;
    let waiting = waiters(&stage, 20).await;
    for answer in answered_by(&stage, json!({"enabled": false}), waiting).await {
        answer.expect_error(404, "model_not_found");
    }
    let (took, refused) = stage.chat().timed().await;
    refused.expect_error(404, "model_not_found");
    assert!(took < DRAINED, "a new one is refused at once: {took:?}");
    stage.idle().await;
    assert!(stage.provider.ledger().entries().is_empty());
    stage
        .patch(json!({"enabled": true, "rpm_limit": null}))
        .await;
    stage.gateway.in_force().await;
    stage.chat().send().await.expect(200);
}

async fn deleting_a_server_answers_its_waiters() {
    let stage = Stage::with("immediate-delete", |server| server.rpm(0)).await;
    let waiting = waiters(&stage, 5).await;
    let deleted = Instant::now();
    let delete = stage.gateway.admin("DELETE", &stage.server.path());
    delete.send().await.expect(204);
    for waiting in waiting {
        let answer = waiting.await.expect("an answer");
        let took = answer.ended.duration_since(deleted);
        answer.expect_error(404, "model_not_found");
        assert!(took < DRAINED, "{took:?}");
    }
}

async fn shorter_queue_lets_the_oldest_go() {
    let stage = Stage::with("immediate-queue", |server| server.rpm(0)).await;
    let mut waiting = Vec::new();
    for number in 1..=6 {
        waiting.push(stage.waiter(number, number).await);
    }
    let staying = waiting.split_off(4);
    for answer in answered_by(&stage, json!({"queue_max": 2}), waiting).await {
        answer.expect_error(503, "queue_evicted");
    }
    for answer in answered_by(&stage, json!({"rpm_limit": null}), staying).await {
        answer.expect(200);
    }
    let mut served = stage.served();
    served.sort_unstable();
    assert_eq!(served, [5, 6]);
}
