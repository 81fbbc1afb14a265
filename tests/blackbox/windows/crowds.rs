//! 人群：同时到达、不愿等、等到一半就走。
//!
//! Windows under many clients at once: those that wait, those that do not want to, and those that leave.

use std::time::Duration;

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Gateway, SOON, within};
use gateway_tests::provider::Entry;
use libtest_mimic::Trial;
use serde_json::json;

use super::{NEXT_WINDOW_MS, SLID, all_served, crowd, each_once, keeps_window, tally};
use crate::stage::{Stage, calm};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        five_hundred_clients_at_once,
        clients_that_do_not_want_to_wait,
        clients_that_vanish_while_they_wait_or_are_served,
        crowd_that_flows_over_two_servers,
        crowd_before_two_workers,
    ]
}

/// Two windows' worth is served, the rest is told that it waited in vain.
async fn five_hundred_clients_at_once() {
    let stage = Stage::faulty("window-500", |server| {
        server
            .rpm(200)
            .field("queue_max", json!(500))
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let chats = crowd(&stage, 1..=500);
    stage.queue_length(300).await;
    drop(burst);
    let tally = tally(chats).await;
    println!("window-500: {}", spread(&stage, 200));
    keeps_window(&stage, 200);
    each_once(&stage);
    assert_eq!(
        tally,
        [("200".to_owned(), 400), ("queue_timeout".to_owned(), 100)].into()
    );
}

/// How long each burst of this many took to arrive at the provider, and the time between the bursts.
fn spread(stage: &Stage<'_>, burst: usize) -> String {
    let chats = stage.provider.ledger().chats();
    let bursts = chats.chunks(burst);
    let ends = bursts.filter_map(|burst| Some((burst.first()?.arrived, burst.last()?.arrived)));
    let ends: Vec<_> = ends.collect();
    let took = ends.iter().map(|(first, last)| last.duration_since(*first));
    let apart = ends
        .windows(2)
        .map(|pair| pair[1].0.duration_since(pair[0].0));
    format!(
        "bursts took {:?}, from first to first {:?}",
        took.collect::<Vec<_>>(),
        apart.collect::<Vec<_>>()
    )
}

async fn clients_that_do_not_want_to_wait() {
    let stage = Stage::faulty("window-impatient", |server| server.rpm(30)).await;
    let burst = calm().await;
    let chats = (1..=150).map(|number| {
        let chat = stage.numbered(number).header("x-queue-timeout", "0");
        chat.bound(SLID).spawn()
    });
    let tally = tally(chats.collect()).await;
    drop(burst);
    keeps_window(&stage, 30);
    let expected = [
        ("200".to_owned(), 30),
        ("deadline_unreachable".to_owned(), 120),
    ];
    assert_eq!(
        tally,
        expected.into(),
        "as many as the limit, refusals cost nothing"
    );
}

/// Every second client resets its connection, whether it waits or is being served.
async fn clients_that_vanish_while_they_wait_or_are_served() {
    let stage = Stage::faulty("window-vanish", |server| {
        server
            .rpm(30)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let mut connections = Vec::new();
    for number in 1..=70 {
        let chat = stage
            .numbered(number)
            .stream()
            .demo(json!({"chunks": 100, "chunk_delay_ms": 20}));
        connections.push((number, stage.connect(&chat).await));
    }
    stage.queue_length(40).await;
    let all_sent = |chats: &[Entry]| chats.iter().filter(|chat| chat.status == 200).count() == 30;
    let ledger = stage.provider.ledger();
    ledger.wait_until("30 answers", SOON, all_sent).await;
    let (leaving, mut staying): (Vec<_>, Vec<_>) = connections
        .into_iter()
        .partition(|(number, _)| number % 2 == 0);
    let before = stage.served();
    for (_, connection) in leaving {
        connection.reset();
    }
    let left = before.iter().filter(|number| *number % 2 == 0).count() as u64;
    stage.queue_length(40 - (35 - left)).await;
    drop(burst);
    for (number, connection) in &mut staying {
        let reply = within(SLID, "an answer", connection.reply(false)).await;
        let reply = reply.expect("open").expect("an answer");
        assert_eq!(reply.head.status, 200, "{number}");
        assert!(reply.complete, "{number}");
    }
    keeps_window(&stage, 30);
    each_once(&stage);
    let after = stage.served();
    let vanished: Vec<_> = after
        .iter()
        .filter(|number| *number % 2 == 0 && !before.contains(number))
        .collect();
    assert!(
        vanished.is_empty(),
        "waiters that left went upstream: {vanished:?}"
    );
    stage.idle().await;
    staying
        .into_iter()
        .map(|(_, c)| c)
        .for_each(Connection::close);
}

/// With `next_server` a crowd is spread, and each of both servers keeps its own limit.
async fn crowd_that_flows_over_two_servers() {
    let stage = Stage::faulty("window-overflow", |server| {
        server
            .rpm(20)
            .field("overflow", json!("next_server"))
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let second = Stage::faulty("window-overflow-2", |server| {
        server
            .rpm(20)
            .model("window-overflow")
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let burst = calm().await;
    let chats = crowd(&stage, 1..=60);
    for provider in [&stage.provider, &second.provider] {
        provider.ledger().wait_for_chats(20, SOON).await;
    }
    drop(burst);
    // Nobody goes to a full server while the window of the other one is free.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stage.served().len() + second.served().len(), 40);
    all_served(chats).await;
    keeps_window(&stage, 20);
    keeps_window(&second, 20);
    assert_eq!(stage.served().len() + second.served().len(), 60);
}

/// Two isolates that know nothing of one another, one object that counts for both.
async fn crowd_before_two_workers() {
    let (gateway, second) = Gateway::serve().start_pair().await;
    let key = gateway.key("window-workers").create().await;
    let stage = Stage::on(&gateway, &key, "window-workers", |server| {
        server
            .rpm(40)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    // The other Worker has not been asked yet, so it reads the configuration as it is.
    let burst = calm().await;
    let chats = (1..=80).map(|number| {
        let chat = stage.numbered(number).bound(SLID);
        let chat = if number % 2 == 0 {
            chat.at(&second)
        } else {
            chat
        };
        chat.spawn()
    });
    let chats: Vec<_> = chats.collect();
    stage.queue_length(40).await;
    drop(burst);
    all_served(chats).await;
    keeps_window(&stage, 40);
    each_once(&stage);
    assert_eq!(stage.served().len(), 80);
    stage.idle().await;
}
