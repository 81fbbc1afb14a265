//! 重启：对象换了，队还在，序不乱。
//!
//! What the loss of a limiter object means to those who wait in it (nothing), and
//! who may cause it (only an administrator where faults may be injected).

use std::time::{Duration, Instant};

use gateway_tests::harness::{Answer, Gateway, SOON, random::Random};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::{PATIENT, Stage, calm, faulty_gateway, gateway};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        fifty_waiters_outlive_a_reset_in_their_order,
        waiters_outlive_reset_upon_reset,
        waiters_that_have_just_come_keep_their_order_over_a_reset,
        waiters_keep_their_deadline_over_a_reset,
        window_pause_and_limits_outlive_a_reset,
        permits_that_end_around_a_reset_are_not_leaked,
        faults_can_not_be_injected_unless_switched_on,
        production_refuses_fault_injection,
    ]
}

/// A server with one slot, which a chat holds until the gate opens, and so many waiters in order.
async fn held_queue(
    name: &str,
    length: u64,
) -> (Stage<'static>, JoinHandle<Answer>, Vec<JoinHandle<Answer>>) {
    let stage = Stage::faulty(name, |server| {
        server
            .field("max_concurrency", json!(1))
            .field("queue_timeout_ms", json!(120_000))
    })
    .await;
    let held = stage.numbered(0).demo(json!({"header_gate": "answer"}));
    let held = held.bound(PATIENT).spawn();
    stage
        .live_until("the slot is taken", |live| live["in_flight"] == 1)
        .await;
    let mut waiting = Vec::new();
    for number in 1..=length {
        waiting.push(stage.waiter(number, number).await);
    }
    (stage, held, waiting)
}

/// All of them are served: once, in their order, as if nothing had happened.
async fn served_in_order(
    stage: &Stage<'_>,
    held: JoinHandle<Answer>,
    waiting: Vec<JoinHandle<Answer>>,
) -> Vec<Answer> {
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    let mut answers = Vec::new();
    for waiting in waiting {
        answers.push(waiting.await.expect("an answer").expect(200));
    }
    let all = 0..=answers.len() as u64;
    assert_eq!(stage.served(), all.collect::<Vec<u64>>());
    stage.idle().await;
    answers
}

async fn fifty_waiters_outlive_a_reset_in_their_order() {
    let burst = calm().await;
    let (stage, held, waiting) = held_queue("restart-fifty", 50).await;
    stage.reset_limiter().await;
    stage.queue_length(50).await;
    drop(burst);
    let live = stage.live().await;
    assert_eq!(live["in_flight"], 1, "a permit outlives the object: {live}");
    assert_eq!(stage.served(), [0], "nobody takes the slot meanwhile");
    let answers = served_in_order(&stage, held, waiting).await;
    for (index, answer) in answers.iter().enumerate() {
        let place = answer.number("x-queue-position");
        // One that was not recorded yet is counted anew, when fewer may be ahead of it.
        assert!(
            (1..=index as u64 + 1).contains(&place),
            "its place: {place}"
        );
        assert!(answer.number("x-queue-wait-ms") > 0);
    }
}

async fn waiters_outlive_reset_upon_reset() {
    let burst = calm().await;
    let (stage, held, waiting) = held_queue("restart-often", 10).await;
    for _ in 0..5 {
        // Not waiting for anybody: the next reset meets waiters on their way back.
        stage.reset_limiter().await;
    }
    stage.queue_length(10).await;
    drop(burst);
    served_in_order(&stage, held, waiting).await;
}

/// The object dies before it has recorded them, and the slot is free at once: whoever comes back first
/// must not overtake.
async fn waiters_that_have_just_come_keep_their_order_over_a_reset() {
    for round in 0..10 {
        let burst = calm().await;
        let (stage, held, mut waiting) = held_queue(&format!("restart-young-{round}"), 2).await;
        // One that watches the queue hears of the reset on another way than the others.
        let watching = stage.numbered(3).stream().header("x-queue-progress", "sse");
        waiting.push(watching.bound(PATIENT).spawn());
        stage.queue_length(3).await;
        stage.reset_limiter().await;
        served_in_order(&stage, held, waiting).await;
        drop(burst);
    }
}

async fn waiters_keep_their_deadline_over_a_reset() {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let stage = Stage::faulty("restart-deadline", |server| {
        server
            .rpm(0)
            .field("queue_timeout_ms", json!(TIMEOUT.as_millis() as u64))
    })
    .await;
    let started = Instant::now();
    let waiting = stage.waiter(1, 1).await;
    tokio::time::sleep(TIMEOUT / 2).await;
    stage.reset_limiter().await;
    let answer = waiting.await.expect("an answer");
    let took = answer.ended.duration_since(started);
    let answer = answer.expect_error(504, "queue_timeout");
    assert!(took >= TIMEOUT, "it waits its whole timeout: {took:?}");
    assert!(took < TIMEOUT * 3 / 2, "and no new one: {took:?}");
    let wait = answer.number("x-queue-wait-ms");
    assert!(
        wait >= TIMEOUT.as_millis() as u64,
        "counted from its arrival: {wait}"
    );
}

async fn window_pause_and_limits_outlive_a_reset() {
    let stage = Stage::faulty("restart-window", |server| {
        server
            .rpm(10)
            .tpm(100_000)
            .field("queue_timeout_ms", json!(10_000))
    })
    .await;
    for number in 1..=5 {
        stage.numbered(number).send().await.expect(200);
    }
    let pause = json!({"status": 429, "retry_after": "20", "only_first": 1});
    let refused = stage.numbered(6).demo(pause).bound(PATIENT).spawn();
    // Settlements travel together, a moment after their answers.
    let is_paused =
        |live: &serde_json::Value| live["paused_until"].is_string() && live["in_flight"] == 0;
    let before = stage
        .live_until("the server pauses, all is settled", is_paused)
        .await;
    stage.queue_length(1).await;
    stage.reset_limiter().await;
    stage.queue_length(1).await;
    let after = stage.live().await;
    for name in ["rpm_used", "rpm_limit", "tpm_limit", "in_flight"] {
        assert_eq!(after[name], before[name], "{name}: {after}");
    }
    // Times of one format order like texts. The one that comes back tells the pause again.
    let until = |live: &serde_json::Value| live["paused_until"].as_str().map(str::to_owned);
    assert!(until(&after) >= until(&before), "{before} then {after}");
    assert_eq!(
        before["rpm_used"], 6,
        "the refused one has reached the provider"
    );
    // A pause that outlasts the queue timeout: the 429 is passed on.
    refused.await.expect("an answer").expect(429);
    assert_eq!(stage.provider.ledger().chats().len(), 6);
}

/// A settlement that the object has acknowledged must not die with it, or the slot is gone for the
/// time of a lease.
async fn permits_that_end_around_a_reset_are_not_leaked() {
    let stage = Stage::faulty("restart-settle", |server| {
        server.field("max_concurrency", json!(40))
    })
    .await;
    let mut random = Random::announced("permits_that_end_around_a_reset_are_not_leaked");
    for round in 0..20 {
        let chats: Vec<_> = (0..20)
            .map(|_| stage.chat().bound(PATIENT).spawn())
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(60) as u64)).await;
        stage.reset_limiter().await;
        for chat in chats {
            chat.await.expect("an answer").expect(200);
        }
        let what = format!("nothing in flight after reset {round}");
        let none = |live: &serde_json::Value| live["in_flight"] == 0;
        stage.live_within(SOON / 4, &what, none).await;
    }
}

/// What may have been granted unrecorded before a crash is charged afterwards, against a limit only.
async fn faults_can_not_be_injected_unless_switched_on() {
    let stage = Stage::new("restart-off").await;
    let path = format!("/api/faults/limiter/{}/reset", stage.server.id);
    let refused = stage.gateway.admin("POST", &path).send().await;
    refused.expect_error(404, "not_found");

    let faulty = faulty_gateway().await;
    let server = faulty
        .server("restart-on")
        .provider(&stage.provider)
        .model("restart-on")
        .create()
        .await;
    let path = format!("/api/faults/limiter/{}/reset", server.id);
    let reset = |token: &str| faulty.request("POST", &path).token(token).send();
    reset(faulty.admin_token()).await.expect(204);
    reset(faulty.viewer_token())
        .await
        .expect_error(403, "forbidden");
    let anonymous = faulty.request("POST", &path).send().await;
    anonymous.expect_error(401, "unauthorized");
    let unknown = faulty.admin("POST", "/api/faults/limiter/srv_0/reset");
    unknown.send().await.expect_error(404, "not_found");

    let ready = async |gateway: &Gateway| gateway.request("GET", "/health/ready").send().await;
    let warnings = ready(faulty).await.expect(200).json()["warnings"].to_string();
    assert!(warnings.contains("FAULT_INJECTION"), "{warnings}");
    let warnings = ready(gateway().await).await.expect(200).json()["warnings"].to_string();
    assert!(!warnings.contains("FAULT_INJECTION"), "{warnings}");
}

async fn production_refuses_fault_injection() {
    for environment in [None, Some("production"), Some("prod")] {
        let start = Gateway::serve().variable("FAULT_INJECTION", "on");
        let start = match environment {
            Some(environment) => start.variable("ENVIRONMENT", environment),
            None => start,
        };
        let gateway = start.start().await;
        let ready = gateway.request("GET", "/health/ready").send().await;
        let problems = ready.expect(503).json()["problems"].to_string();
        assert!(
            problems.contains("FAULT_INJECTION"),
            "{environment:?}: {problems}"
        );
        let server = gateway
            .server("production")
            .base_url("https://example.com")
            .model("m")
            .create()
            .await;
        let path = format!("/api/faults/limiter/{}/reset", server.id);
        let refused = gateway.admin("POST", &path).send().await;
        refused.expect_error(404, "not_found");
    }
}
