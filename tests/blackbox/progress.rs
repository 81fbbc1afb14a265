//! 进度：边等边看，位置只减不增。
//!
//! `X-Queue-Progress: sse`: the stream begins while the request still waits, tells
//! its place, and goes on with the answer. What goes wrong is then told in it.

use std::time::{Duration, Instant};

use gateway_tests::harness::{Answer, Chat, SOON, Stream};
use gateway_tests::provider::completion_text;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::stage::{PATIENT, Stage};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        position_falls_until_the_answer_comes,
        request_that_need_not_wait_gets_its_answer_as_ever,
        request_without_a_stream_waits_in_silence,
        estimate_is_told_where_there_is_one,
        queue_timeout_is_told_in_the_stream,
        eviction_is_told_in_the_stream,
        failure_of_the_upstream_is_told_in_the_stream,
        refusal_of_the_upstream_is_absorbed_within_the_stream,
        progress_goes_on_over_a_reset_of_the_object,
    ]
}

fn watching(chat: Chat) -> Chat {
    chat.stream()
        .header("x-queue-progress", "sse")
        .bound(PATIENT)
}

/// Positions in the comments, in their order.
fn positions(body: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(body).into_owned();
    let comments = text
        .lines()
        .filter_map(|line| line.strip_prefix(": queued position="));
    comments
        .map(|rest| {
            let digits = rest.split(' ').next().unwrap_or_default();
            digits
                .parse()
                .unwrap_or_else(|_| panic!("a position: {rest}"))
        })
        .collect()
}

/// Reads until the stream has told this position.
async fn told(stream: &mut Stream, position: u64) {
    let what = format!("position {position}");
    stream
        .read_until(SOON, &what, |body| positions(body).contains(&position))
        .await;
}

/// A server with one slot, held until the gate opens once.
async fn held(name: &str) -> (Stage<'static>, JoinHandle<Answer>) {
    let stage = Stage::faulty(name, |server| server.field("max_concurrency", json!(1))).await;
    let chat = stage.chat().demo(json!({"header_gate": "answer"}));
    let held = chat.bound(PATIENT).spawn();
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    (stage, held)
}

async fn position_falls_until_the_answer_comes() {
    let (stage, held) = held("progress-falls").await;
    let gated = json!({"header_gate": "answer"});
    let mut before = Vec::new();
    for number in 1..=2 {
        let chat = stage.numbered(number).demo(gated.clone());
        before.push(chat.bound(PATIENT).spawn());
        stage.queue_length(number).await;
    }
    let asked = Instant::now();
    let mut stream = watching(stage.numbered(3)).open().await;
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "headers come while it waits"
    );
    assert_eq!(stream.status, 200);
    let header = |name: &str| stream.headers.get(name).cloned().expect(name);
    assert!(
        header("content-type")
            .to_str()
            .is_ok_and(|kind| kind.starts_with("text/event-stream"))
    );
    assert_eq!(header("x-gateway-server"), "progress-falls");
    assert!(!header("x-request-id").is_empty());
    let gate = stage.provider.gate("answer");
    for position in [3, 2, 1] {
        told(&mut stream, position).await;
        gate.open(1);
    }
    let answer = stream.rest(PATIENT).await.expect("it ends properly");
    let positions = positions(&answer.body);
    assert!(
        positions.windows(2).all(|pair| pair[0] >= pair[1]),
        "never back: {positions:?}"
    );
    for chat in std::iter::once(held).chain(before) {
        chat.await.expect("an answer").expect(200);
    }
    // Beside the comments it is the answer of a client that did not ask for them.
    let events = answer.events();
    let plain = stage.numbered(3).stream().send().await.expect(200);
    let content = |events: &[gateway_tests::harness::Event]| -> Vec<Value> {
        let events = events.iter().map(|event| event.json()["choices"].clone());
        events.collect()
    };
    assert_eq!(content(&events), content(&plain.events()));
    assert_eq!(
        events.last().map(|event| event.data.as_str()),
        Some("[DONE]")
    );
    assert!(
        events.iter().all(|event| event.json()["usage"].is_null()),
        "the usage that nobody asked for is left out"
    );
    stage.idle().await;
}

async fn request_that_need_not_wait_gets_its_answer_as_ever() {
    let stage = Stage::new("progress-none").await;
    let answer = watching(stage.chat()).send().await.expect(200);
    assert!(positions(&answer.body).is_empty());
    assert_eq!(answer.number("x-queue-wait-ms"), 0);
    assert_eq!(answer.number("x-gateway-attempts"), 1);
    // A failure keeps its status as long as nothing was sent.
    let failed = watching(stage.chat()).demo(json!({"status": 418, "body": "tea"}));
    assert_eq!(failed.send().await.expect(418).text(), "tea");
}

async fn request_without_a_stream_waits_in_silence() {
    let (stage, held) = held("progress-plain").await;
    let chat = stage.chat().header("x-queue-progress", "sse");
    let waiting = chat.bound(PATIENT).spawn();
    stage.queue_length(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!waiting.is_finished());
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    let answer = waiting.await.expect("an answer").expect(200);
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        completion_text(8)
    );
}

async fn estimate_is_told_where_there_is_one() {
    let stage = Stage::faulty("progress-estimate", |server| {
        server.rpm(1).field("queue_timeout_ms", json!(90_000))
    })
    .await;
    stage.chat().send().await.expect(200);
    let mut stream = watching(stage.chat()).open().await;
    let estimates = |body: &[u8]| -> Vec<u64> {
        let text = String::from_utf8_lossy(body).into_owned();
        let words = text.split_whitespace();
        words
            .filter_map(|word| word.strip_prefix("estimate_ms=")?.parse().ok())
            .collect()
    };
    let body = stream
        .read_until(SOON, "three estimates", |body| estimates(body).len() >= 3)
        .await;
    let estimates = estimates(body);
    assert!(
        estimates.windows(2).all(|pair| pair[0] > pair[1]),
        "the time runs: {estimates:?}"
    );
    assert!((50_000..=60_400).contains(&estimates[0]), "{estimates:?}");
}

/// The stream told its place, then this failure of the gateway as its last event.
#[track_caller]
fn ends_with_error(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 200);
    assert!(!positions(&answer.body).is_empty(), "{}", answer.text());
    let events = answer.events();
    assert_eq!(events.len(), 1, "{}", answer.text());
    assert_eq!(events[0].name, "error");
    let error = &events[0].json()["error"];
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(error["request_id"].as_str(), answer.header("x-request-id"));
    assert!(!answer.text().contains("[DONE]"));
}

async fn queue_timeout_is_told_in_the_stream() {
    let stage = Stage::with("progress-timeout", |server| {
        server.rpm(0).field("queue_timeout_ms", json!(1500))
    })
    .await;
    let answer = watching(stage.chat()).send().await;
    ends_with_error(&answer, "queue_timeout");
    stage.idle().await;
}

async fn eviction_is_told_in_the_stream() {
    let stage = Stage::with("progress-evicted", |server| {
        server
            .rpm(0)
            .field("queue_max", json!(1))
            .field("queue_timeout_ms", json!(3000))
    })
    .await;
    let oldest = watching(stage.chat()).spawn();
    stage.queue_length(1).await;
    let newest = watching(stage.chat()).spawn();
    ends_with_error(&oldest.await.expect("an answer"), "queue_evicted");
    ends_with_error(&newest.await.expect("an answer"), "queue_timeout");
}

async fn failure_of_the_upstream_is_told_in_the_stream() {
    let (stage, held) = held("progress-failure").await;
    let theirs = json!({"status": 400, "body": "{\"error\":{\"message\":\"too long\"}}"});
    let wishes = [
        theirs,
        json!({"status": 503, "body": "busy"}),
        json!({"cut_after": 0}),
    ];
    let mut streams = Vec::new();
    for (place, wish) in (1..).zip(wishes) {
        streams.push(watching(stage.chat()).demo(wish).spawn());
        stage.queue_length(place).await;
    }
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    let mut errors = Vec::new();
    for stream in streams {
        let answer = stream.await.expect("an answer").expect(200);
        let mut events = answer.events();
        assert_eq!(events.len(), 1, "{}", answer.text());
        assert_eq!(events[0].name, "error");
        errors.push(events.remove(0).json());
    }
    assert_eq!(
        errors[0],
        json!({"error": {"message": "too long"}, "status": 400})
    );
    assert_eq!(errors[1]["status"], 503);
    assert_eq!(errors[1]["upstream"], "busy");
    for error in &errors[1..] {
        assert_eq!(error["error"]["code"], "upstream_stream_truncated");
    }
    stage.idle().await;
}

async fn refusal_of_the_upstream_is_absorbed_within_the_stream() {
    let stage = Stage::new("progress-429").await;
    let wish = json!({"status": 429, "retry_after": "2", "only_first": 1});
    let answer = watching(stage.chat()).demo(wish).send().await.expect(200);
    assert!(
        !positions(&answer.body).is_empty(),
        "the pause is a wait like any other"
    );
    assert_eq!(
        answer.events().last().map(|event| event.data.clone()),
        Some("[DONE]".to_owned())
    );
    assert_eq!(stage.provider.ledger().chats().len(), 2);

    let stage = Stage::new("progress-429s").await;
    let wish =
        json!({"status": 429, "retry_after": "1", "body": "{\"error\":{\"code\":\"slow\"}}"});
    let answer = watching(stage.chat()).demo(wish).send().await.expect(200);
    let events = answer.events();
    assert_eq!(events.len(), 1, "{}", answer.text());
    assert_eq!(
        events[0].json(),
        json!({"error": {"code": "slow"}, "status": 429})
    );
    assert_eq!(stage.provider.ledger().chats().len(), 3);
}

async fn progress_goes_on_over_a_reset_of_the_object() {
    let (stage, held) = held("progress-reset").await;
    let other = stage.waiter(1, 1).await;
    let mut stream = watching(stage.numbered(2)).open().await;
    told(&mut stream, 2).await;
    stage.reset_limiter().await;
    stage.queue_length(2).await;
    stage.provider.gate("answer").open_for_good();
    held.await.expect("an answer").expect(200);
    other.await.expect("an answer").expect(200);
    let answer = stream.rest(PATIENT).await.expect("it ends properly");
    assert_eq!(
        answer.events().last().map(|event| event.data.clone()),
        Some("[DONE]".to_owned())
    );
    let mut served = stage.served();
    served.sort_unstable();
    assert_eq!(served, [1, 2], "each once");
    stage.idle().await;
}
