//! 校验的测试：请求体、服务器、密钥、任意输入。
//!
//! Tests of the validation of bodies, servers, keys and arbitrary input.

mod arbitrary;
mod key;
mod server;

use admission::time::Instant;
use serde_json::{Value, json};

use super::*;
use crate::error::{ErrorCode, GatewayError};

const HTTPS_ONLY: Rules = Rules {
    allow_http_upstream: false,
    allow_private_upstream: false,
    own_url: None,
};

fn server() -> Value {
    json!({"name": "openai", "base_url": "https://api.openai.com/v1", "models": ["gpt-*"], "api_key": "sk-1"})
}

/// The object with other values for some fields; a field set to `"<absent>"` is removed.
fn with(mut object: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        if value == "<absent>" {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn create(body: &Value) -> Result<ServerCreate, GatewayError> {
    ServerCreate::parse(body.to_string().as_bytes(), HTTPS_ONLY)
}

fn replace(body: &Value) -> Result<ServerReplace, GatewayError> {
    ServerReplace::parse(body.to_string().as_bytes(), HTTPS_ONLY)
}

fn patch(body: &Value) -> Result<ServerPatch, GatewayError> {
    ServerPatch::parse(body.to_string().as_bytes(), HTTPS_ONLY)
}

fn key(body: &Value) -> Result<KeyCreate, GatewayError> {
    KeyCreate::parse(
        body.to_string().as_bytes(),
        Instant::from_millis(1_795_420_800_000),
    )
}

#[track_caller]
fn refused<T: core::fmt::Debug>(result: Result<T, GatewayError>, param: &str) -> String {
    let error = result.unwrap_err();
    assert_eq!(
        (error.code, error.param.as_deref()),
        (ErrorCode::InvalidField, Some(param)),
        "{error:?}"
    );
    assert!(error.message.contains(param), "{error:?}");
    error.message.into_owned()
}

#[test]
fn a_message_never_quotes_an_api_key() {
    for body in [
        json!({"api_key": "sk-canary with space"}),
        json!({"name": {"api_key": "sk-canary"}}),
    ] {
        let error = patch(&body).unwrap_err();
        assert!(!format!("{error:?}").contains("canary"));
    }
    let error = ServerPatch::parse(br#"{"api_key": "sk-canary"#, HTTPS_ONLY).unwrap_err();
    assert!(!format!("{error:?}").contains("canary"));
    let error = ServerPatch::parse(br#""sk-canary""#, HTTPS_ONLY).unwrap_err();
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn the_first_failing_field_of_the_object_answers_then_unknown_then_missing_ones() {
    refused(
        create(&json!({"queue_max": -1, "models": [], "zzz": 1, "enabled": 0})),
        "models",
    );
    refused(create(&json!({"zzz": 1, "enabled": true})), "zzz");
    refused(create(&json!({"enabled": true})), "name");
}

#[test]
fn unknown_fields_are_refused_by_name_which_is_cut_to_a_safe_length() {
    refused(create(&with(server(), &json!({"nmae": 1}))), "nmae");
    refused(patch(&json!({"nmae": 1})), "nmae");
    let error = patch(&json!({ "x".repeat(10_000): 1 })).unwrap_err();
    assert_eq!(error.param.unwrap().len(), 64);
}

#[test]
fn a_field_that_appears_twice_is_refused_also_when_it_is_escaped() {
    for body in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"name":"a","\u006eame":"a"}"#,
    ] {
        let message = refused(ServerPatch::parse(body.as_bytes(), HTTPS_ONLY), "name");
        assert!(message.contains("more than once"));
    }
}

#[test]
fn a_body_that_is_no_json_object_is_invalid_json() {
    for body in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "1",
        "\"a\"",
        "{} x",
        "{\"a\":}",
        "{a:1}",
        "\u{feff}{}",
        "{\"name\":\"\\ud800\"}",
    ] {
        let error = ServerPatch::parse(body.as_bytes(), HTTPS_ONLY).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidJson, "{body}");
    }
    assert_eq!(
        ServerPatch::parse(b"{\"name\":\"\xff\"}", HTTPS_ONLY)
            .unwrap_err()
            .code,
        ErrorCode::InvalidJson
    );
    let nested = |depth: usize| {
        let body = format!("{{\"name\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        ServerPatch::parse(body.as_bytes(), HTTPS_ONLY)
            .unwrap_err()
            .code
    };
    assert_eq!(nested(20_000), ErrorCode::InvalidJson);
    // The object itself is one level.
    assert_eq!(
        nested(crate::depth::ADMIN_DEPTH_MAX),
        ErrorCode::InvalidJson
    );
    assert_eq!(
        nested(crate::depth::ADMIN_DEPTH_MAX - 1),
        ErrorCode::InvalidField
    );
}

#[test]
fn a_body_over_its_bound_is_too_large() {
    let body = format!("{{\"name\":\"a\"{}}}", " ".repeat(bounds::BODY_BYTES_MAX));
    assert_eq!(
        ServerPatch::parse(body.as_bytes(), HTTPS_ONLY)
            .unwrap_err()
            .code,
        ErrorCode::BodyTooLarge
    );
}

#[test]
fn the_largest_legal_bodies_fit_the_bound() {
    let ids: Vec<String> = (0..bounds::SERVERS_LEN_MAX)
        .map(|_| server_id([0xff; 12]))
        .collect();
    assert!(json!({ "ids": ids }).to_string().len() <= bounds::BODY_BYTES_MAX);
    let models: Vec<String> = (0..bounds::MODELS_LEN_MAX)
        .map(|n| format!("{n:0128}"))
        .collect();
    assert!(json!({ "models": models }).to_string().len() <= bounds::BODY_BYTES_MAX);
}
