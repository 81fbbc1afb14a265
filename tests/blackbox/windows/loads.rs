//! 负载：流、令牌、慢上游、坏上游。
//!
//! Windows under loads that hold permits for long, weigh more than a request, or
//! fail. Clients here go on one after the other, so the window slides in steps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_tests::harness::{Chat, random::Random};
use gateway_tests::provider::{Behaviour, Entry, WINDOW};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{NEXT_WINDOW_MS, SLID, all_served, crowd, each_once, keeps_window};
use crate::stage::{Stage, calm};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        streaming_load,
        tokens_known_exactly,
        requests_and_tokens_both_limited,
        few_slots_before_a_slow_provider,
        provider_that_fails_in_every_way,
    ]
}

/// So many clients take turns until all chats are sent and answered; statuses in no order.
async fn in_turns(clients: u64, chats: u64, chat: impl Fn(u64) -> Chat) -> Vec<u16> {
    let next = AtomicU64::new(1);
    let client = async |_| {
        let mut statuses = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number > chats {
                return statuses;
            }
            statuses.push(chat(number).bound(SLID).send().await.status);
        }
    };
    let statuses = futures_util::future::join_all((0..clients).map(client)).await;
    statuses.concat()
}

async fn streaming_load() {
    let stage = Stage::faulty("window-streams", |server| {
        server
            .rpm(40)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let mut random = Random::announced("streaming_load");
    let wishes: Vec<Value> = (0..=75)
        .map(|_| json!({"chunks": 1 + random.below(8), "chunk_delay_ms": random.below(60)}))
        .collect();
    let chat = |number: u64| {
        let wish = wishes[number as usize].clone();
        stage.numbered(number).stream().demo(wish)
    };
    let statuses = in_turns(8, 75, chat).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    keeps_window(&stage, 40);
    each_once(&stage);
}

/// A chat of exactly `prompt` + `output` tokens whose output is bounded to just that.
fn of_tokens(chat: Chat, prompt: usize, output: usize) -> Chat {
    chat.field(
        "messages",
        json!([{"role": "user", "content": "x".repeat(prompt * 4)}]),
    )
    .field("max_tokens", json!(output))
    .demo(json!({"chunks": output}))
}

async fn tokens_known_exactly() {
    let stage = Stage::faulty("window-tokens", |server| {
        server
            .tpm(3000)
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let chat = |number| of_tokens(stage.numbered(number), 90, 10);
    let statuses = in_turns(10, 45, chat).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let most = stage.provider.ledger().most_tokens_in(WINDOW);
    println!("window-tokens: at most {most} of 3000 tokens in 60 s");
    assert!(most <= 3000, "{most} of 3000 tokens in 60 s");
    assert!(most >= 2900, "only {most} of 3000 tokens were used");
}

/// Large and small requests: now the one limit binds, now the other.
async fn requests_and_tokens_both_limited() {
    let stage = Stage::faulty("window-both", |server| {
        server
            .rpm(30)
            .tpm(3000)
            .model("window-both-large")
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let chat = |number: u64| match number % 3 {
        0 => of_tokens(stage.numbered(number).model("window-both-large"), 240, 10),
        _ => of_tokens(stage.numbered(number), 10, 5),
    };
    let statuses = in_turns(6, 50, chat).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    keeps_window(&stage, 30);
    let most = stage.provider.ledger().most_tokens_in(WINDOW);
    println!("window-both: at most {most} of 3000 tokens in 60 s");
    assert!(most <= 3000, "{most} of 3000 tokens in 60 s");
}

/// How many of the chats were open when this one arrived.
fn open_at(chats: &[Entry], chat: &Entry) -> usize {
    let is_open = |other: &&Entry| {
        other.arrived <= chat.arrived && other.ended.is_none_or(|ended| ended > chat.arrived)
    };
    chats.iter().filter(is_open).count()
}

async fn few_slots_before_a_slow_provider() {
    let stage = Stage::faulty("window-slots", |server| {
        server
            .rpm(40)
            .field("max_concurrency", json!(4))
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    stage.provider.set_behaviour(Behaviour {
        header_delay_ms: Some(300),
        ..Behaviour::default()
    });
    let burst = calm().await;
    let chats = crowd(&stage, 1..=60);
    stage.queue_length(40).await;
    drop(burst);
    all_served(chats).await;
    keeps_window(&stage, 40);
    each_once(&stage);
    let chats = stage.provider.ledger().chats();
    let most = chats.iter().map(|chat| open_at(&chats, chat)).max();
    assert_eq!(most, Some(4), "as many at once as there are slots");
}

/// Every attempt that reaches the provider counts, also the failed ones and the repeated ones.
async fn provider_that_fails_in_every_way() {
    let stage = Stage::faulty("window-failures", |server| {
        server
            .rpm(40)
            .field("upstream_timeout_ms", json!(1000))
            .field("queue_timeout_ms", json!(NEXT_WINDOW_MS))
    })
    .await;
    let wish = |number: u64| match number % 6 {
        0 => json!({"status": 500}),
        1 => json!({"drop_connection": true}),
        2 => json!({"status": 503, "retry_after": "1"}),
        3 => json!({"hang": true}),
        _ => json!({}),
    };
    let mut clients = JoinSet::new();
    for number in 1..=50 {
        let chat = stage.numbered(number).demo(wish(number)).bound(SLID);
        clients.spawn(async move { (number, chat.send().await) });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while let Some(client) = clients.join_next().await {
        let (number, answer) = client.expect("an answer");
        let expected = match number % 6 {
            0 => 500,
            1 => 502,
            2 => 503,
            3 => 504,
            _ => 200,
        };
        answer.expect(expected);
    }
    keeps_window(&stage, 40);
    stage.idle().await;
}
