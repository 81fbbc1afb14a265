//! 演示上游守约：形状、用量、怪事、账本。
//!
//! The black-box tests judge the gateway by what this provider records, so its
//! own behaviour is tested first.

mod windows;

use std::time::Instant;

use gateway_tests::harness::raw::{self, Connection, Reply};
use gateway_tests::harness::{SOON, runtime, sse_events, within};
use gateway_tests::provider::{
    Limit, Options, Outcome, Provider, WINDOW, completion_text, prompt_tokens,
};
use serde_json::{Value, json};

fn run<T>(test: impl Future<Output = T>) -> T {
    runtime().block_on(test)
}

fn request(fields: &Value) -> Value {
    let mut body =
        json!({"model": "demo-small", "messages": [{"role": "user", "content": "Hello, sluice"}]});
    let extra = fields.as_object().cloned().unwrap_or_default();
    body.as_object_mut().expect("an object").extend(extra);
    body
}

async fn open(provider: &Provider, fields: &Value) -> Connection {
    open_at("/v1/chat/completions", provider, fields).await
}

async fn open_at(path: &str, provider: &Provider, fields: &Value) -> Connection {
    let body = request(fields).to_string();
    let headers = [
        ("authorization", "Bearer sk-demo-1"),
        ("content-type", "application/json"),
    ];
    let mut connection = Connection::open(provider.address())
        .await
        .expect("it listens");
    let bytes = raw::post(path, provider.address(), &headers, body.as_bytes());
    connection.send(&bytes).await.expect("it reads");
    connection
}

async fn ask(provider: &Provider, fields: Value) -> Reply {
    ask_at("/v1/chat/completions", provider, fields).await
}

async fn ask_at(path: &str, provider: &Provider, fields: Value) -> Reply {
    let mut connection = open_at(path, provider, &fields).await;
    let reply = within(SOON, "a reply", connection.reply(false)).await;
    reply.expect("it answers").expect("it sends headers")
}

fn json_of(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).expect("JSON")
}

#[test]
fn plain_answer_has_openai_shape_and_predicted_usage() {
    run(async {
        let provider = Provider::start();
        let reply = ask(
            &provider,
            json!({"sluice_demo": {"chunks": 3, "cached_tokens": 2}}),
        )
        .await;
        assert_eq!(
            (reply.head.status, reply.head.header("content-type")),
            (200, Some("application/json"))
        );
        let answer = json_of(&reply);
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(
            answer["choices"][0]["message"]["content"],
            completion_text(3)
        );
        // "Hello, sluice" has 13 bytes: 4 tokens.
        assert_eq!(prompt_tokens(request(&json!({})).to_string().as_bytes()), 4);
        assert_eq!(
            answer["usage"],
            json!({"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7,
                   "prompt_tokens_details": {"cached_tokens": 2}})
        );
        assert_eq!(provider.ledger().chats()[0].tokens, 7);
    });
}

#[test]
fn every_endpoint_counts_in_its_own_shape() {
    run(async {
        let provider = Provider::start();
        let wishes = json!({"chunks": 3, "cached_tokens": 1, "cache_written_tokens": 1, "reasoning_tokens": 5});
        // The message counts everywhere: 4 tokens.
        for (path, usage) in [
            (
                "/completions",
                json!({"prompt_tokens": 4, "completion_tokens": 8, "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 5}}),
            ),
            (
                "/embeddings",
                json!({"prompt_tokens": 4, "total_tokens": 4}),
            ),
            (
                "/v1/responses",
                json!({"input_tokens": 4, "output_tokens": 8, "total_tokens": 12,
                "input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 5}}),
            ),
            (
                "/v1/messages",
                json!({"input_tokens": 2, "cache_read_input_tokens": 1,
                "cache_creation_input_tokens": 1, "output_tokens": 8}),
            ),
        ] {
            let answer = json_of(&ask_at(path, &provider, json!({"sluice_demo": wishes})).await);
            assert_eq!(answer["usage"], usage, "{path}");
        }
    });
}

#[test]
fn streams_of_named_events_end_as_their_clients_expect() {
    run(async {
        let provider = Provider::start();
        for (path, bound, names) in [
            (
                "/messages",
                "max_tokens",
                ["message_start", "content_block_delta", "message_stop"],
            ),
            (
                "/responses",
                "max_output_tokens",
                [
                    "response.created",
                    "response.output_text.delta",
                    "response.incomplete",
                ],
            ),
        ] {
            let reply = ask_at(path, &provider, json!({"stream": true, bound: 1})).await;
            let events = sse_events(&reply.body);
            let found = |name: &str| events.iter().position(|event| event.name == name);
            let places =
                names.map(|name| found(name).unwrap_or_else(|| panic!("{name} of {path}")));
            assert!(
                places.is_sorted() && places[2] == events.len() - 1,
                "{path}: {places:?}"
            );
            assert!(
                events
                    .iter()
                    .all(|event| event.json()["type"] == event.name)
            );
        }
    });
}

#[test]
fn output_is_bounded_by_max_tokens_and_multiplied_by_n() {
    run(async {
        let provider = Provider::start();
        let answer = json_of(&ask(&provider, json!({"max_tokens": 2, "n": 3})).await);
        assert_eq!(answer["choices"].as_array().map(Vec::len), Some(3));
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 6);
        let answer = json_of(
            &ask(
                &provider,
                json!({"max_tokens": 2, "max_completion_tokens": 1}),
            )
            .await,
        );
        assert_eq!(answer["usage"]["completion_tokens"], 1);
    });
}

#[test]
fn stream_ends_with_usage_only_when_asked_for() {
    run(async {
        let provider = Provider::start();
        let reply = ask(
            &provider,
            json!({"stream": true, "sluice_demo": {"chunks": 2}}),
        )
        .await;
        let events = sse_events(&reply.body);
        assert_eq!(events.len(), 4, "two words, finish, end marker");
        assert!(
            events
                .iter()
                .all(|event| event.json().get("usage").is_none())
        );
        assert_eq!(events[3].data, "[DONE]");

        let asked = json!({"stream": true, "stream_options": {"include_usage": true}, "sluice_demo": {"chunks": 2}});
        let events = sse_events(&ask(&provider, asked).await.body);
        assert_eq!(events.len(), 5);
        assert_eq!(events[0].json()["usage"], Value::Null);
        assert_eq!(events[3].json()["choices"], json!([]));
        assert_eq!(events[3].json()["usage"]["total_tokens"], 6);
    });
}

#[test]
fn status_body_and_headers_are_as_wished() {
    run(async {
        let provider = Provider::start();
        let wishes = json!({"status": 429, "body": "slow down", "content_type": "text/plain", "retry_after": "7",
                            "headers": {"x-test": "1"}});
        let reply = ask(&provider, json!({"sluice_demo": wishes})).await;
        assert_eq!(
            (reply.head.status, reply.body.as_slice()),
            (429, &b"slow down"[..])
        );
        assert_eq!(reply.head.header("content-type"), Some("text/plain"));
        assert_eq!(reply.head.header("retry-after"), Some("7"));
        assert_eq!(reply.head.header("x-test"), Some("1"));
        let reply = ask(
            &provider,
            json!({"sluice_demo": {"status": 500, "quote_authorization": true}}),
        )
        .await;
        assert!(
            json_of(&reply)["error"]["message"]
                .as_str()
                .expect("text")
                .contains("Bearer sk-demo-1")
        );
    });
}

#[test]
fn mistyped_wish_is_refused() {
    run(async {
        let provider = Provider::start();
        assert_eq!(
            ask(&provider, json!({"sluice_demo": {"chunk": 2}}))
                .await
                .head
                .status,
            400
        );
    });
}

#[test]
fn gate_holds_each_word_until_it_is_opened() {
    run(async {
        let provider = Provider::start();
        let wishes = json!({"stream": true, "sluice_demo": {"chunks": 2, "chunk_gate": "word"}});
        let mut connection = open(&provider, &wishes).await;
        let head = within(SOON, "headers before any word", connection.head())
            .await
            .expect("open")
            .expect("headers");
        assert_eq!(head.status, 200);
        provider.gate("word").open(1);
        let (first, _) = within(SOON, "first word", connection.chunk())
            .await
            .expect("open")
            .expect("a chunk");
        assert!(String::from_utf8_lossy(&first).contains(&completion_text(1)));
        assert_eq!(
            provider.ledger().chats()[0].outcome,
            Outcome::Open,
            "the second word waits"
        );
        provider.gate("word").open(1);
        while within(SOON, "the rest", connection.chunk())
            .await
            .expect("open")
            .is_some()
        {}
        assert_eq!(provider.ledger().chats()[0].outcome, Outcome::Completed);
    });
}

#[test]
fn cut_stream_delivers_its_words_and_then_ends_without_marker() {
    run(async {
        let provider = Provider::start();
        let reply = ask(
            &provider,
            json!({"stream": true, "sluice_demo": {"chunks": 9, "cut_after": 2}}),
        )
        .await;
        assert!(!reply.complete, "the connection closes inside the body");
        assert_eq!(sse_events(&reply.body).len(), 2);
        assert_eq!(provider.ledger().chats()[0].outcome, Outcome::Cut);
        let reply = ask(
            &provider,
            json!({"stream": true, "sluice_demo": {"chunks": 9, "end_after": 2}}),
        )
        .await;
        assert!(
            reply.complete,
            "the body ends properly, only without [DONE]"
        );
        assert_eq!(sse_events(&reply.body).len(), 2);
    });
}

#[test]
fn client_that_leaves_is_recorded_as_aborted() {
    run(async {
        let provider = Provider::start();
        for wishes in [
            json!({"stream": true, "sluice_demo": {"stall_after": 1}}),
            json!({"stream": true, "sluice_demo": {"chunk_gate": "never"}}),
            json!({"sluice_demo": {"hang": true}}),
            json!({"sluice_demo": {"header_gate": "never"}}),
        ] {
            let before = provider.ledger().chats().len();
            let connection = open(&provider, &wishes).await;
            provider.ledger().wait_for_chats(before + 1, SOON).await;
            let left = Instant::now();
            connection.reset();
            let is_aborted = |chats: &[gateway_tests::provider::Entry]| {
                chats[before].outcome == Outcome::Aborted
            };
            let chats = provider
                .ledger()
                .wait_until("an aborted request", SOON, is_aborted)
                .await;
            assert!(
                chats[before].ended.is_some_and(|ended| ended >= left),
                "{wishes}"
            );
        }
    });
}

#[test]
fn dropped_connection_sends_nothing() {
    run(async {
        let provider = Provider::start();
        let mut connection = open(
            &provider,
            &json!({"sluice_demo": {"drop_connection": true}}),
        )
        .await;
        let reply = within(SOON, "the end", connection.reply(false)).await;
        assert!(!matches!(reply, Ok(Some(_))), "no answer: {reply:?}");
    });
}

#[test]
fn own_limit_answers_429_with_retry_after() {
    run(async {
        let options = Options {
            limit: Some(Limit::Sliding {
                requests: 2,
                window: WINDOW,
            }),
            ..Options::default()
        };
        let provider = Provider::start_with(options).expect("a free port");
        for _ in 0..2 {
            assert_eq!(ask(&provider, json!({})).await.head.status, 200);
        }
        let reply = ask(&provider, json!({})).await;
        assert_eq!(reply.head.status, 429);
        let wait: u64 = reply
            .head
            .header("retry-after")
            .and_then(|value| value.parse().ok())
            .expect("a number");
        assert!((1..=60).contains(&wait), "{wait}");
        let exact: u64 = reply
            .head
            .header("retry-after-ms")
            .and_then(|value| value.parse().ok())
            .expect("a number");
        assert_eq!(exact.div_ceil(1000), wait);
    });
}

#[test]
fn ledger_keeps_exact_bytes_and_headers() {
    run(async {
        let provider = Provider::start();
        let body = b"{ \"model\" :\"m\",\"x\":1.0e+400, \"y\":\"\\u00e9\" }";
        let mut connection = Connection::open(provider.address())
            .await
            .expect("it listens");
        let bytes = raw::post(
            "/chat/completions?a=b",
            provider.address(),
            &[("x-odd", "Value")],
            body,
        );
        connection.send(&bytes).await.expect("it reads");
        within(SOON, "a reply", connection.reply(false))
            .await
            .expect("open")
            .expect("an answer");
        let entry = provider.ledger().entries().remove(0);
        assert_eq!(entry.body.as_ref(), body);
        assert_eq!(entry.path, "/chat/completions?a=b");
        assert_eq!(entry.header("x-odd"), Some("Value"));
        provider.ledger().reset();
        assert!(provider.ledger().entries().is_empty());
    });
}

#[test]
fn control_endpoints_show_the_ledger_and_open_gates() {
    run(async {
        let provider = Provider::start();
        let waiting = open(
            &provider,
            &json!({"sluice_demo": {"header_gate": "headers"}}),
        )
        .await;
        provider.ledger().wait_for_chats(1, SOON).await;
        let mut control = Connection::open(provider.address())
            .await
            .expect("it listens");
        let post = raw::post("/__demo/gates/headers?open=1", provider.address(), &[], b"");
        control.send(&post).await.expect("it reads");
        control
            .reply(false)
            .await
            .expect("open")
            .expect("an answer");
        let mut waiting = waiting;
        let reply = within(SOON, "the opened answer", waiting.reply(false))
            .await
            .expect("open")
            .expect("an answer");
        assert_eq!(reply.head.status, 200);
        let get = format!(
            "GET /__demo/ledger HTTP/1.1\r\nhost: {}\r\n\r\n",
            provider.address()
        );
        control.send(get.as_bytes()).await.expect("it reads");
        let ledger = json_of(
            &control
                .reply(false)
                .await
                .expect("open")
                .expect("an answer"),
        );
        assert_eq!(
            ledger["entries"].as_array().map(Vec::len),
            Some(1),
            "control requests are not in it"
        );
        assert_eq!(ledger["most_requests_in_window"], 1);
    });
}

#[test]
fn wish_for_the_first_requests_is_kept_for_those_of_one_body_only() {
    run(async {
        let provider = Provider::start();
        let wish = |user: u64| json!({"user": user.to_string(), "sluice_demo": {"status": 429, "only_first": 2}});
        let mut statuses = Vec::new();
        for user in [1, 2, 1, 1, 2, 2] {
            statuses.push(ask(&provider, wish(user)).await.head.status);
        }
        assert_eq!(statuses, [429, 429, 429, 200, 429, 200]);
    });
}

#[test]
fn plain_answer_can_be_cut_or_compressed() {
    run(async {
        let provider = Provider::start();
        let reply = ask(&provider, json!({"sluice_demo": {"cut_after": 1}})).await;
        assert!(!reply.complete && !reply.body.is_empty());
        let reply = ask(&provider, json!({"sluice_demo": {"gzip": true}})).await;
        assert_eq!(reply.head.header("content-encoding"), Some("gzip"));
        assert!(reply.complete && reply.body.starts_with(&[0x1f, 0x8b]));
    });
}
