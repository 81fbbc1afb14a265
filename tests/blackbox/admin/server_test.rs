//! 试连：真实后端说什么，管理员就看到什么。
//!
//! `POST /api/servers/{id}/test` against the demo provider and against backends that
//! misbehave.

use std::time::Duration;

use gateway_tests::harness::Server;
use gateway_tests::provider::{Options, Provider};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::stage;

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        test_lists_the_models_of_the_backend_with_the_stored_key,
        test_says_what_is_wrong_and_never_shows_the_key,
        test_gives_up_on_a_backend_that_does_not_answer,
    ]
}

async fn test(server: &Server) -> Value {
    let gateway = stage::gateway().await;
    let run = gateway.admin("POST", &format!("{}/test", server.path()));
    let answer = run.send().await.expect(200);
    assert!(
        !answer.text().contains(&server.api_key),
        "{}",
        answer.text()
    );
    answer.json()
}

/// A server before a backend that answers `GET /v1/models` so.
async fn before(name: &str, answer: ResponseTemplate) -> (MockServer, Server) {
    let backend = MockServer::start().await;
    let models = Mock::given(method("GET")).and(path("/v1/models"));
    models.respond_with(answer).mount(&backend).await;
    let gateway = stage::gateway().await;
    let base_url = format!("{}/v1", backend.uri());
    let draft = gateway.server(name).base_url(&base_url).model(name);
    let server = draft.create().await;
    (backend, server)
}

async fn test_lists_the_models_of_the_backend_with_the_stored_key() {
    let gateway = stage::gateway().await;
    let options = Options {
        models: vec!["tested-a".to_owned(), "tested-b".to_owned()],
        ..Options::default()
    };
    let provider = Provider::start_with(options).expect("a loopback port is free");
    let draft = gateway
        .server("tested")
        .provider(&provider)
        .model("tested-a");
    // Paused: a test of the connection needs no permit and waits for nobody.
    let draft = draft.model("tested-c").model("tested-*").rpm(0);
    let server = draft.create().await;
    let tested = test(&server).await;
    assert_eq!(
        (&tested["ok"], &tested["status"]),
        (&json!(true), &json!(200))
    );
    assert_eq!(tested["models"], json!(["tested-a", "tested-b"]));
    assert_eq!(tested["missing_models"], json!(["tested-c"]));
    assert_eq!(tested["error"], Value::Null);
    assert!(tested["latency_ms"].is_u64(), "{tested}");
    let asked = provider.ledger().entries();
    let asked = asked.last().expect("the provider was asked");
    let sent = format!("Bearer {}", server.api_key);
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("GET", "/models")
    );
    assert_eq!(asked.header("authorization"), Some(sent.as_str()));

    let path = format!("{}/test", server.path());
    let viewer = gateway.admin("POST", &path).token(gateway.viewer_token());
    viewer.send().await.expect_error(403, "forbidden");
    let unknown = gateway.admin("POST", "/api/servers/srv_none/test");
    unknown.send().await.expect_error(404, "not_found");
}

async fn test_says_what_is_wrong_and_never_shows_the_key() {
    // As `ServerDraft` makes it.
    let quoted = "sk-upstream-tested-401-4f9c2a71e0d85b36";
    let message = json!({"error": {"message": format!("Incorrect API key: {quoted}")}});
    let cases = [
        (
            "tested-401",
            ResponseTemplate::new(401).set_body_json(&message),
            "[redacted]",
        ),
        (
            "tested-302",
            ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
            "redirects",
        ),
        (
            "tested-html",
            ResponseTemplate::new(200).set_body_string("<html>"),
            "no list of models",
        ),
        ("tested-500", ResponseTemplate::new(500), "failed"),
        (
            "tested-huge",
            ResponseTemplate::new(200).set_body_string(" ".repeat(2 << 20)),
            "longer",
        ),
    ];
    for (name, answer, words) in cases {
        let (backend, server) = before(name, answer).await;
        let tested = test(&server).await;
        let error = tested["error"].as_str().unwrap_or_default();
        assert!(
            tested["ok"] == false && error.contains(words),
            "{name}: {tested}"
        );
        assert_eq!(
            (&tested["models"], &tested["missing_models"]),
            (&Value::Null, &json!([]))
        );
        let asked = backend.received_requests().await.unwrap_or_default();
        assert_eq!(asked.len(), 1, "{name}: nothing is followed or repeated");
    }
    let gateway = stage::gateway().await;
    let refused = gateway
        .server("tested-none")
        .base_url("http://127.0.0.1:9/v1");
    let refused = test(&refused.model("tested-none").create().await).await;
    let error = refused["error"].as_str().unwrap_or_default();
    assert!(error.contains("cannot be reached"), "{refused}");
    assert_eq!(refused["status"], Value::Null);
}

async fn test_gives_up_on_a_backend_that_does_not_answer() {
    let late = ResponseTemplate::new(200).set_delay(Duration::from_mins(1));
    let (_backend, server) = before("tested-late", late).await;
    let tested = test(&server).await;
    let error = tested["error"].as_str().unwrap_or_default();
    assert!(error.contains("within 10 s"), "{tested}");
    let latency = tested["latency_ms"].as_u64().unwrap_or_default();
    assert!((9_900..15_000).contains(&latency), "{tested}");
}
