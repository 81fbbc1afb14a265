//! 崩溃：进程被杀、对象被重置，窗口不忘。
//!
//! Windows over the loss of everything that is in memory. A limiter that starts
//! with an empty window after a crash would let a whole limit through again.

use std::time::Duration;

use gateway_tests::harness::{Chat, Gateway, SOON, random::Random};
use gateway_tests::provider::{Options, Provider, WINDOW};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{NEXT_WINDOW_MS, SLID, all_served, crowd, each_once, keeps_window};
use crate::stage::{Stage, calm};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        process_killed_in_mid_burst_and_again_while_requests_wait,
        process_stopped_in_order_under_load,
        object_reset_again_and_again_in_mid_burst,
        object_reset_while_tokens_are_in_flight,
        resets_departures_failures_and_changes_at_random,
    ]
}

/// Limit of the servers whose process ends.
const LIMIT: u64 = 40;

/// Starts so many clients, which may lose their gateway.
fn mortals(chat: &Chat, count: usize) -> JoinSet<Option<u16>> {
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let chat = chat.clone().bound(SLID);
        clients.spawn(async move { chat.send_if_it_lives().await.map(|answer| answer.status) });
    }
    clients
}

/// Ends the process twice: in the middle of a burst, and while the window is full and others wait.
async fn loses_its_process_twice(name: &str, end: impl AsyncFn(Gateway)) {
    let state = TempDir::with_prefix("sluice-crash-").expect("a temporary directory");
    let start = async || Gateway::serve().state(state.path()).start().await;
    let gateway = start().await;
    let provider = Provider::start_with(Options::default()).expect("a loopback port is free");
    let server = gateway
        .server(name)
        .provider(&provider)
        .model(name)
        .rpm(LIMIT)
        .field("queue_max", json!(1000))
        .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
        .create()
        .await;
    let key = gateway.key(name).create().await;
    gateway.in_force().await;
    let ledger = provider.ledger();
    let chat = |gateway: &Gateway| gateway.chat(&key).model(name);

    let burst = calm().await;
    let first = mortals(&chat(&gateway), 100);
    ledger.wait_for_chats(LIMIT as usize / 2, SOON).await;
    end(gateway).await;
    let gateway = start().await;
    let second = mortals(&chat(&gateway), 100);
    let is_full = |live: &serde_json::Value| live["queue_length"].as_u64() >= Some(60);
    gateway
        .live_until(&server.id, "the window is full again", is_full)
        .await;
    drop(burst);
    let lost = LIMIT - ledger.chats().len() as u64;
    end(gateway).await;
    let gateway = start().await;
    let third = mortals(&chat(&gateway), 100);
    // The last clients are served when the window has slid, as if nothing had happened.
    let expected = ledger.chats().len() + LIMIT as usize;
    ledger.wait_for_chats(expected, SLID).await;
    let (all, most) = (ledger.chats().len(), ledger.most_requests_in(WINDOW));
    println!(
        "{name}: {all} requests, at most {most} of {LIMIT} in 60 s; {lost} places lost at the end of the process"
    );
    assert!(most <= LIMIT, "{most} of {LIMIT} in 60 s");
    drop((first, second, third));
}

async fn process_killed_in_mid_burst_and_again_while_requests_wait() {
    loses_its_process_twice("window-killed", Gateway::kill).await;
}

async fn process_stopped_in_order_under_load() {
    loses_its_process_twice("window-stopped", async |gateway: Gateway| {
        let status = gateway.stop(Signal::SIGTERM, SOON).await;
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    })
    .await;
}

async fn object_reset_again_and_again_in_mid_burst() {
    let stage = Stage::faulty("window-reset", |server| {
        server
            .rpm(40)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let mut chats = Vec::new();
    for tens in 0..7 {
        chats.extend(crowd(&stage, tens * 10 + 1..=tens * 10 + 10));
        stage.reset_limiter().await;
    }
    stage.queue_length(30).await;
    stage.reset_limiter().await;
    drop(burst);
    all_served(chats).await;
    keeps_window(&stage, 40);
    each_once(&stage);
    assert_eq!(stage.served().len(), 70);
    stage.idle().await;
}

/// Reservations and their corrections outlive the object as well.
async fn object_reset_while_tokens_are_in_flight() {
    let stage = Stage::faulty("window-reset-tokens", |server| {
        server
            .tpm(2000)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let gate = stage.provider.gate("answer");
    let burst = calm().await;
    // Each costs 100 tokens, and its reservation is not above that by much.
    let chats: Vec<_> = (1..=30)
        .map(|number| {
            stage
                .numbered(number)
                .field(
                    "messages",
                    json!([{"role": "user", "content": "x".repeat(360)}]),
                )
                .field("max_tokens", json!(10))
                .demo(json!({"chunks": 10, "header_gate": "answer"}))
                .bound(SLID)
                .spawn()
        })
        .collect();
    stage
        .live_until("all are there", |live| {
            let count = |name: &str| live[name].as_u64().unwrap_or(0);
            count("queue_length") + count("in_flight") == 30
        })
        .await;
    stage.reset_limiter().await;
    gate.open_for_good();
    drop(burst);
    all_served(chats).await;
    let ledger = stage.provider.ledger();
    let most = ledger.most_tokens_in(WINDOW);
    println!("window-reset-tokens: at most {most} of 2000 tokens in 60 s");
    assert!(most <= 2000, "{most} of 2000 tokens in 60 s");
    assert_eq!(stage.served().len(), 30);
    each_once(&stage);
    stage.idle().await;
}

/// Everything that can happen to a server, for longer than a window.
async fn resets_departures_failures_and_changes_at_random() {
    const LIMITS: [u64; 3] = [20, 25, 30];
    let stage = Stage::faulty("window-chaos", |server| {
        server
            .rpm(LIMITS[2])
            .field("queue_timeout_ms", json!(20_000))
            .field("queue_max", json!(60))
    })
    .await;
    let mut random = Random::announced("resets_departures_failures_and_changes_at_random");
    let ends = tokio::time::Instant::now() + Duration::from_secs(75);
    let mut clients = JoinSet::new();
    let mut number = 0;
    while tokio::time::Instant::now() < ends {
        for _ in 0..random.below(4) {
            number += 1;
            let wish = match random.below(8) {
                0 => json!({"status": 500}),
                1 => json!({"drop_connection": true}),
                2 => json!({"header_delay_ms": 700}),
                3 => json!({"cut_after": 2}),
                _ => json!({}),
            };
            let streams = random.one_in(2);
            let chat = stage.numbered(number).field("stream", json!(streams));
            let mut connection = stage.connect(&chat.demo(wish)).await;
            let stays = Duration::from_millis(random.below(25_000) as u64);
            let leaves = random.one_in(3);
            clients.spawn(async move {
                if leaves {
                    let _ = tokio::time::timeout(stays, connection.reply(false)).await;
                    connection.reset();
                } else {
                    let _ = tokio::time::timeout(SLID, connection.reply(false)).await;
                }
            });
        }
        match random.below(40) {
            0 | 1 => stage.reset_limiter().await,
            2 => {
                let limit = random.pick(&LIMITS);
                stage.patch(json!({"rpm_limit": limit})).await;
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(random.below(200) as u64)).await;
    }
    while let Some(client) = clients.join_next().await {
        client.expect("no client panics");
    }
    keeps_window(&stage, LIMITS[2]);
    stage.idle().await;
}
