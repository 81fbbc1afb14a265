//! 指标：与日志同数，重启不清零，上游与对象的状况可见。
//!
//! What `GET /metrics` says of requests that the test itself made. Numbers are judged against what was sent.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use serde_json::json;

use crate::stage::{Stage, faulty_gateway};

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![metrics_count_what_happened_and_survive_a_reset_of_the_limiter]
}

/// The samples of one server: name and labels without it, and the value.
async fn samples(stage: &Stage<'_>) -> BTreeMap<String, String> {
    let gateway = stage.gateway;
    let answer = gateway.admin("GET", "/metrics").send().await.expect(200);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    let server = format!("server=\"{}\"", stage.server.id);
    let text = answer.text();
    text.lines()
        .filter(|line| line.contains(&server))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let name = name
                .replace(&format!("{server},"), "")
                .replace(&format!("{{{server}}}"), "");
            (name, value.to_owned())
        })
        .collect()
}

fn value<'a>(samples: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    let found = samples.get(name);
    found.unwrap_or_else(|| panic!("no {name} in {samples:#?}"))
}

async fn metrics_count_what_happened_and_survive_a_reset_of_the_limiter() {
    let stage = Stage::faulty("metrics", |server| server.field("rpm_limit", json!(1_000))).await;
    let cost = json!({"prompt_tokens": 90, "chunks": 10});
    for _ in 0..3 {
        stage.chat().demo(cost.clone()).send().await.expect(200);
    }
    stage.chat().stream().demo(cost).send().await.expect(200);
    stage
        .chat()
        .demo(json!({"status": 500}))
        .send()
        .await
        .expect(500);
    stage
        .live_until("all are settled", |live| live["in_flight"] == 0)
        .await;

    let before = samples(&stage).await;
    let counted = |name: &str| value(&before, name);
    assert_eq!(counted("sluice_requests_total{outcome=\"ok\"}"), "4");
    assert_eq!(
        counted("sluice_requests_total{outcome=\"server_error\"}"),
        "1"
    );
    assert_eq!(counted("sluice_tokens_total{kind=\"prompt\"}"), "360");
    assert_eq!(counted("sluice_tokens_total{kind=\"completion\"}"), "40");
    assert_eq!(counted("sluice_request_duration_seconds_count"), "5");
    assert_eq!(
        counted("sluice_queue_wait_seconds_bucket{le=\"+Inf\"}"),
        "5"
    );
    assert_eq!(counted("sluice_limit_requests_per_minute"), "1000");
    assert_eq!(counted("sluice_window_requests"), "5");
    assert_eq!(counted("sluice_limiter_up"), "1");

    let path = format!("/api/faults/limiter/{}/reset", stage.server.id);
    faulty_gateway()
        .await
        .admin("POST", &path)
        .send()
        .await
        .expect(204);
    stage.chat().send().await.expect(200);
    stage
        .live_until("it is settled", |live| live["in_flight"] == 0)
        .await;
    let after = samples(&stage).await;
    assert_eq!(value(&after, "sluice_requests_total{outcome=\"ok\"}"), "5");
    assert_eq!(value(&after, "sluice_request_duration_seconds_count"), "6");
}
