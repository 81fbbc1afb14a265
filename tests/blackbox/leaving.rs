//! 离开：人走位空，什么也不留下。
//!
//! Clients that vanish, in the queue and in mid-stream, and processes that die
//! with permits out: nobody else may pay for them.

use std::time::{Duration, Instant};

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Chat, Gateway, SOON, within};
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use crate::stage::{Stage, calm};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        waiter_that_resets_is_gone_within_its_bound,
        watching_waiter_that_resets_is_gone_within_its_bound,
        crowd_of_waiters_that_resets_leaves_nobody,
        clients_that_vanish_in_mid_stream_free_their_slots,
        permits_of_a_killed_process_end_with_their_lease,
    ]
}

/// The bound on what `/api/live` shows of a waiter that is gone.
const GONE: Duration = Duration::from_millis(200);

/// Resets one waiter after the other; each is gone within the bound, and none has cost anything.
async fn gone_within_the_bound(stage: &Stage<'_>, chat: Chat) {
    const WAITERS: u64 = 20;
    let mut connections = Vec::new();
    for length in 1..=WAITERS {
        connections.push(stage.connect(&chat).await);
        stage.queue_length(length).await;
    }
    let measuring = calm().await;
    let mut longest = Duration::ZERO;
    for (length, connection) in (0..WAITERS).rev().zip(connections) {
        let left = Instant::now();
        connection.reset();
        stage.queue_length(length).await;
        longest = longest.max(left.elapsed());
    }
    drop(measuring);
    println!("{}: gone after {longest:?} at most", stage.model);
    assert!(longest <= GONE, "{longest:?}");
    stage.patch(json!({"rpm_limit": 1})).await;
    let answer = stage.chat().send().await.expect(200);
    assert_eq!(
        answer.number("x-queue-wait-ms"),
        0,
        "nobody has used the one request up"
    );
    assert_eq!(stage.provider.ledger().chats().len(), 1);
}

async fn waiter_that_resets_is_gone_within_its_bound() {
    let stage = Stage::with("leaving-waiter", |server| server.rpm(0)).await;
    gone_within_the_bound(&stage, stage.chat()).await;
}

async fn watching_waiter_that_resets_is_gone_within_its_bound() {
    let stage = Stage::with("leaving-watcher", |server| server.rpm(0)).await;
    let chat = stage.chat().stream().header("x-queue-progress", "sse");
    gone_within_the_bound(&stage, chat).await;
}

async fn crowd_of_waiters_that_resets_leaves_nobody() {
    let stage = Stage::with("leaving-crowd", |server| server.rpm(0)).await;
    let burst = calm().await;
    let mut connections = Vec::new();
    for _ in 0..100 {
        connections.push(stage.connect(&stage.chat()).await);
    }
    stage.queue_length(100).await;
    connections.into_iter().for_each(Connection::reset);
    stage
        .live_within(Duration::from_secs(1), "nobody waits", |live| {
            live["queue_length"] == 0
        })
        .await;
    drop(burst);
    assert!(stage.provider.ledger().entries().is_empty());
}

/// A stream as far as its first chunk.
async fn in_mid_stream(stage: &Stage<'_>) -> Connection {
    let chat = stage.chat().stream().demo(json!({"stall_after": 1}));
    let mut connection = stage.connect(&chat).await;
    let head = within(SOON, "headers", connection.head()).await;
    assert_eq!(head.expect("open").expect("headers").status, 200);
    let chunk = within(SOON, "the first chunk", connection.chunk()).await;
    chunk.expect("open").expect("a chunk");
    connection
}

async fn clients_that_vanish_in_mid_stream_free_their_slots() {
    let stage = Stage::with("leaving-streams", |server| {
        server.field("max_concurrency", json!(5))
    })
    .await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(in_mid_stream(&stage).await);
    }
    let live = stage.live().await;
    assert_eq!(live["in_flight"], 5, "{live}");
    let waiting = stage.waiter(1, 1).await;
    connections.into_iter().for_each(Connection::reset);
    waiting.await.expect("an answer").expect(200);
    stage.idle().await;
    stage
        .provider
        .ledger()
        .wait_until("every stream is closed", SOON, |chats| {
            chats.iter().all(|chat| chat.ended.is_some())
        })
        .await;
}

/// Nobody is left to settle them. Until their lease ends they hold their slots, since the provider may
/// still be at work on them.
async fn permits_of_a_killed_process_end_with_their_lease() {
    const LEASE: Duration = Duration::from_secs(10);
    let folder = TempDir::with_prefix("sluice-lease-").expect("a temporary directory");
    let start = || {
        Gateway::serve()
            .state(folder.path())
            .with_faults()
            .variable("FAULT_LEASE_MS", &LEASE.as_millis().to_string())
    };
    let gateway = start().start().await;
    let key = gateway.key("leaving").create().await;
    let stage = Stage::on(&gateway, &key, "leaving-killed", |server| {
        server.field("max_concurrency", json!(3))
    })
    .await;
    let mut connections = Vec::new();
    let granted = Instant::now();
    for _ in 0..3 {
        connections.push(in_mid_stream(&stage).await);
    }
    let Stage {
        provider, server, ..
    } = stage;
    let provider: Provider = provider;
    gateway.kill().await;
    let gateway = start().start().await;
    let live = gateway.live(&server.id).await;
    assert_eq!(
        live["in_flight"], 3,
        "the leases outlive the process: {live}"
    );
    let waiting = gateway.chat(&key).model("leaving-killed").bound(LEASE * 3);
    let answer = waiting.send().await.expect(200);
    let after = answer.ended.duration_since(granted);
    assert!(after >= LEASE, "not before the lease ends: {after:?}");
    assert_eq!(provider.ledger().chats().len(), 4);
    let none = |live: &serde_json::Value| live["in_flight"] == 0;
    gateway
        .live_within(LEASE, &server.id, "nothing in flight", none)
        .await;
    drop(connections);
}
