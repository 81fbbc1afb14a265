//! 应答：状态、正文与头原样回来，秘密除外。
//!
//! The way back: what of the provider's answer reaches the client unchanged, what
//! is replaced by the gateway's own, and what is never let through.

use gateway_tests::harness::SOON;
use gateway_tests::provider::Provider;
use libtest_mimic::Trial;
use serde_json::json;

use crate::stage::Stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        upstream_statuses_and_bodies_come_back_unchanged,
        upstream_headers_that_are_the_gateways_are_replaced,
        redirect_is_passed_on_and_not_followed,
        server_key_quoted_by_the_upstream_is_redacted,
        answers_carry_the_gateways_headers,
        compressed_answer_is_readable_and_counted,
        plain_answer_to_a_streaming_request_is_left_alone,
        plain_answer_cut_in_the_middle_is_not_passed_off_as_whole,
    ]
}

async fn upstream_statuses_and_bodies_come_back_unchanged() {
    let stage = Stage::new("answer-statuses").await;
    let bodies = [
        (
            "application/json",
            "{\"error\" : {\"message\":\"no\u{e9}\",\"code\":\"odd\"} }\n",
        ),
        ("application/problem+json; charset=utf-8", "{ }"),
        ("text/html", "<h1>Bad</h1>\r\n"),
        ("text/plain; charset=iso-8859-1", "plain text, no JSON"),
    ];
    // A 429 is another matter: see `backpressure`.
    for status in [400, 401, 404, 500, 503] {
        for (content_type, body) in bodies {
            for streaming in [false, true] {
                let wish = json!({"status": status, "body": body, "content_type": content_type});
                let chat = stage.chat().demo(wish).field("stream", json!(streaming));
                let answer = chat.send().await.expect(status);
                assert_eq!(answer.text(), body);
                assert_eq!(answer.header("content-type"), Some(content_type));
                assert_eq!(answer.header("x-gateway-server"), Some("answer-statuses"));
            }
        }
    }
    let wish =
        json!({"status": 503, "retry_after": "7", "headers": {"openai-processing-ms": "12"}});
    let answer = stage.chat().demo(wish).send().await.expect(503);
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.header("openai-processing-ms"), Some("12"));
}

async fn upstream_headers_that_are_the_gateways_are_replaced() {
    let stage = Stage::with("answer-replaced", |server| server.rpm(1000)).await;
    let theirs = json!({
        "set-cookie": "a=b",
        "x-request-id": "theirs",
        "x-gateway-server": "theirs",
        "x-ratelimit-limit-requests": "1",
        "x-ratelimit-limit-tokens": "1",
        "x-queue-wait-ms": "99999",
        "x-custom": "kept",
    });
    let answer = stage
        .chat()
        .demo(json!({"headers": theirs}))
        .send()
        .await
        .expect(200);
    assert_eq!(answer.header("set-cookie"), None);
    assert_ne!(answer.header("x-request-id"), Some("theirs"));
    assert_eq!(answer.header("x-gateway-server"), Some("answer-replaced"));
    assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("1000"));
    assert_ne!(answer.header("x-ratelimit-limit-tokens"), Some("1"));
    assert!(answer.number("x-queue-wait-ms") < 99_999);
    assert_eq!(answer.header("x-custom"), Some("kept"));
}

async fn redirect_is_passed_on_and_not_followed() {
    let stage = Stage::new("answer-redirect").await;
    let elsewhere = Provider::start();
    for status in [301, 302, 303, 307, 308] {
        let location = format!("{}/chat/completions", elsewhere.base_url());
        let wish = json!({"status": status, "body": "moved", "headers": {"location": location}});
        let answer = stage.chat().demo(wish).send().await.expect(status);
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert_eq!(answer.text(), "moved");
    }
    assert!(
        elsewhere.ledger().entries().is_empty(),
        "the key must not travel to where a redirect points"
    );
}

async fn server_key_quoted_by_the_upstream_is_redacted() {
    let stage = Stage::new("answer-redacted").await;
    let secret = stage.server.api_key.clone();
    for (stream, behaviour) in [
        (false, json!({"quote_authorization": true})),
        (false, json!({"quote_authorization": true, "status": 401})),
        (true, json!({"quote_authorization": true})),
        (true, json!({"quote_authorization": true, "split_bytes": 1})),
        (
            true,
            json!({"quote_authorization": true, "split_bytes": 11, "crlf": true}),
        ),
        (true, json!({"quote_authorization": true, "cut_after": 3})),
    ] {
        let answer = stage
            .chat()
            .field("stream", json!(stream))
            .demo(behaviour.clone())
            .send()
            .await;
        let text = answer.text();
        assert!(
            !text.contains(&secret),
            "{behaviour}: the key came out: {text}"
        );
        assert!(text.contains("[redacted]"), "{behaviour}: {text}");
        if stream {
            let quoted = answer.events()[0].json()["choices"][0]["delta"]["content"].clone();
            assert_eq!(
                quoted, "you sent Bearer [redacted]",
                "the rest of the event stays"
            );
        }
    }
}

async fn answers_carry_the_gateways_headers() {
    let stage = Stage::with("answer-headers", |server| server.rpm(1000).tpm(1_000_000)).await;
    for streaming in [false, true] {
        let chat = stage
            .chat()
            .field("stream", json!(streaming))
            .header("x-request-id", "my.request_id-1");
        let answer = chat.send().await.expect(200);
        assert_eq!(answer.header("x-request-id"), Some("my.request_id-1"));
        assert_eq!(answer.header("x-gateway-server"), Some("answer-headers"));
        assert_eq!(answer.number("x-queue-position"), 0);
        assert_eq!(answer.number("x-queue-wait-ms"), 0);
        assert!(answer.number("x-config-version") > 0);
        answer.number("x-gateway-overhead-ms");
        assert_eq!(answer.number("x-ratelimit-limit-requests"), 1000);
        assert!(answer.number("x-ratelimit-remaining-requests") < 1000);
        assert_eq!(answer.number("x-ratelimit-limit-tokens"), 1_000_000);
        assert!(answer.number("x-ratelimit-remaining-tokens") < 1_000_000);
        for name in ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"] {
            let reset = answer.header(name).unwrap_or_else(|| panic!("no {name}"));
            assert!(
                reset.ends_with('s') && reset.starts_with(|c: char| c.is_ascii_digit()),
                "{name}: {reset}"
            );
        }
    }
    let long = "x".repeat(65);
    for odd in ["", "has space", "semi;colon", long.as_str()] {
        let answer = stage
            .chat()
            .header("x-request-id", odd)
            .send()
            .await
            .expect(200);
        let id = answer.header("x-request-id").expect("an id");
        assert!(
            id != odd && !id.is_empty() && id.len() <= 64,
            "{odd:?} became {id:?}"
        );
    }
    let refused = stage
        .chat()
        .model("no-such-model")
        .header("x-request-id", "mine")
        .send()
        .await;
    let refused = refused.expect_error(404, "model_not_found");
    assert_eq!(refused.header("x-request-id"), Some("mine"));
    refused.number("x-gateway-overhead-ms");
    refused.number("x-config-version");
}

async fn compressed_answer_is_readable_and_counted() {
    let stage = Stage::with("answer-gzip", |server| server.tpm(100_000)).await;
    for accepts in ["gzip, br", "identity"] {
        let chat = stage.chat().header("accept-encoding", accepts);
        let wish = json!({"gzip": true, "chunks": 4, "quote_authorization": true});
        let answer = chat.demo(wish).send().await.expect(200);
        // The client here never decodes, so what is not labelled must be plain.
        assert_eq!(answer.header("content-encoding"), None, "{accepts}");
        let content = answer.json()["choices"][0]["message"]["content"].clone();
        assert_eq!(content, "you sent Bearer [redacted] waits behind the");
    }
    stage
        .live_until("both counted", |live| live["tpm_used"] == 20)
        .await;
}

async fn plain_answer_to_a_streaming_request_is_left_alone() {
    let stage = Stage::new("answer-unstreamed").await;
    let body =
        "{\"object\": \"chat.completion\", \"choices\": [], \"usage\": {\"total_tokens\": 1}}";
    let wish = json!({"body": body, "content_type": "application/json"});
    let answer = stage.chat().stream().demo(wish).send().await.expect(200);
    assert_eq!(
        answer.text(),
        body,
        "no error event after an answer that is no stream"
    );
}

async fn plain_answer_cut_in_the_middle_is_not_passed_off_as_whole() {
    let stage = Stage::new("answer-cut").await;
    let stream = stage.chat().demo(json!({"cut_after": 1})).open().await;
    if stream.status == 200 {
        let rest = stream.rest(SOON).await;
        assert!(rest.is_err(), "the half came as if it were whole: {rest:?}");
    }
    stage
        .live_until("nothing in flight", |live| live["in_flight"] == 0)
        .await;
    stage.chat().send().await.expect(200);
}
