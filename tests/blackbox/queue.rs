//! 队列：先到先走，超时有说法，离开即让位。
//!
//! The rules of waiting that need no minute: limits of 0 and of concurrency make
//! requests wait at will, and gates let them go.

use std::time::Duration;

use gateway_tests::harness::raw::Connection;
use gateway_tests::harness::{Answer, IN_FORCE, SOON};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        waiter_past_its_timeout_gets_queue_timeout,
        refused_waiters_are_told_when_to_come_back,
        three_hundred_clients_at_once_are_all_served,
        oldest_of_an_overfull_queue_is_evicted,
        newest_is_refused_where_the_server_says_so,
        order_of_arrival_is_order_of_dispatch,
        concurrency_is_never_exceeded,
        waiter_that_leaves_takes_no_permit,
        client_may_refuse_to_wait,
        client_may_shorten_its_wait,
        settled_tokens_replace_the_estimate,
    ]
}

fn is_a_hint(answer: &Answer) {
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(answer.number("retry-after") >= 1);
}

async fn waiter_past_its_timeout_gets_queue_timeout() {
    let stage = Stage::with("queue-timeout", |server| {
        server.rpm(0).field("queue_timeout_ms", json!(1500))
    })
    .await;
    for chat in [stage.chat(), stage.chat().stream()] {
        let (took, answer) = chat.timed().await;
        let answer = answer.expect_error(504, "queue_timeout");
        is_a_hint(&answer);
        assert!(
            took >= Duration::from_millis(1500),
            "it waits its whole timeout: {took:?}"
        );
        assert!(answer.number("x-queue-wait-ms") >= 1500);
        assert_eq!(answer.header("x-gateway-server"), Some("queue-timeout"));
    }
    assert!(
        stage.provider.ledger().entries().is_empty(),
        "nothing went upstream"
    );
    stage.queue_length(0).await;
}

async fn oldest_of_an_overfull_queue_is_evicted() {
    let stage = Stage::with("queue-evict", |server| {
        server.rpm(0).field("queue_max", json!(2))
    })
    .await;
    let first = stage.waiter(1, 1).await;
    let second = stage.waiter(2, 2).await;
    let third = stage
        .chat()
        .field("user", json!("3"))
        .bound(SOON * 3)
        .spawn();
    let evicted = first
        .await
        .expect("no panic")
        .expect_error(503, "queue_evicted");
    is_a_hint(&evicted);
    stage.queue_length(2).await;
    stage.patch(json!({"rpm_limit": null})).await;
    // Sent so that the object learns of the new limit even where only requests carry it.
    stage.gateway.in_force().await;
    stage
        .chat()
        .field("user", json!("4"))
        .send()
        .await
        .expect(200);
    second.await.expect("no panic").expect(200);
    third.await.expect("no panic").expect(200);
    let users: Vec<String> = stage
        .provider
        .ledger()
        .chats()
        .iter()
        .map(|chat| chat.json()["user"].as_str().unwrap_or_default().into())
        .collect();
    assert!(
        !users.contains(&"1".to_owned()),
        "the evicted one never went upstream: {users:?}"
    );
}

async fn newest_is_refused_where_the_server_says_so() {
    let change = json!("reject_newest");
    let stage = Stage::with("queue-reject", |server| {
        server
            .rpm(0)
            .field("queue_max", json!(1))
            .field("on_full", change)
            .field("queue_timeout_ms", json!(4000))
    })
    .await;
    let first = stage.waiter(1, 1).await;
    let refused = stage.chat().send().await.expect_error(429, "queue_full");
    assert!(refused.number("retry-after") >= 1);
    first
        .await
        .expect("no panic")
        .expect_error(504, "queue_timeout");
}

async fn order_of_arrival_is_order_of_dispatch() {
    let stage = Stage::with("queue-order", |server| {
        server.field("max_concurrency", json!(1))
    })
    .await;
    let gate = stage.provider.gate("answer");
    let held = stage
        .chat()
        .demo(json!({"header_gate": "answer"}))
        .bound(SOON * 3)
        .spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    let mut waiting = Vec::new();
    for number in 1..=20 {
        waiting.push(stage.waiter(number, number).await);
    }
    assert_eq!(stage.provider.ledger().chats().len(), 1, "all others wait");
    gate.open_for_good();
    held.await.expect("no panic").expect(200);
    for (index, waiting) in waiting.into_iter().enumerate() {
        let answer = waiting.await.expect("no panic").expect(200);
        assert_eq!(
            answer.number("x-queue-position"),
            index as u64 + 1,
            "its place at entry"
        );
        assert!(answer.number("x-queue-wait-ms") > 0);
    }
    let users: Vec<u64> = stage.provider.ledger().chats()[1..]
        .iter()
        .filter_map(|chat| chat.json()["user"].as_str()?.parse().ok())
        .collect();
    assert_eq!(users, (1..=20).collect::<Vec<u64>>());
}

async fn concurrency_is_never_exceeded() {
    let stage = Stage::with("queue-concurrency", |server| {
        server.field("max_concurrency", json!(2))
    })
    .await;
    let behaviour = json!({"chunks": 2, "chunk_delay_ms": 20});
    let chats: Vec<JoinHandle<Answer>> = (0..12)
        .map(|_| {
            stage
                .chat()
                .stream()
                .demo(behaviour.clone())
                .bound(SOON * 3)
                .spawn()
        })
        .collect();
    for chat in chats {
        chat.await.expect("no panic").expect(200);
    }
    let chats = stage.provider.ledger().chats();
    assert_eq!(chats.len(), 12);
    for chat in &chats {
        let open_then = chats.iter().filter(|other| {
            other.arrived <= chat.arrived && other.ended.is_none_or(|ended| ended > chat.arrived)
        });
        assert!(open_then.count() <= 2, "more than two at once: {chats:#?}");
    }
    stage
        .live_until("nothing in flight", |live| live["in_flight"] == 0)
        .await;
}

async fn waiter_that_leaves_takes_no_permit() {
    let stage = Stage::with("queue-cancel", |server| server.rpm(0)).await;
    let mut connections = Vec::new();
    for length in 1..=5 {
        connections.push(stage.connect(&stage.chat()).await);
        stage.queue_length(length).await;
    }
    connections.into_iter().for_each(Connection::reset);
    stage.queue_length(0).await;
    stage.patch(json!({"rpm_limit": 1})).await;
    stage.gateway.in_force().await;
    let answer = stage.chat().send().await.expect(200);
    assert_eq!(
        answer.number("x-queue-wait-ms"),
        0,
        "nobody has used the one request up"
    );
    assert_eq!(stage.provider.ledger().chats().len(), 1);
}

async fn client_may_refuse_to_wait() {
    let stage = Stage::with("queue-deadline", |server| server.rpm(1)).await;
    stage
        .chat()
        .header("x-queue-timeout", "0")
        .send()
        .await
        .expect(200);
    let (took, answer) = stage.chat().header("x-queue-timeout", "0").timed().await;
    let answer = answer.expect_error(429, "deadline_unreachable");
    assert!(answer.number("retry-after") >= 1);
    assert!(took < IN_FORCE, "it is refused at once: {took:?}");
    assert_eq!(stage.provider.ledger().chats().len(), 1);
}

async fn client_may_shorten_its_wait() {
    let stage = Stage::with("queue-shorter", |server| {
        server.field("max_concurrency", json!(1))
    })
    .await;
    let gate = stage.provider.gate("answer");
    let held = stage
        .chat()
        .demo(json!({"header_gate": "answer"}))
        .bound(SOON * 3)
        .spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    // When a slot becomes free can not be estimated, so this one waits, but no longer than it said.
    let (took, answer) = stage.chat().header("x-queue-timeout", "1").timed().await;
    answer.expect_error(504, "queue_timeout");
    assert!(took >= Duration::from_secs(1), "{took:?}");
    gate.open_for_good();
    held.await.expect("no panic").expect(200);
}

async fn settled_tokens_replace_the_estimate() {
    let stage = Stage::with("queue-tokens", |server| server.tpm(100_000)).await;
    let chat = || stage.chat().field("max_tokens", json!(4000));
    // 6 tokens of prompt each; the reservations were larger than what was used.
    chat().demo(json!({"chunks": 3})).send().await.expect(200);
    stage
        .live_until("the actual tokens", |live| live["tpm_used"] == 9)
        .await;
    chat()
        .stream()
        .demo(json!({"chunks": 4}))
        .send()
        .await
        .expect(200);
    stage
        .live_until("the streamed tokens as well", |live| live["tpm_used"] == 19)
        .await;
    let unknown = chat().demo(json!({"no_usage": true, "chunks": 1}));
    let before_settle = unknown
        .send()
        .await
        .expect(200)
        .number("x-ratelimit-remaining-tokens");
    let settled = stage
        .live_until("settled", |live| live["in_flight"] == 0)
        .await;
    assert_eq!(
        settled["tpm_used"].as_u64(),
        Some(100_000 - before_settle),
        "an unknown usage keeps its reservation"
    );
    assert!(settled["tpm_used"].as_u64() > Some(19));
}

async fn refused_waiters_are_told_when_to_come_back() {
    let stage = Stage::with("queue-hint", |server| {
        server
            .rpm(1)
            .field("queue_max", json!(1))
            .field("queue_timeout_ms", json!(5000))
    })
    .await;
    stage.chat().send().await.expect(200);
    let evicted = stage.chat().spawn();
    stage.queue_length(1).await;
    let timed_out = stage.chat().spawn();
    let evicted = evicted
        .await
        .expect("no panic")
        .expect_error(503, "queue_evicted");
    let timed_out = timed_out
        .await
        .expect("no panic")
        .expect_error(504, "queue_timeout");
    let impatient = stage.chat().header("x-queue-timeout", "0").send().await;
    let impatient = impatient.expect_error(429, "deadline_unreachable");
    // The evicted one has the other waiter before it, so its turn comes a window later.
    for (answer, latest) in [(evicted, 121), (timed_out, 61), (impatient, 61)] {
        let estimate = answer.number("retry-after");
        assert!((30..=latest).contains(&estimate), "{estimate} of {latest}");
    }
}

async fn three_hundred_clients_at_once_are_all_served() {
    let stage = Stage::with("queue-crowd", |server| {
        server
            .field("max_concurrency", json!(50))
            .field("queue_max", json!(1000))
    })
    .await;
    let chats: Vec<JoinHandle<Answer>> = (0..300)
        .map(|_| stage.chat().bound(SOON * 3).spawn())
        .collect();
    for chat in chats {
        chat.await.expect("no panic").expect(200);
    }
    assert_eq!(stage.provider.ledger().chats().len(), 300);
    let idle = |live: &serde_json::Value| live["in_flight"] == 0 && live["queue_length"] == 0;
    stage.live_until("nothing left", idle).await;
}
