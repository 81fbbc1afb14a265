//! 流：逐块到达、随时可断、断了要说。
//!
//! What a stream owes its reader, and what the gateway owes the provider when
//! the reader leaves. Steps are held by gates, never by time.

use std::time::{Duration, Instant};

use gateway_tests::harness::raw::{self, Connection};
use gateway_tests::harness::{SOON, sse_events, within};
use gateway_tests::provider::{Entry, Outcome, Provider, completion_text};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::stage::Stage;

/// The bound: a client that closes is felt by the provider within this.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        first_chunk_reaches_the_client_before_the_second_is_sent,
        client_that_closes_in_mid_stream_closes_the_providers_connection,
        client_that_resets_before_headers_closes_the_providers_connection,
        client_that_vanishes_leaves_nothing_in_flight,
        stream_cut_in_the_middle_ends_with_the_error_event,
        stream_ended_without_its_marker_ends_with_the_error_event,
        stream_is_passed_on_byte_for_byte,
        usage_is_on_a_stream_only_when_asked_for,
        upstream_without_headers_in_time_is_upstream_timeout,
        upstream_that_can_not_be_reached_is_upstream_unreachable,
    ]
}

fn first_word_is_there(body: &[u8]) -> bool {
    !sse_events(body).is_empty()
}

async fn first_chunk_reaches_the_client_before_the_second_is_sent() {
    let stage = Stage::new("stream-first-chunk").await;
    let gate = stage.provider.gate("word");
    gate.open(1);
    let mut stream = stage
        .chat()
        .stream()
        .demo(json!({"chunks": 3, "chunk_gate": "word"}))
        .open()
        .await;
    assert_eq!(stream.status, 200);
    assert!(
        stream.headers.contains_key("x-request-id")
            && stream.headers.contains_key("x-gateway-server")
    );
    let received = stream
        .read_until(SOON, "the first chunk", first_word_is_there)
        .await;
    assert_eq!(
        sse_events(received).len(),
        1,
        "the second chunk waits behind its gate"
    );
    assert_eq!(stage.provider.ledger().chats()[0].outcome, Outcome::Open);
    gate.open_for_good();
    let answer = stream.rest(SOON).await.expect("the stream ends properly");
    assert_eq!(
        answer.events().last().map(|event| event.data.as_str()),
        Some("[DONE]")
    );
}

/// A streaming request over a bare connection.
async fn open_stream(stage: &Stage<'_>, behaviour: &Value) -> Connection {
    let chat = stage.chat().stream().demo(behaviour.clone());
    stage.connect(&chat).await
}

async fn ended_at_provider(stage: &Stage<'_>, what: &str) -> Entry {
    let is_aborted = |chats: &[Entry]| {
        chats
            .last()
            .is_some_and(|chat| chat.outcome == Outcome::Aborted)
    };
    let mut chats = stage
        .provider
        .ledger()
        .wait_until(what, SOON, is_aborted)
        .await;
    chats.pop().expect("the one that was aborted")
}

async fn client_that_closes_in_mid_stream_closes_the_providers_connection() {
    let stage = Stage::new("stream-close").await;
    // A reset is felt even where nothing flows; an orderly close only where something is written to it,
    // since a client that has merely ended its own direction looks the same.
    let silent = json!({"stall_after": 1});
    let flowing = json!({"chunks": 10_000, "chunk_delay_ms": 20});
    for (behaviour, by_reset) in [(&silent, true), (&flowing, true), (&flowing, false)] {
        let mut connection = open_stream(&stage, behaviour).await;
        let head = within(SOON, "headers", connection.head())
            .await
            .expect("open")
            .expect("headers");
        assert_eq!(head.status, 200);
        within(SOON, "the first chunk", connection.chunk())
            .await
            .expect("open")
            .expect("a chunk");
        let left = Instant::now();
        if by_reset {
            connection.reset();
        } else {
            connection.close();
        }
        let entry = ended_at_provider(&stage, "the stream's end").await;
        let felt = entry
            .ended
            .expect("it has ended")
            .saturating_duration_since(left);
        assert!(
            felt < CLOSED_WITHIN,
            "felt after {felt:?} (by reset: {by_reset}, {behaviour})"
        );
        stage.provider.ledger().reset();
    }
}

async fn client_that_resets_before_headers_closes_the_providers_connection() {
    let stage = Stage::new("stream-reset-early").await;
    let connection = open_stream(&stage, &json!({"hang": true})).await;
    stage.provider.ledger().wait_for_chats(1, SOON).await;
    let left = Instant::now();
    connection.reset();
    let entry = ended_at_provider(&stage, "the request's end").await;
    let felt = entry
        .ended
        .expect("it has ended")
        .saturating_duration_since(left);
    assert!(felt < CLOSED_WITHIN, "felt after {felt:?}");
}

async fn client_that_vanishes_leaves_nothing_in_flight() {
    let stage = Stage::with("stream-vanish", |server| {
        server.field("max_concurrency", json!(1))
    })
    .await;
    let mut connection = open_stream(&stage, &json!({"stall_after": 1})).await;
    within(SOON, "headers", connection.head())
        .await
        .expect("open")
        .expect("headers");
    within(SOON, "the first chunk", connection.chunk())
        .await
        .expect("open")
        .expect("a chunk");
    stage
        .live_until("one in flight", |live| live["in_flight"] == 1)
        .await;
    connection.reset();
    stage
        .live_until("nothing in flight", |live| live["in_flight"] == 0)
        .await;
    stage.chat().send().await.expect(200);
}

/// The last event must be the error, in the gateway's shape, and the HTTP body must end properly.
async fn ends_with_the_error_event(stage: &Stage<'_>, behaviour: Value) {
    let stream = stage.chat().stream().demo(behaviour).open().await;
    assert_eq!(stream.status, 200);
    let answer = stream
        .rest(SOON)
        .await
        .expect("the gateway ends its own body properly");
    let events = answer.events();
    assert_eq!(events.len(), 3, "two words and the error: {events:?}");
    let text: String = events[..2]
        .iter()
        .map(|event| {
            event.json()["choices"][0]["delta"]["content"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert_eq!(text, completion_text(2), "what had come is delivered");
    assert_eq!(events[2].name, "error");
    let error = &events[2].json()["error"];
    assert_eq!(error["code"], "upstream_stream_truncated");
    assert_eq!(error["request_id"].as_str(), answer.header("x-request-id"));
    assert!(
        error["message"].is_string() && error["type"].is_string() && error.get("param").is_some(),
        "{error}"
    );
    assert!(!answer.text().contains("[DONE]"));
}

async fn stream_cut_in_the_middle_ends_with_the_error_event() {
    let stage = Stage::new("stream-cut").await;
    ends_with_the_error_event(&stage, json!({"cut_after": 2})).await;
    ends_with_the_error_event(
        &stage,
        json!({"cut_after": 2, "split_bytes": 5, "crlf": true}),
    )
    .await;
}

async fn stream_ended_without_its_marker_ends_with_the_error_event() {
    let stage = Stage::new("stream-short").await;
    ends_with_the_error_event(&stage, json!({"end_after": 2})).await;
}

/// The stream without the ids, which count the provider's requests.
fn without_ids(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut parts = text.split("chatcmpl-demo-");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str("chatcmpl-demo-N");
        plain.push_str(part.trim_start_matches(|character: char| character.is_ascii_digit()));
    }
    plain
}

async fn stream_is_passed_on_byte_for_byte() {
    let stage = Stage::new("stream-bytes").await;
    for behaviour in [
        json!({"chunks": 4}),
        json!({"chunks": 4, "crlf": true}),
        json!({"chunks": 4, "split_bytes": 1}),
        json!({"chunks": 4, "split_bytes": 7, "crlf": true}),
        json!({"chunks": 0}),
        json!({"chunks": 300}),
    ] {
        let chat = stage.chat().stream().with_usage().demo(behaviour.clone());
        let bytes = chat.bytes();
        let through = chat.send().await.expect(200);
        let headers = [("content-type", "application/json")];
        let mut direct = Connection::open(stage.provider.address())
            .await
            .expect("the provider listens");
        let request = raw::post(
            "/chat/completions",
            stage.provider.address(),
            &headers,
            &bytes,
        );
        direct.send(&request).await.expect("the provider reads");
        let direct = within(SOON, "the provider's own answer", direct.reply(false))
            .await
            .expect("open")
            .expect("one");
        assert_eq!(
            without_ids(&through.body),
            without_ids(&direct.body),
            "{behaviour}"
        );
        assert_eq!(
            through.header("content-type"),
            direct.head.header("content-type")
        );
    }
}

async fn usage_is_on_a_stream_only_when_asked_for() {
    let stage = Stage::new("stream-usage").await;
    for behaviour in [
        json!({"chunks": 3}),
        json!({"chunks": 3, "split_bytes": 3}),
        json!({"chunks": 3, "crlf": true}),
    ] {
        let silent = stage
            .chat()
            .stream()
            .demo(behaviour.clone())
            .send()
            .await
            .expect(200);
        let events = silent.events();
        assert!(
            events
                .iter()
                .all(|event| !event.json()["usage"].is_object()),
            "{behaviour}: {events:?}"
        );
        assert!(
            events
                .iter()
                .all(|event| event.json()["choices"] != json!([])),
            "{behaviour}: {events:?}"
        );
        assert_eq!(
            events.last().map(|event| event.data.as_str()),
            Some("[DONE]")
        );
        assert_eq!(
            events.len(),
            5,
            "three words, the finish, the end marker: {events:?}"
        );

        let asked = stage
            .chat()
            .stream()
            .with_usage()
            .demo(behaviour)
            .send()
            .await
            .expect(200);
        let usages: Vec<Value> = asked
            .events()
            .iter()
            .map(|event| event.json()["usage"].clone())
            .filter(Value::is_object)
            .collect();
        assert_eq!(usages.len(), 1);
        assert_eq!(usages[0]["completion_tokens"], 3);
    }
    let refused = json!({"include_usage": false});
    let answer = stage
        .chat()
        .stream()
        .field("stream_options", refused)
        .send()
        .await
        .expect(200);
    assert!(
        answer
            .events()
            .iter()
            .all(|event| !event.json()["usage"].is_object()),
        "asked not to have it"
    );
}

async fn upstream_without_headers_in_time_is_upstream_timeout() {
    let stage = Stage::with("stream-timeout", |server| {
        server.field("upstream_timeout_ms", json!(1000))
    })
    .await;
    for chat in [stage.chat(), stage.chat().stream()] {
        let answer = chat
            .demo(json!({"hang": true}))
            .send()
            .await
            .expect_error(504, "upstream_timeout");
        assert_eq!(answer.header("x-gateway-server"), Some("stream-timeout"));
        ended_at_provider(&stage, "the given-up request's end").await;
    }
    stage.chat().send().await.expect(200);
}

async fn upstream_that_can_not_be_reached_is_upstream_unreachable() {
    // A port that was free a moment ago: nobody listens there any more.
    let gone = Provider::start().base_url();
    let stage = Stage::with("stream-unreachable", |server| server.base_url(&gone)).await;
    stage
        .chat()
        .send()
        .await
        .expect_error(502, "upstream_unreachable");
    stage
        .chat()
        .stream()
        .send()
        .await
        .expect_error(502, "upstream_unreachable");
    let stage = Stage::new("stream-dropped").await;
    let dropped = stage
        .chat()
        .demo(json!({"drop_connection": true}))
        .send()
        .await;
    dropped.expect_error(502, "upstream_unreachable");
    stage.chat().send().await.expect(200);
}
