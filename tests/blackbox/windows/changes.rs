//! 改限：高低暂停，随改随守。
//!
//! Windows while their limit changes: from the change on, every window is held
//! against the limit that is in force at its end.

use std::time::{Duration, Instant};

use gateway_tests::harness::SOON;
use gateway_tests::provider::WINDOW;
use libtest_mimic::Trial;
use serde_json::json;

use super::{NEXT_WINDOW_MS, all_served, crowd, each_once, keeps_window, tally};
use crate::stage::{Stage, calm};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        limit_lowered_under_load,
        limit_raised_under_load,
        server_paused_and_resumed_under_load,
        server_disabled_and_enabled_under_load,
    ]
}

async fn limit_lowered_under_load() {
    let stage = Stage::faulty("window-lowered", |server| {
        server
            .rpm(60)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let chats = crowd(&stage, 1..=100);
    stage.queue_length(40).await;
    stage.provider.ledger().wait_for_chats(60, SOON).await;
    drop(burst);
    let lowered = Instant::now();
    stage.patch(json!({"rpm_limit": 20})).await;
    let tally = tally(chats).await;
    keeps_window(&stage, 60);
    let after = stage.provider.ledger().most_requests_up_to(lowered, WINDOW);
    assert!(after <= 20, "{after} of 20 in 60 s");
    assert_eq!(
        tally,
        [("200".to_owned(), 80), ("queue_timeout".to_owned(), 20)].into()
    );
}

async fn limit_raised_under_load() {
    let stage = Stage::faulty("window-raised", |server| {
        server
            .rpm(20)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let chats = crowd(&stage, 1..=70);
    stage.queue_length(50).await;
    let ledger = stage.provider.ledger();
    ledger.wait_for_chats(20, SOON).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    keeps_window(&stage, 20);
    stage.patch(json!({"rpm_limit": 50})).await;
    ledger.wait_for_chats(50, SOON).await;
    drop(burst);
    all_served(chats).await;
    keeps_window(&stage, 50);
    each_once(&stage);
}

async fn server_paused_and_resumed_under_load() {
    let stage = Stage::faulty("window-paused", |server| {
        server
            .rpm(30)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let mut chats = crowd(&stage, 1..=20);
    let ledger = stage.provider.ledger();
    ledger.wait_for_chats(20, SOON).await;
    stage.patch(json!({"rpm_limit": 0})).await;
    chats.extend(crowd(&stage, 21..=60));
    stage.queue_length(40).await;
    assert_eq!(ledger.chats().len(), 20, "a paused server sends nothing");
    stage.patch(json!({"rpm_limit": 30})).await;
    ledger.wait_for_chats(30, SOON).await;
    drop(burst);
    all_served(chats).await;
    keeps_window(&stage, 30);
    each_once(&stage);
}

/// What was granted before the server was disabled still stands in its window afterwards.
async fn server_disabled_and_enabled_under_load() {
    let stage = Stage::faulty("window-disabled", |server| {
        server
            .rpm(30)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let before = crowd(&stage, 1..=50);
    stage.queue_length(20).await;
    stage.patch(json!({"enabled": false})).await;
    let before = tally(before).await;
    assert_eq!(
        before,
        [("200".to_owned(), 30), ("model_not_found".to_owned(), 20)].into()
    );
    stage.patch(json!({"enabled": true})).await;
    stage.gateway.in_force().await;
    let after = crowd(&stage, 51..=70);
    stage.queue_length(20).await;
    drop(burst);
    all_served(after).await;
    keeps_window(&stage, 30);
    each_once(&stage);
}
