//! 客户端的故障：离开、拖沓、半途而废、胡言乱语。
//!
//! Clients that vanish at each stage, by FIN and by RST, and clients that send badly. Before headers plain workerd tells a
//! FIN from a client that has merely ended its own direction as little as anybody can, so such a request goes on.

use gateway_tests::harness::raw::{self, Connection};
use gateway_tests::harness::{Chat, SOON, within};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{at_rest, only_row, outcome};
use crate::stage::{PATIENT, Stage};

pub(super) fn trials() -> Vec<Trial> {
    crate::trials![
        waiter_that_resets_leaves_the_queue_at_once,
        waiter_that_closes_is_served_as_if_it_listened,
        client_that_resets_before_headers_ends_the_exchange,
        client_that_closes_before_headers_is_served_as_if_it_listened,
        client_that_resets_in_mid_stream_ends_the_exchange,
        client_that_closes_in_mid_stream_ends_the_exchange,
        client_that_sends_slowly_is_waited_for,
        client_that_sends_half_a_body_and_leaves_costs_nothing,
        clients_that_stall_in_their_bodies_hold_nothing,
        client_that_sends_garbage_is_told_so,
    ]
}

async fn stage(name: &str) -> Stage<'static> {
    Stage::with(name, |server| {
        server
            .rpm(1_000)
            .tpm(1_000_000)
            .field("max_concurrency", json!(1))
    })
    .await
}

/// The live figures when all is over.
async fn used(stage: &Stage<'_>) -> (u64, u64) {
    let live = at_rest(stage.gateway, &stage.server).await;
    let number = |name: &str| live[name].as_u64().expect("a number");
    (number("rpm_used"), number("tpm_used"))
}

/// One holds the only slot until the gate opens, another waits.
async fn waiter_that_goes(name: &str, go: impl FnOnce(Connection)) -> (Stage<'static>, Value) {
    let stage = stage(name).await;
    let held = stage.chat().demo(json!({"header_gate": "go"}));
    let held = held.bound(PATIENT).spawn();
    stage
        .live_until("the slot is taken", |live| live["in_flight"] == 1)
        .await;
    let waiter = stage
        .connect(&stage.chat().header("x-request-id", name))
        .await;
    stage.queue_length(1).await;
    go(waiter);
    if name.ends_with("reset") {
        stage.queue_length(0).await;
    }
    stage.provider.gate("go").open_for_good();
    held.await.expect("an answer").expect(200);
    let rows = crate::journal::rows(stage.gateway, &stage.server.id, 2).await;
    let row = rows
        .iter()
        .find(|row| row["request_id"] == name)
        .expect("its row")
        .clone();
    (stage, row)
}

async fn waiter_that_resets_leaves_the_queue_at_once() {
    let (stage, row) = waiter_that_goes("fault-waiter-reset", Connection::reset).await;
    assert_eq!(outcome(&row), (499, "", "exact"));
    assert_eq!(
        (used(&stage).await.0, stage.provider.ledger().chats().len()),
        (1, 1)
    );
}

async fn waiter_that_closes_is_served_as_if_it_listened() {
    let (stage, row) = waiter_that_goes("fault-waiter-close", Connection::close).await;
    assert_eq!(outcome(&row), (200, "", "exact"));
    assert_eq!(used(&stage).await, (2, 28));
}

async fn client_that_resets_before_headers_ends_the_exchange() {
    let stage = stage("fault-headers-reset").await;
    let client = stage
        .connect(&stage.chat().demo(json!({"hang": true})))
        .await;
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    client.reset();
    let (requests, tokens) = used(&stage).await;
    assert!(
        requests == 1 && tokens > 0,
        "nobody knows what it cost: {tokens}"
    );
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (499, "", "estimated")
    );
}

async fn client_that_closes_before_headers_is_served_as_if_it_listened() {
    let stage = stage("fault-headers-close").await;
    let client = stage
        .connect(&stage.chat().demo(json!({"header_gate": "go"})))
        .await;
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    client.close();
    stage.provider.gate("go").open_for_good();
    assert_eq!(used(&stage).await, (1, 14));
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "exact")
    );
}

/// A stream as far as its first chunk.
async fn in_mid_stream(stage: &Stage<'_>, behaviour: Value) -> Connection {
    let chat: Chat = stage.chat().stream().demo(behaviour);
    let mut client = stage.connect(&chat).await;
    let head = within(SOON, "headers", client.head()).await;
    assert_eq!(head.expect("open").expect("headers").status, 200);
    within(SOON, "a chunk", client.chunk())
        .await
        .expect("open")
        .expect("a chunk");
    client
}

async fn left_in_mid_stream(stage: &Stage<'_>) {
    let (requests, tokens) = used(stage).await;
    assert!(
        requests == 1 && tokens > 0,
        "nobody knows what it cost: {tokens}"
    );
    let row = only_row(stage.gateway, &stage.server).await;
    assert_eq!(outcome(&row), (499, "", "estimated"));
    assert!(
        row["completion_tokens"].as_u64() >= Some(1),
        "what had come counts: {row}"
    );
}

async fn client_that_resets_in_mid_stream_ends_the_exchange() {
    let stage = stage("fault-stream-reset").await;
    in_mid_stream(&stage, json!({"stall_after": 1}))
        .await
        .reset();
    left_in_mid_stream(&stage).await;
}

async fn client_that_closes_in_mid_stream_ends_the_exchange() {
    let stage = stage("fault-stream-close").await;
    let flowing = json!({"chunks": 100_000, "chunk_delay_ms": 5});
    in_mid_stream(&stage, flowing).await.close();
    left_in_mid_stream(&stage).await;
}

/// The request of a chat as bytes, divided after so many of its body.
fn divided(stage: &Stage<'_>, body_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let body = stage.chat().bytes();
    let secret = format!("Bearer {}", stage.key.secret);
    let headers = [
        ("authorization", secret.as_str()),
        ("app-name", "blackbox"),
        ("content-type", "application/json"),
    ];
    let mut bytes = raw::post(
        "/v1/chat/completions",
        stage.gateway.address(),
        &headers,
        &body,
    );
    let rest = bytes.split_off(bytes.len() - body.len() + body_bytes.min(body.len()));
    (bytes, rest)
}

async fn client_that_sends_slowly_is_waited_for() {
    let stage = stage("fault-slow").await;
    let (first, rest) = divided(&stage, 0);
    let mut client = stage.connect_bare().await;
    for piece in first.chunks(40).chain(rest.chunks(7)) {
        client.send(piece).await.expect("it listens");
        // Each piece is a packet of its own once the one before was taken in.
        tokio::task::yield_now().await;
    }
    let reply = within(SOON, "an answer", client.reply(false)).await;
    let reply = reply.expect("open").expect("an answer");
    assert!(reply.head.status == 200 && reply.complete);
    assert_eq!(used(&stage).await, (1, 14));
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "exact")
    );
}

async fn client_that_sends_half_a_body_and_leaves_costs_nothing() {
    let stage = stage("fault-half").await;
    for by_reset in [false, true] {
        let (half, _) = divided(&stage, 20);
        let mut client = stage.connect_bare().await;
        client.send(&half).await.expect("it listens");
        if by_reset {
            client.reset();
        } else {
            client.finish().await.expect("it is open");
            let reply = within(SOON, "the end", client.reply(false)).await;
            let status = reply.ok().flatten().map(|reply| reply.head.status);
            assert!(matches!(status, None | Some(400)), "{status:?}");
        }
    }
    // A whole one after them, so that the row of one of them would be there as well.
    stage.chat().send().await.expect(200);
    assert_eq!(used(&stage).await, (1, 14));
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "exact")
    );
}

async fn clients_that_stall_in_their_bodies_hold_nothing() {
    let stage = stage("fault-stall").await;
    let mut stalled = Vec::new();
    for _ in 0..50 {
        let (half, rest) = divided(&stage, 20);
        let mut client = stage.connect_bare().await;
        client.send(&half).await.expect("it listens");
        stalled.push((client, rest));
    }
    // The only slot is free for who sends all of it.
    let answer = stage.chat().send().await.expect(200);
    assert_eq!(answer.number("x-queue-wait-ms"), 0);
    let live = stage.live().await;
    assert_eq!(
        (&live["queue_length"], &live["in_flight"]),
        (&json!(0), &json!(0)),
        "{live}"
    );
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "exact")
    );
    let (mut client, rest) = stalled.pop().expect("fifty");
    client.send(&rest).await.expect("it still listens");
    let reply = within(SOON, "an answer", client.reply(false)).await;
    assert_eq!(reply.expect("open").expect("an answer").head.status, 200);
}

async fn client_that_sends_garbage_is_told_so() {
    let stage = stage("fault-garbage").await;
    let garbage: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        b"POST /v1/chat/completions HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nno colon here\r\n\r\n",
        b"\r\n\r\n\r\n\0\0\0\0",
    ];
    for bytes in garbage {
        let mut client = stage.connect_bare().await;
        client.send(bytes).await.expect("it listens");
        client.finish().await.expect("it is open");
        let reply = within(SOON, "the end", client.reply(false)).await;
        let status = reply.ok().flatten().map(|reply| reply.head.status);
        assert!(
            status.is_none_or(|status| (400..=505).contains(&status)),
            "{status:?} for {bytes:?}"
        );
    }
    stage.chat().send().await.expect(200);
    assert_eq!(used(&stage).await, (1, 14));
    assert_eq!(
        outcome(&only_row(stage.gateway, &stage.server).await),
        (200, "", "exact")
    );
}
