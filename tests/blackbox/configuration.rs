//! 配置：五秒内处处生效。
//!
//! Measured from the admin API's answer to the first request that feels the
//! change, on an isolate that has just served the old configuration.

use std::time::{Duration, Instant};

use gateway_tests::harness::{Answer, Chat, IN_FORCE};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

pub(crate) fn trials() -> Vec<Trial> {
    crate::trials![
        server_changes_are_in_force_within_the_bound,
        key_changes_are_in_force_within_the_bound,
        answers_tell_a_growing_configuration_version,
    ]
}

/// Repeats the request until it is answered so; the bound is the issue's.
async fn in_force(what: &str, chat: impl Fn() -> Chat, is_so: impl Fn(&Answer) -> bool) {
    let changed = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = chat().send().await;
        if is_so(&answer) {
            return;
        }
        // A request that began within the bound may still have met the old configuration.
        assert!(
            asked.duration_since(changed) < IN_FORCE,
            "{what}: not within {IN_FORCE:?}: {}",
            answer.text()
        );
        tokio::time::sleep(POLL).await;
    }
}

async fn server_changes_are_in_force_within_the_bound() {
    let stage = Stage::new("config-server").await;
    stage.chat().send().await.expect(200);
    stage.patch(json!({"models": ["config-renamed"]})).await;
    in_force(
        "a model taken away",
        || stage.chat(),
        |answer| answer.code_if_error() == "model_not_found",
    )
    .await;
    let renamed = || stage.chat().model("config-renamed");
    in_force("a model added", renamed, |answer| answer.status == 200).await;

    stage.patch(json!({"enabled": false})).await;
    in_force("disabled", renamed, |answer| {
        answer.code_if_error() == "model_not_found"
    })
    .await;
    stage.patch(json!({"enabled": true})).await;
    in_force("enabled", renamed, |answer| answer.status == 200).await;

    stage.patch(json!({"api_key": "sk-upstream-second"})).await;
    let is_used = |_: &Answer| {
        let chats = stage.provider.ledger().chats();
        chats
            .last()
            .and_then(|chat| chat.header("authorization").map(str::to_owned))
            .as_deref()
            == Some("Bearer sk-upstream-second")
    };
    in_force("a new upstream key", renamed, is_used).await;

    stage.patch(json!({"rpm_limit": 12345})).await;
    let has_limit = |answer: &Answer| answer.header("x-ratelimit-limit-requests") == Some("12345");
    in_force("a limit", renamed, has_limit).await;

    stage
        .gateway
        .admin("DELETE", &stage.server.path())
        .send()
        .await
        .expect(204);
    in_force("deleted", renamed, |answer| {
        answer.code_if_error() == "model_not_found"
    })
    .await;
}

async fn key_changes_are_in_force_within_the_bound() {
    let stage = Stage::new("config-key").await;
    let key = stage.gateway.key("changing").create().await;
    let path = format!("/api/keys/{}", key.id);
    let chat = || stage.gateway.chat(&key).model(&stage.model);
    in_force("a new key", chat, |answer| answer.status == 200).await;
    let change = |change: Value| stage.gateway.admin("PATCH", &path).json(&change);
    change(json!({"models": ["config-other"]}))
        .send()
        .await
        .expect(200);
    in_force("other models", chat, |answer| {
        answer.code_if_error() == "model_not_found"
    })
    .await;
    change(json!({"models": [], "app": "billing"}))
        .send()
        .await
        .expect(200);
    in_force("an app", chat, |answer| {
        answer.code_if_error() == "app_not_allowed"
    })
    .await;
    change(json!({"app": null, "enabled": false}))
        .send()
        .await
        .expect(200);
    in_force("disabled", chat, |answer| {
        answer.code_if_error() == "invalid_api_key"
    })
    .await;
    change(json!({"enabled": true})).send().await.expect(200);
    in_force("enabled", chat, |answer| answer.status == 200).await;
    stage
        .gateway
        .admin("DELETE", &path)
        .send()
        .await
        .expect(204);
    in_force("deleted", chat, |answer| {
        answer.code_if_error() == "invalid_api_key"
    })
    .await;
}

async fn answers_tell_a_growing_configuration_version() {
    let stage = Stage::new("config-version").await;
    let before = stage
        .chat()
        .send()
        .await
        .expect(200)
        .number("x-config-version");
    stage.patch(json!({"name": "config-version-2"})).await;
    let has_grown = |answer: &Answer| answer.number("x-config-version") > before;
    in_force("a version", || stage.chat(), has_grown).await;
    let told = stage
        .gateway
        .admin("GET", "/api/config/version")
        .send()
        .await
        .expect(200)
        .json();
    assert!(told["version"].as_u64() > Some(before), "{told}");
    assert!(
        told["age_ms"].as_u64().is_some_and(|age| age <= 5000),
        "{told}"
    );
}
