//! 上游更严：限额只有配置的一半，客户端毫无察觉。
//!
//! A provider that allows half of what the administrator believes. Two hundred
//! requests need exactly a minute there, whatever anybody does: a window's worth
//! goes at once, and the other half as the provider lets it.

use std::time::{Duration, Instant};

use gateway_tests::harness::ServerDraft;
use gateway_tests::provider::{Entry, Limit, Options, WINDOW};
use libtest_mimic::Trial;
use serde_json::json;

use crate::stage::{Stage, calm, faulty_gateway};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        sliding_window_met_by_a_storm,
        sliding_window_met_one_by_one,
        token_bucket_met_by_a_storm,
    ]
}

const REQUESTS: u64 = 200;

/// What the provider allows, of what is configured.
const HALF: u32 = 100;

/// The bound: the provider's own time and a tenth.
const IN_TIME: Duration = Duration::from_secs(66);

/// Two requests granted in the same instant may overtake one another on their ways by this much.
const SAME_INSTANT: Duration = Duration::from_millis(250);

/// All of them are served in time and in order; returns how often the provider refused.
async fn nobody_notices(
    name: &str,
    limit: Limit,
    change: impl FnOnce(ServerDraft<'_>) -> ServerDraft<'_>,
) -> Stage<'static> {
    let gateway = faulty_gateway().await;
    let key = Box::leak(Box::new(gateway.key(name).create().await));
    let options = Options {
        limit: Some(limit),
        ..Options::default()
    };
    let stage = Stage::before(gateway, key, options, name, |server| {
        change(
            server
                .rpm(0)
                .field("queue_max", json!(REQUESTS))
                .field("queue_timeout_ms", json!(120_000)),
        )
    })
    .await;
    let burst = calm().await;
    let mut waiting = Vec::new();
    for number in 1..=REQUESTS {
        let chat = stage.numbered(number).bound(IN_TIME * 3);
        waiting.push(chat.spawn());
        stage.queue_length(number).await;
    }
    let started = Instant::now();
    stage.patch(json!({"rpm_limit": HALF * 2})).await;
    let ledger = stage.provider.ledger();
    ledger.wait_for_chats(HALF as usize, IN_TIME).await;
    drop(burst);
    let mut attempts_most = 0;
    let mut ended = started;
    for waiting in waiting {
        let answer = waiting.await.expect("an answer").expect(200);
        attempts_most = attempts_most.max(answer.number("x-gateway-attempts"));
        ended = ended.max(answer.ended);
    }
    let took = ended.duration_since(started);
    let refused = ledger
        .chats()
        .iter()
        .filter(|chat| chat.status == 429)
        .count();
    println!(
        "{name}: {REQUESTS} requests in {took:?}, {refused} refused by the provider, at most {attempts_most} attempts"
    );
    assert_eq!(stage.served().len() as u64, REQUESTS);
    assert!(took <= IN_TIME, "{took:?}");
    stage
}

/// Nobody reaches the provider noticeably before one who stood in front of him.
#[track_caller]
fn in_order(chats: &[Entry]) {
    let number = |chat: &Entry| -> u64 {
        let user = chat.json()["user"].as_str().map(str::parse);
        user.and_then(Result::ok).expect("a number")
    };
    let mut latest: Option<&Entry> = None;
    let mut by_number: Vec<&Entry> = chats.iter().collect();
    by_number.sort_by_key(|chat| number(chat));
    for chat in by_number {
        if let Some(before) = latest {
            let late = before.arrived.saturating_duration_since(chat.arrived);
            assert!(
                late <= SAME_INSTANT,
                "{} came {late:?} before {}",
                number(chat),
                number(before)
            );
        }
        if latest.is_none_or(|latest| latest.arrived < chat.arrived) {
            latest = Some(chat);
        }
    }
}

/// What the provider took on after it had refused for the first time. Before that, the requests that
/// are on their ways at once reach it in any order, and it picks the ones to refuse.
fn served_after_the_storm(stage: &Stage<'_>) -> Vec<Entry> {
    let chats = stage.provider.ledger().chats();
    let refused_first = chats.iter().find(|chat| chat.status == 429);
    let storm = refused_first.expect("it refuses").arrived + SAME_INSTANT;
    let served = chats.into_iter().filter(|chat| chat.status == 200);
    served.filter(|chat| chat.arrived > storm).collect()
}

async fn sliding_window_met_by_a_storm() {
    let limit = Limit::Sliding {
        requests: HALF,
        window: WINDOW,
    };
    let stage = nobody_notices("stricter-sliding", limit, |server| server).await;
    in_order(&served_after_the_storm(&stage));
}

async fn sliding_window_met_one_by_one() {
    let limit = Limit::Sliding {
        requests: HALF,
        window: WINDOW,
    };
    let one = json!(1);
    let stage = nobody_notices("stricter-single", limit, |server| {
        server.field("max_concurrency", one)
    })
    .await;
    let order: Vec<u64> = (1..=REQUESTS).collect();
    assert_eq!(stage.served(), order);
}

async fn token_bucket_met_by_a_storm() {
    let limit = Limit::TokenBucket {
        requests: HALF,
        window: WINDOW,
    };
    let stage = nobody_notices("stricter-bucket", limit, |server| server).await;
    in_order(&served_after_the_storm(&stage));
}
