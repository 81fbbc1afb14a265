//! 五千人同时排队。
//!
//! One server, five thousand connections that wait: all of them are held, those
//! with little patience are told so, and the others are served. What one waiter
//! costs in memory is printed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Gateway, within};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinSet;

use crate::stage::{Stage, calm};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![five_thousand_waiters_are_held_and_served_or_timed_out]
}

const WAITERS: u64 = 5000;

/// Every so many has little patience.
const IMPATIENT: u64 = 5;

/// Longer than it takes all of them to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bound of everything that five thousand do one after the other on two cores.
const ALL: Duration = Duration::from_secs(90);

/// Sockets that connect at the same time; a queue of connections not yet accepted is bounded.
const CONNECTING: u64 = 50;

/// Resident memory of a process in bytes.
fn resident(process: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_else(|| panic!("no resident memory of {process}: {status}")) * 1024
}

fn is_impatient(number: u64) -> bool {
    number.is_multiple_of(IMPATIENT)
}

async fn connect(stage: &Stage<'_>, number: u64) -> (u64, Connection) {
    let chat = stage.numbered(number);
    let chat = if is_impatient(number) {
        chat.header("x-queue-timeout", &PATIENCE.as_secs().to_string())
    } else {
        chat
    };
    (number, stage.connect(&chat).await)
}

async fn five_thousand_waiters_are_held_and_served_or_timed_out() {
    let gateway = Gateway::serve().start().await;
    let key = gateway.key("crowd").create().await;
    let stage = Stage::on(&gateway, &key, "crowd", |server| {
        server
            .rpm(0)
            .field("queue_max", json!(WAITERS))
            .field("queue_timeout_ms", json!(600_000))
    })
    .await;
    let burst = calm().await;
    let before = resident(gateway.workerd_id());
    let started = Instant::now();
    let mut connections = Vec::new();
    for first in (1..=WAITERS).step_by(CONNECTING as usize) {
        let numbers = first..first + CONNECTING;
        let connecting = numbers.map(|number| connect(&stage, number));
        connections.extend(futures_util::future::join_all(connecting).await);
    }
    let all_wait = |live: &serde_json::Value| live["queue_length"] == WAITERS;
    stage
        .live_within(PATIENCE, "all of them wait", all_wait)
        .await;
    let each = resident(gateway.workerd_id()).saturating_sub(before) / WAITERS;
    println!(
        "crowd: {WAITERS} waiters after {:?}, {} KiB of memory for each",
        started.elapsed(),
        each / 1024
    );

    let mut clients = JoinSet::new();
    for (number, mut connection) in connections {
        clients.spawn(async move {
            let reply = within(PATIENCE + ALL, "an answer", connection.reply(false)).await;
            let reply = reply.expect("open").expect("an answer");
            assert!(reply.complete);
            (
                number,
                reply.head.status,
                String::from_utf8_lossy(&reply.body).into_owned(),
            )
        });
    }
    let patient = WAITERS - WAITERS / IMPATIENT;
    let only_patient = |live: &serde_json::Value| live["queue_length"] == patient;
    stage
        .live_within(PATIENCE + ALL, "the patient wait", only_patient)
        .await;
    assert!(
        stage.provider.ledger().entries().is_empty(),
        "nobody was sent upstream"
    );
    let raised = Instant::now();
    stage.patch(json!({"rpm_limit": null})).await;
    let mut statuses = BTreeMap::new();
    while let Some(client) = clients.join_next().await {
        let (number, status, body) = client.expect("an answer");
        let expected = if is_impatient(number) { 504 } else { 200 };
        assert_eq!(status, expected, "{number}: {body}");
        assert!(
            status == 200 || body.contains("\"queue_timeout\""),
            "{body}"
        );
        *statuses.entry(status).or_insert(0_u64) += 1;
    }
    drop(burst);
    println!(
        "crowd: {statuses:?}, the served ones within {:?}",
        raised.elapsed()
    );
    let mut served = stage.served();
    served.sort_unstable();
    let expected: Vec<u64> = (1..=WAITERS)
        .filter(|number| !is_impatient(*number))
        .collect();
    assert!(served == expected, "each patient one once, nobody else");
    stage.idle().await;
}
