//! 日志：每个请求一行，字段如约。
//!
//! What the gateway writes of the requests that it has answered: one line each, found by
//! the request's id, with the fields that the operator's handbook names.

use gateway::log::EVENTS;
use gateway_tests::harness::{Gateway, SOON};
use gateway_tests::provider::completion_text;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::stage::{PATIENT, Stage};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        every_request_leaves_one_line_with_all_its_fields,
        line_tells_how_a_request_ended,
        every_change_of_the_configuration_leaves_a_line,
        no_line_is_written_where_that_is_switched_off,
    ]
}

/// The line of an event that has this id.
async fn line(gateway: &Gateway, event: &str, request_id: &str) -> Value {
    let is_it = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["event"] == event && line["request_id"] == request_id).then_some(line)
    };
    let found = gateway.log().wait_for(SOON, is_it).await;
    found.unwrap_or_else(|| panic!("no {event} of {request_id}:\n{}", gateway.log().text()))
}

fn count(gateway: &Gateway, request_id: &str) -> usize {
    let text = gateway.log().text();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|line: &Value| line["event"] == "request" && line["request_id"] == request_id)
        .count()
}

async fn every_request_leaves_one_line_with_all_its_fields() {
    let stage = Stage::new("log-fields").await;
    let words = json!({"chunks": 3, "cached_tokens": 2});
    for (id, chat) in [
        ("log-plain", stage.chat()),
        ("log-stream", stage.chat().stream()),
    ] {
        let answer = chat.demo(words.clone()).header("x-request-id", id);
        answer.send().await.expect(200);
        let line = line(stage.gateway, "request", id).await;
        let fields: Vec<&str> = EVENTS[0].fields.to_vec();
        for field in &fields {
            assert!(line.get(field).is_some(), "{field}: {line}");
        }
        assert_eq!(
            line.as_object().map(serde_json::Map::len),
            Some(fields.len() + 1)
        );
        let is = |field: &str, value: Value| assert_eq!(line[field], value, "{field}: {line}");
        is("app", json!("blackbox"));
        is("key_id", json!(stage.key.id));
        is("server_id", json!(stage.server.id));
        is("model", json!(stage.model));
        is("endpoint", json!("/v1/chat/completions"));
        is("status", json!(200));
        is("error_code", Value::Null);
        is("stream", json!(id == "log-stream"));
        is("completion_tokens", json!(3));
        is("cached_tokens", json!(2));
        is("usage_source", json!("exact"));
        is("queue_position", json!(0));
        is("attempts", json!(1));
        let sum = line["prompt_tokens"].as_u64().map(|prompt| prompt + 3);
        assert_eq!(line["total_tokens"].as_u64(), sum, "{line}");
        let (first, all) = (line["ttft_ms"].as_u64(), line["total_ms"].as_u64());
        assert!(first.is_some() && first <= all, "{line}");
        assert_eq!(count(stage.gateway, id), 1, "one line");
    }
    let text = stage.gateway.log().text();
    assert!(!text.contains(&completion_text(3)), "no answer in the log");
}

async fn line_tells_how_a_request_ended() {
    let stage = Stage::with("log-ends", |server| {
        server.field("upstream_timeout_ms", json!(1_000))
    })
    .await;
    let retried = json!({"status": 429, "retry_after": "0", "only_first": 1});
    let ends = [
        (
            stage.chat().demo(json!({"no_usage": true})),
            200,
            Value::Null,
            "estimated",
        ),
        (
            stage.chat().demo(json!({"status": 418})),
            418,
            Value::Null,
            "",
        ),
        (
            stage.chat().demo(json!({"hang": true})),
            504,
            json!("upstream_timeout"),
            "estimated",
        ),
        (
            stage.chat().stream().demo(json!({"cut_after": 1})),
            502,
            json!("upstream_stream_truncated"),
            "estimated",
        ),
        (stage.chat().demo(retried), 200, Value::Null, "exact"),
        (
            stage.chat().model("log-absent"),
            404,
            json!("model_not_found"),
            "",
        ),
        (stage.chat().body("{"), 400, json!("invalid_json"), ""),
        (
            stage.chat().without("app-name"),
            400,
            json!("missing_app_name"),
            "",
        ),
        (
            stage.chat().header("authorization", "Bearer no"),
            401,
            json!("invalid_api_key"),
            "",
        ),
    ];
    for (number, (chat, status, code, source)) in ends.into_iter().enumerate() {
        let id = format!("log-end-{number}");
        chat.header("x-request-id", &id).send().await;
        let line = line(stage.gateway, "request", &id).await;
        assert_eq!(
            (&line["status"], &line["error_code"]),
            (&json!(status), &code),
            "{line}"
        );
        let told = line["usage_source"].as_str().unwrap_or_default();
        assert_eq!(told, source, "{line}");
    }

    stage.patch(json!({"rpm_limit": 0})).await;
    let late = stage.chat().header("x-queue-timeout", "0.1");
    late.header("x-request-id", "log-late")
        .send()
        .await
        .expect(504);
    let late = line(stage.gateway, "request", "log-late").await;
    assert_eq!(late["error_code"], "queue_timeout", "{late}");
    assert!(late["queue_wait_ms"].as_u64() >= Some(100), "{late}");
    assert_eq!(
        (&late["attempts"], &late["total_tokens"]),
        (&json!(0), &Value::Null)
    );
    let waiting = stage
        .chat()
        .header("x-request-id", "log-left")
        .bound(PATIENT);
    let waiting = stage.connect(&waiting).await;
    stage.queue_length(1).await;
    waiting.reset();
    let left = line(stage.gateway, "request", "log-left").await;
    assert_eq!(
        (&left["status"], &left["error_code"]),
        (&json!(499), &Value::Null),
        "{left}"
    );
}

async fn every_change_of_the_configuration_leaves_a_line() {
    let stage = Stage::new("log-admin").await;
    let patch = |id: &str| {
        let request = stage.gateway.admin("PATCH", &stage.server.path());
        request.header("x-request-id", id)
    };
    patch("log-change")
        .json(&json!({"rpm_limit": 5}))
        .send()
        .await
        .expect(200);
    let line_of = async |id| line(stage.gateway, "admin", id).await;
    assert_eq!(
        line_of("log-change").await,
        json!({"event": "admin", "request_id": "log-change", "actor": "admin", "method": "PATCH",
               "path": stage.server.path(), "status": 200, "error_code": null})
    );
    patch("log-bad")
        .json(&json!({"rpm_limit": -5}))
        .send()
        .await
        .expect(422);
    assert_eq!(line_of("log-bad").await["error_code"], "invalid_field");
    let viewer = patch("log-viewer").token(stage.gateway.viewer_token());
    viewer.json(&json!({})).send().await.expect(403);
    let viewer = line_of("log-viewer").await;
    assert_eq!(
        (&viewer["actor"], &viewer["status"]),
        (&json!("viewer"), &json!(403))
    );
    let nobody = patch("log-nobody").anonymous();
    nobody.json(&json!({})).send().await.expect(401);
    let nobody = line_of("log-nobody").await;
    assert_eq!(
        (&nobody["actor"], &nobody["status"]),
        (&Value::Null, &json!(401))
    );
    let read = stage.gateway.admin("GET", &stage.server.path());
    read.header("x-request-id", "log-read")
        .send()
        .await
        .expect(200);
    patch("log-after").json(&json!({})).send().await.expect(200);
    line_of("log-after").await;
    assert!(
        !stage.gateway.log().text().contains("log-read"),
        "reading leaves no line"
    );
}

async fn no_line_is_written_where_that_is_switched_off() {
    let gateway = Gateway::serve()
        .variable("LOG_REQUESTS", "off")
        .start()
        .await;
    let key = gateway.key("quiet").create().await;
    let stage = Stage::on(&gateway, &key, "quiet", |draft| draft).await;
    stage
        .chat()
        .header("x-request-id", "log-quiet")
        .send()
        .await
        .expect(200);
    stage
        .chat()
        .body("{")
        .header("x-request-id", "log-quiet")
        .send()
        .await
        .expect(400);
    // What comes later is there.
    stage.patch(json!({"rpm_limit": 5})).await;
    let is_change = |line: &str| line.contains("\"PATCH\"").then_some(());
    assert!(gateway.log().wait_for(SOON, is_change).await.is_some());
    assert_eq!(count(&gateway, "log-quiet"), 0);
}
