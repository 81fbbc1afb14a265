//! 管理接口：增删改查，逐字段校验，不丢更新，不露秘密。
//!
//! The control plane as its client sees it. Tests that list everything start a
//! gateway of their own.

mod access;
mod audit;
mod objects;
mod server_test;
mod validation;

use gateway_tests::harness::{Answer, Gateway};
use libtest_mimic::Trial;
use serde_json::{Value, json};

pub(crate) fn trials() -> Vec<Trial> {
    let trials = [
        objects::trials(),
        validation::trials(),
        access::trials(),
        audit::trials(),
        server_test::trials(),
    ];
    trials.into_iter().flatten().collect()
}

fn draft(name: &str) -> Value {
    json!({"name": name, "base_url": "https://api.example.com/v1", "models": [name], "api_key": "sk-admin-test-98765"})
}

fn with(mut draft: Value, field: &str, value: Value) -> Value {
    draft[field] = value;
    draft
}

async fn create(gateway: &Gateway, body: &Value) -> Value {
    gateway
        .admin("POST", "/api/servers")
        .json(body)
        .send()
        .await
        .expect(201)
        .json()
}

/// Requires 422 `invalid_field` that names the field.
#[track_caller]
fn names(answer: Answer, field: &str, what: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (422, "invalid_field"),
        "{what}: {}",
        answer.text()
    );
    let answer = answer.expect_error(422, "invalid_field");
    assert_eq!(answer.json()["error"]["param"], field, "{what}");
}
