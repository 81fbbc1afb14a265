//! 背压：上游的 429 与断线由网关吸收。
//!
//! What a client is spared when its server refuses or loses a request, and where
//! that ends: the attempts, the queue timeout, and the first byte of an answer.

mod stricter;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use gateway_tests::harness::{Gateway, SOON, within};
use gateway_tests::provider::{Entry, Options, Outcome, Provider};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::stage::{PATIENT, Stage};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        refused_request_is_repeated_when_the_provider_said,
        whole_server_pauses_and_the_refused_one_goes_first,
        refusal_is_passed_on_as_it_is_when_the_attempts_are_used_up,
        refusal_is_passed_on_when_the_pause_outlasts_the_wait,
        refusal_is_passed_on_at_once_where_nothing_is_repeated,
        lost_connection_is_repeated,
        server_that_comes_back_is_found,
        server_that_stays_away_is_unreachable_after_all_attempts,
        nothing_else_is_repeated,
        client_that_leaves_in_a_pause_is_not_repeated,
    ]
}

/// Those that wait for a minute.
pub(crate) fn waiting_trials() -> Vec<Trial> {
    stricter::trials()
}

fn between(earlier: &Entry, later: &Entry) -> Duration {
    later.arrived.duration_since(earlier.arrived)
}

async fn refused_request_is_repeated_when_the_provider_said() {
    // A server each: what is learnt of one provider must not slow the next case down.
    let cases = [
        ("backpressure-s", json!({"retry-after": "1"}), 1000),
        ("backpressure-ms", json!({"retry-after-ms": "400"}), 400),
        (
            "backpressure-both",
            json!({"retry-after": "9", "retry-after-ms": "400"}),
            400,
        ),
        (
            "backpressure-reset",
            json!({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "400ms",
                   "x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "9s"}),
            400,
        ),
        ("backpressure-silent", json!({}), 1000),
    ];
    for (name, headers, pause_ms) in cases {
        let stage = Stage::new(name).await;
        let pause = Duration::from_millis(pause_ms);
        for streams in [false, true] {
            let wish = json!({"status": 429, "headers": headers, "only_first": 1});
            let chat = stage.chat().field("stream", json!(streams)).demo(wish);
            let (took, answer) = chat.timed().await;
            let answer = answer.expect(200);
            assert_eq!(answer.number("x-gateway-attempts"), 2, "{name}");
            assert!(
                answer.number("x-queue-wait-ms") >= pause_ms,
                "{name}: the pause is a wait"
            );
            assert!(took < pause + SOON / 4, "{name}: {took:?}");
            let chats = stage.provider.ledger().chats();
            let gap = between(&chats[chats.len() - 2], &chats[chats.len() - 1]);
            // The clocks of two processes have whole milliseconds.
            assert!(
                gap + Duration::from_millis(2) >= pause,
                "{name}: {gap:?} after the refusal"
            );
        }
        assert_eq!(stage.provider.ledger().chats().len(), 4, "{name}");
        let plain = stage.chat().send().await.expect(200);
        assert_eq!(plain.number("x-gateway-attempts"), 1, "{name}");
    }
}

async fn whole_server_pauses_and_the_refused_one_goes_first() {
    let stage = Stage::new("backpressure-pause").await;
    let wish = json!({"status": 429, "retry_after": "3", "only_first": 1});
    let first = stage.numbered(1).demo(wish).bound(PATIENT).spawn();
    let is_paused = |live: &Value| live["paused_until"].is_string() && live["queue_length"] == 1;
    stage.live_until("the server pauses", is_paused).await;
    let second = stage.waiter(2, 2).await;
    let third = stage.waiter(3, 3).await;
    let first = first.await.expect("an answer").expect(200);
    assert_eq!(first.number("x-gateway-attempts"), 2);
    for waiter in [second, third] {
        let answer = waiter.await.expect("an answer").expect(200);
        assert_eq!(answer.number("x-gateway-attempts"), 1);
        assert!(answer.number("x-queue-wait-ms") > 0);
    }
    let chats = stage.provider.ledger().chats();
    assert_eq!(chats.len(), 4);
    assert!(
        between(&chats[0], &chats[1]) >= Duration::from_millis(2990),
        "nobody is sent in the pause"
    );
    assert_eq!(stage.served(), [1, 2, 3]);
    stage.idle().await;
}

async fn refusal_is_passed_on_as_it_is_when_the_attempts_are_used_up() {
    let stage = Stage::new("backpressure-budget").await;
    let body = "{\"error\" : {\"message\":\"slow d\u{f6}wn\"} }\n";
    let headers = json!({"retry-after-ms": "60", "x-odd": "kept"});
    let wish = json!({"status": 429, "body": body, "headers": headers,
                      "content_type": "application/problem+json"});
    for streams in [false, true] {
        let chat = stage.chat().field("stream", json!(streams));
        let answer = chat.demo(wish.clone()).send().await.expect(429);
        assert_eq!(answer.text(), body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.header("x-odd"), Some("kept"));
        assert_eq!(answer.header("retry-after-ms"), Some("60"));
        assert_eq!(answer.number("x-gateway-attempts"), 3, "two more attempts");
    }
    assert_eq!(stage.provider.ledger().chats().len(), 6);
    stage.idle().await;
}

async fn refusal_is_passed_on_when_the_pause_outlasts_the_wait() {
    let stage = Stage::with("backpressure-outlasts", |server| {
        server.field("queue_timeout_ms", json!(3000))
    })
    .await;
    let wish = json!({"status": 429, "body": "{\"error\":{}}", "retry_after": "60"});
    for patience in [None, Some("1")] {
        let chat = stage.chat().demo(wish.clone());
        let chat = match patience {
            Some(seconds) => chat.header("x-queue-timeout", seconds),
            None => chat,
        };
        let (took, answer) = chat.timed().await;
        if patience.is_none() {
            let answer = answer.expect(429);
            assert_eq!(answer.text(), "{\"error\":{}}");
            assert_eq!(answer.header("retry-after"), Some("60"));
            assert_eq!(answer.number("x-gateway-attempts"), 1);
        } else {
            // The server pauses still, so this one is not even sent.
            answer.expect_error(429, "deadline_unreachable");
        }
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
    assert_eq!(stage.provider.ledger().chats().len(), 1);
    stage.idle().await;
}

async fn refusal_is_passed_on_at_once_where_nothing_is_repeated() {
    let gateway = Gateway::serve().variable("RETRY_MAX", "0").start().await;
    let key = gateway.key("backpressure").create().await;
    let stage = Stage::on(&gateway, &key, "backpressure-none", |server| server).await;
    let bodies = [
        ("application/json", "{\"error\" : {\"code\":\"slow\"} }\n"),
        ("text/html", "<h1>Slow</h1>\r\n"),
    ];
    for (sent, (kind, body)) in bodies.into_iter().enumerate() {
        let wish = json!({"status": 429, "retry_after": "7", "body": body, "content_type": kind});
        // What the provider said holds for everybody, so the second one waits until then.
        let chat = stage.chat().demo(wish).bound(PATIENT);
        let (took, answer) = chat.timed().await;
        let answer = answer.expect(429);
        assert_eq!(answer.header("retry-after"), Some("7"));
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.text(), body);
        assert_eq!(answer.number("x-gateway-attempts"), 1);
        assert_eq!(took >= Duration::from_secs(6), sent > 0, "{took:?}");
    }
    let dropped = stage.chat().demo(json!({"drop_connection": true}));
    let answer = dropped.header("x-queue-timeout", "30").bound(PATIENT);
    let answer = answer
        .send()
        .await
        .expect_error(502, "upstream_unreachable");
    assert_eq!(answer.number("x-gateway-attempts"), 1);
    assert_eq!(stage.provider.ledger().chats().len(), 3);
}

async fn lost_connection_is_repeated() {
    let stage = Stage::new("backpressure-lost").await;
    for streams in [false, true] {
        let wish = json!({"drop_connection": true, "only_first": 2});
        let chat = stage.chat().field("stream", json!(streams)).demo(wish);
        let answer = chat.send().await.expect(200);
        assert_eq!(answer.number("x-gateway-attempts"), 3);
    }
    let outcomes: Vec<Outcome> = stage
        .provider
        .ledger()
        .chats()
        .iter()
        .map(|chat| chat.outcome)
        .collect();
    assert_eq!(outcomes.len(), 6, "{outcomes:?}");
    stage.idle().await;
}

/// The provider's process is replaced: its port refuses, then another one listens.
async fn server_that_comes_back_is_found() {
    let old = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = old.local_addr().expect("it is bound");
    let stage = Stage::with("backpressure-back", |server| {
        server.base_url(&format!("http://{address}"))
    })
    .await;
    let waiting = stage.chat().bound(PATIENT).spawn();
    let (dying, _) = within(SOON, "the first attempt", old.accept())
        .await
        .expect("it listens");
    drop((dying, old));
    let options = Options {
        port: address.port(),
        ..Options::default()
    };
    let new = Provider::start_with(options).expect("the port is free again");
    let answer = waiting.await.expect("an answer").expect(200);
    assert_eq!(answer.number("x-gateway-attempts"), 2);
    assert_eq!(new.ledger().chats().len(), 1);
}

async fn server_that_stays_away_is_unreachable_after_all_attempts() {
    let gone = Provider::start().base_url();
    let stage = Stage::with("backpressure-gone", |server| server.base_url(&gone)).await;
    let (took, answer) = stage.chat().timed().await;
    let answer = answer.expect_error(502, "upstream_unreachable");
    assert_eq!(answer.number("x-gateway-attempts"), 3);
    assert!(
        took >= Duration::from_millis(500),
        "there is time between the attempts: {took:?}"
    );
    let live = stage.live().await;
    assert!(
        live["paused_until"].is_null(),
        "no sign of a limit, so nobody else pauses: {live}"
    );
    stage.idle().await;
}

async fn nothing_else_is_repeated() {
    let stage = Stage::with("backpressure-once", |server| {
        server.field("upstream_timeout_ms", json!(1000))
    })
    .await;
    let wishes = [
        (json!({"status": 500}), 500),
        (json!({"status": 503, "retry_after": "1"}), 503),
        (json!({"status": 408}), 408),
        (json!({"status": 529}), 529),
        (json!({"hang": true}), 504),
        (json!({"cut_after": 2}), 200),
    ];
    for (sent, (wish, status)) in wishes.iter().enumerate() {
        let answer = stage.chat().stream().demo(wish.clone()).send().await;
        let answer = answer.expect(*status);
        assert_eq!(answer.number("x-gateway-attempts"), 1, "{wish}");
        assert_eq!(stage.provider.ledger().chats().len(), sent + 1, "{wish}");
    }
}

async fn client_that_leaves_in_a_pause_is_not_repeated() {
    let stage = Stage::new("backpressure-left").await;
    let wish = json!({"status": 429, "retry_after": "2"});
    let connection = stage.connect(&stage.numbered(1).demo(wish)).await;
    let is_paused = |live: &Value| live["paused_until"].is_string() && live["queue_length"] == 1;
    stage.live_until("the server pauses", is_paused).await;
    let left = Instant::now();
    connection.reset();
    stage.idle().await;
    assert!(
        left.elapsed() < Duration::from_secs(1),
        "it is gone before its turn"
    );
    let next = stage.numbered(2).send().await.expect(200);
    assert!(
        next.number("x-queue-wait-ms") > 0,
        "the pause holds for the others"
    );
    assert_eq!(stage.served(), [2]);
    assert_eq!(stage.provider.ledger().chats().len(), 2);
}
