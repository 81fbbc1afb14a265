//! 同一网关在 wrangler dev 里。
//!
//! A handful of the same promises where Cloudflare's own development server runs
//! the Worker, with wiremock as the provider: another runtime in front and
//! another server behind than in all other tests.

use std::time::Duration;

use gateway_tests::harness::{APP, Gateway, Key, SOON, sse_events};
use libtest_mimic::Trial;
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![wrangler_dev_serves_chats_streams_admin_and_queue]
}

/// One test in steps: a second `wrangler dev` would cost more than it shows.
async fn wrangler_dev_serves_chats_streams_admin_and_queue() {
    let gateway = Gateway::dev().start().await;
    gateway.request("GET", "/health").send().await.expect(200);
    pages_and_their_headers_are_those_of_plain_workerd(&gateway).await;
    let key = gateway.key("dev").create().await;
    plain_chat_arrives_as_it_was_sent(&gateway, &key).await;
    stream_loses_only_the_usage_chunk(&gateway, &key).await;
    admin_api_works(&gateway).await;
    cron_and_usage_work(&gateway).await;
    requests_wait_for_their_turn(&gateway, &key).await;
}

async fn pages_and_their_headers_are_those_of_plain_workerd(dev: &Gateway) {
    let serve = crate::stage::gateway().await;
    for path in [
        "/",
        "/docs",
        "/docs/page.css",
        "/openapi.json",
        "/docs/",
        "/docs.html",
    ] {
        let expected = serve.request("GET", path).send().await;
        let answer = dev.request("GET", path).send().await;
        assert_eq!(answer.status, expected.status, "{path}");
        for name in [
            "content-type",
            "location",
            "content-security-policy",
            "x-frame-options",
            "cross-origin-opener-policy",
        ] {
            assert_eq!(
                answer.header(name),
                expected.header(name),
                "{name} of {path}"
            );
        }
    }
}

async fn plain_chat_arrives_as_it_was_sent(gateway: &Gateway, key: &Key) {
    let upstream = MockServer::start().await;
    let answer = json!({"id": "1", "object": "chat.completion", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let sent = json!({"model": "dev-plain", "x_unknown": [1, 2, 3], "messages": []});
    Mock::given(method("POST"))
        .and(path("/chat/completions"))
        .and(header(
            "authorization",
            "Bearer sk-upstream-dev-plain-4f9c2a71e0d85b36",
        ))
        .and(body_json(&sent))
        .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
        .expect(1)
        .mount(&upstream)
        .await;
    gateway
        .server("dev-plain")
        .base_url(&upstream.uri())
        .model("dev-plain")
        .create()
        .await;
    gateway.in_force().await;
    let got = gateway
        .chat(key)
        .body(sent.to_string())
        .send()
        .await
        .expect(200);
    assert_eq!(got.json(), answer);
    assert_eq!(got.header("x-gateway-server"), Some("dev-plain"));
    assert_eq!(got.number("x-queue-position"), 0);
    for request in upstream.received_requests().await.unwrap_or_default() {
        let is_private = |value: &str| value.contains(APP) || value.contains(&key.secret);
        assert!(
            !request
                .headers
                .values()
                .any(|value| value.to_str().is_ok_and(is_private)),
            "{request:?}"
        );
    }
    upstream.verify().await;
}

async fn stream_loses_only_the_usage_chunk(gateway: &Gateway, key: &Key) {
    let upstream = MockServer::start().await;
    let word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}\n\n";
    let end = "data: [DONE]\n\n";
    let body = format!("{word}{usage}{end}");
    let sent =
        json!({"model": "dev-stream", "stream": true, "stream_options": {"include_usage": true}});
    Mock::given(method("POST"))
        .and(body_json(&sent))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body.clone(), "text/event-stream"))
        .mount(&upstream)
        .await;
    gateway
        .server("dev-stream")
        .base_url(&upstream.uri())
        .model("dev-stream")
        .create()
        .await;
    gateway.in_force().await;
    let silent = json!({"model": "dev-stream", "stream": true});
    let got = gateway
        .chat(key)
        .body(silent.to_string())
        .send()
        .await
        .expect(200);
    assert_eq!(got.text(), format!("{word}{end}"));
    let got = gateway
        .chat(key)
        .body(sent.to_string())
        .send()
        .await
        .expect(200);
    assert_eq!(got.text(), body);
    assert_eq!(sse_events(&got.body).len(), 3);
}

async fn admin_api_works(gateway: &Gateway) {
    let server = gateway
        .server("dev-admin")
        .base_url("https://example.com")
        .model("dev-admin")
        .create()
        .await;
    let path = server.path();
    let patched = gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": 3}))
        .send()
        .await
        .expect(200);
    assert_eq!(patched.json()["rpm_limit"], 3);
    let stale = gateway
        .admin("PATCH", &path)
        .header("if-match", "\"1\"")
        .json(&json!({"rpm_limit": 4}));
    stale.send().await.expect_error(409, "version_conflict");
    gateway
        .admin("PATCH", &path)
        .json(&json!({"rpm_limit": "x"}))
        .send()
        .await
        .expect_error(422, "invalid_field");
    gateway.admin("DELETE", &path).send().await.expect(204);
    gateway
        .admin("GET", &path)
        .send()
        .await
        .expect_error(404, "not_found");
}

async fn cron_and_usage_work(gateway: &Gateway) {
    let fire = "/cdn-cgi/handler/scheduled?cron=*+*+*+*+*";
    gateway.request("GET", fire).send().await.expect(200);
    let report = gateway.admin("GET", "/api/stats/usage?granularity=day");
    assert!(report.send().await.expect(200).json()["totals"].is_object());
    let csv = gateway
        .admin("GET", "/api/logs.csv")
        .send()
        .await
        .expect(200);
    assert!(csv.text().starts_with("request_id,started_at,"));
}

async fn requests_wait_for_their_turn(gateway: &Gateway, key: &Key) {
    let upstream = MockServer::start().await;
    let answer = ResponseTemplate::new(200)
        .set_body_json(json!({"choices": []}))
        .set_delay(Duration::from_millis(300));
    Mock::given(method("POST"))
        .respond_with(answer)
        .mount(&upstream)
        .await;
    let server = gateway
        .server("dev-queue")
        .base_url(&upstream.uri())
        .model("dev-queue");
    let server = server
        .field("max_concurrency", json!(1))
        .field("queue_timeout_ms", json!(60_000))
        .create()
        .await;
    gateway.in_force().await;
    let chat = || gateway.chat(key).model("dev-queue").bound(SOON * 3);
    let chats: Vec<_> = (0..4).map(|_| chat().spawn()).collect();
    let mut positions = Vec::new();
    for chat in chats {
        positions.push(
            chat.await
                .expect("no panic")
                .expect(200)
                .number("x-queue-position"),
        );
    }
    positions.sort_unstable();
    assert_eq!(
        positions,
        [0, 1, 2, 3],
        "one at a time, the others in a queue"
    );
    gateway
        .admin("PATCH", &server.path())
        .json(&json!({"rpm_limit": 0, "queue_timeout_ms": 1000}))
        .send()
        .await
        .expect(200);
    gateway.in_force().await;
    chat().send().await.expect_error(504, "queue_timeout");
}
