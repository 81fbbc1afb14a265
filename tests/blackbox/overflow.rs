//! 溢出：要排队时先看下一家。
//!
//! Servers with `overflow = next_server`: who takes a request that would have to
//! wait, and where it waits if nobody can take it now.

use gateway_tests::harness::{Answer, SOON};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::stage::{PATIENT, Stage};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        request_that_would_wait_takes_the_next_server,
        request_waits_at_its_own_server_unless_told_otherwise,
        request_that_nobody_can_take_waits_where_it_is_shortest,
        impatient_request_is_refused_only_when_nobody_can_take_it,
        refused_request_stays_with_the_server_that_took_it,
    ]
}

/// Two servers for one model, in this order; the second one has the model `NAME-2` to itself.
async fn pair(name: &str, overflow: &str, field: (&str, u64)) -> (Stage<'static>, Stage<'static>) {
    let (limit, value) = field;
    let first = Stage::with(name, |server| {
        server
            .field("overflow", json!(overflow))
            .field(limit, json!(value))
    })
    .await;
    let second = Stage::with(&format!("{name}-2"), |server| {
        server.model(name).field(limit, json!(value))
    })
    .await;
    (first, second)
}

/// Holds the one slot of a server until its gate opens.
async fn hold(stage: &Stage<'_>) -> JoinHandle<Answer> {
    let chat = stage.chat().demo(json!({"header_gate": "answer"}));
    let held = chat.bound(PATIENT).spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    held
}

async fn request_that_would_wait_takes_the_next_server() {
    let (first, second) = pair("overflow-next", "next_server", ("max_concurrency", 1)).await;
    let answer = first.chat().send().await.expect(200);
    assert_eq!(
        answer.header("x-gateway-server"),
        Some("overflow-next"),
        "the first one while it is free"
    );
    first.provider.ledger().reset();
    let held = hold(&first).await;
    let answer = first.chat().send().await.expect(200);
    assert_eq!(answer.header("x-gateway-server"), Some("overflow-next-2"));
    assert_eq!(answer.number("x-queue-position"), 0, "it did not wait");
    assert_eq!(answer.number("x-gateway-attempts"), 1);
    assert_eq!(first.provider.ledger().chats().len(), 1);
    assert_eq!(second.provider.ledger().chats().len(), 1);
    let live = first.live().await;
    assert_eq!(live["queue_length"], 0, "it left nothing behind: {live}");
    first.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
}

async fn request_waits_at_its_own_server_unless_told_otherwise() {
    let (first, second) = pair("overflow-wait", "wait", ("max_concurrency", 1)).await;
    let held = hold(&first).await;
    let waiting = first.waiter(1, 1).await;
    first.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    let answer = waiting.await.expect("an answer").expect(200);
    assert_eq!(answer.header("x-gateway-server"), Some("overflow-wait"));
    assert!(second.provider.ledger().chats().is_empty());
}

async fn request_that_nobody_can_take_waits_where_it_is_shortest() {
    let (first, second) = pair("overflow-shortest", "next_server", ("rpm_limit", 1)).await;
    // The window of the second one is used up first, so it is free again first.
    second.chat().send().await.expect(200);
    second
        .live_until("settled", |live| live["in_flight"] == 0)
        .await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    first.chat().send().await.expect(200);
    let connection = first.connect(&first.chat()).await;
    second.queue_length(1).await;
    assert_eq!(first.live().await["queue_length"], 0);
    // With one in front of him, the next one waits a window longer there than at the first.
    let next = first.connect(&first.chat()).await;
    first.queue_length(1).await;
    assert_eq!(second.live().await["queue_length"], 1);
    connection.reset();
    next.reset();
    first.queue_length(0).await;
    second.queue_length(0).await;
}

async fn impatient_request_is_refused_only_when_nobody_can_take_it() {
    let (first, second) = pair("overflow-impatient", "next_server", ("rpm_limit", 1)).await;
    let chat = || first.chat().header("x-queue-timeout", "0");
    for server in ["overflow-impatient", "overflow-impatient-2"] {
        let answer = chat().send().await.expect(200);
        assert_eq!(answer.header("x-gateway-server"), Some(server));
    }
    let refused = chat()
        .send()
        .await
        .expect_error(429, "deadline_unreachable");
    let hint = refused.number("retry-after");
    assert!((30..=61).contains(&hint), "{hint}");
    assert_eq!(first.provider.ledger().chats().len(), 1);
    assert_eq!(second.provider.ledger().chats().len(), 1);
}

async fn refused_request_stays_with_the_server_that_took_it() {
    let (first, second) = pair("overflow-429", "next_server", ("rpm_limit", 100)).await;
    let wish = json!({"status": 429, "headers": {"retry-after-ms": "300"}, "only_first": 1});
    let answer = first.chat().demo(wish).send().await.expect(200);
    assert_eq!(answer.number("x-gateway-attempts"), 2);
    assert_eq!(answer.header("x-gateway-server"), Some("overflow-429"));
    assert!(second.provider.ledger().chats().is_empty());
}
