//! 错误应答：每个操作可能的状态与代码。
//!
//! Owns how the codes of `error` become responses of the OpenAPI document: one shape, and per status the codes
//! that the operation can give. Operations with the same codes share one component.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::operation::Components;
use crate::error::ErrorCode;
use crate::routes::Access;

/// What whoever asks for access can be told.
pub(super) fn of_access(access: Access) -> Vec<ErrorCode> {
    use ErrorCode as Code;
    match access {
        Access::Public => vec![],
        Access::Client => vec![
            Code::InvalidApiKey,
            Code::MissingAppName,
            Code::InvalidAppName,
            Code::AppNotAllowed,
            Code::StorageUnavailable,
            Code::NotConfigured,
            Code::InternalError,
        ],
        Access::Viewer => vec![
            Code::Unauthorized,
            Code::TooManyAttempts,
            Code::StorageUnavailable,
            Code::NotConfigured,
            Code::InternalError,
        ],
        Access::Admin => vec![
            Code::Unauthorized,
            Code::Forbidden,
            Code::TooManyAttempts,
            Code::StorageUnavailable,
            Code::NotConfigured,
            Code::InternalError,
        ],
    }
}

/// What whoever sends these parameters can be told.
pub(super) fn of_parameters(parameters: &[&str]) -> Vec<ErrorCode> {
    let mut codes = Vec::new();
    if parameters
        .iter()
        .any(|name| !matches!(*name, "App-Name" | "X-Request-Id"))
    {
        codes.push(ErrorCode::InvalidField);
    }
    if parameters.contains(&"If-Match") {
        codes.push(ErrorCode::VersionConflict);
    }
    codes
}

/// The codes of each status, each once, in the order of the table.
pub(super) fn by_status(codes: &[ErrorCode]) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut statuses: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in ErrorCode::ALL.iter().filter(|code| codes.contains(code)) {
        statuses.entry(code.status()).or_default().push(*code);
    }
    statuses
}

/// A reference to the response with these codes, which all have one status.
pub(super) fn response(codes: &[ErrorCode], upstream: bool, components: &mut Components) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let suffix = if upstream { ".or_upstream" } else { "" };
    let name = format!("{}{suffix}", names.join("."));
    let own = json!({
        "allOf": [
            {"$ref": "#/components/schemas/Error"},
            {"properties": {"error": {"properties": {"code": {"enum": names}}}}},
        ]
    });
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (description, content) = if upstream {
        (
            format!("{}, or the server's own answer as it is", listed.join(", ")),
            json!({
                "application/json": {"schema": {"anyOf": [own, {"$ref": "#/components/schemas/UpstreamAnswer"}]}},
                "*/*": {"schema": {"$ref": "#/components/schemas/UpstreamAnswer"}},
            }),
        )
    } else {
        (
            listed.join(", "),
            json!({"application/json": {"schema": own}}),
        )
    };
    components.responses.insert(
        name.clone(),
        json!({"description": description, "headers": headers(codes), "content": content}),
    );
    json!({"$ref": format!("#/components/responses/{name}")})
}

/// Any other answer of an operation that passes the server's answers on.
pub(super) fn upstream_response() -> Value {
    json!({
        "description": "The server's own answer, as it is.",
        "headers": headers(&[]),
        "content": {"*/*": {"schema": {"$ref": "#/components/schemas/UpstreamAnswer"}}},
    })
}

/// The one shape of the gateway's own failures, and what else an error can look like.
pub(super) fn schemas() -> [(&'static str, Value); 2] {
    let kinds: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.kind()).collect();
    let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let member = |schema: Value, name: &str| {
        let mut schema = schema;
        if let (Some(object), Some(text)) =
            (schema.as_object_mut(), super::words::of("Error", name))
        {
            object.insert("description".to_owned(), json!(text));
        }
        schema
    };
    let error = json!({
        "type": "object",
        "description": "Every failure of the gateway itself.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "description": super::words::of("Error", "error"),
            "required": ["message", "type", "code", "param", "request_id"],
            "properties": {
                "message": member(json!({"type": "string", "minLength": 1}), "message"),
                "type": member(json!({"type": "string", "enum": kinds}), "type"),
                "code": member(json!({"type": "string", "enum": codes}), "code"),
                "param": member(json!({"type": ["string", "null"]}), "param"),
                "request_id": member(json!({"type": "string", "minLength": 1, "maxLength": 64}), "request_id"),
            },
        }},
    });
    let upstream = json!({
        "description": "What the server answered, as it is. It has no `error.request_id`, which only the gateway's own errors have.",
        "not": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {"type": "object", "required": ["request_id"]}},
        },
    });
    [("Error", error), ("UpstreamAnswer", upstream)]
}

fn headers(codes: &[ErrorCode]) -> Value {
    let mut headers = json!({"x-request-id": {"$ref": "#/components/headers/x-request-id"}});
    if let Some(object) = headers.as_object_mut() {
        let waits = |code: &ErrorCode| code.kind() == "rate_limit_error";
        if codes.iter().any(waits) {
            let reference = json!({"$ref": "#/components/headers/retry-after"});
            object.insert("retry-after".to_owned(), reference);
        }
        let final_ones = |code: &ErrorCode| {
            crate::error::GatewayError::new(*code, "")
                .should_retry()
                .is_some()
        };
        if codes.iter().any(final_ones) {
            let reference = json!({"$ref": "#/components/headers/x-should-retry"});
            object.insert("x-should-retry".to_owned(), reference);
        }
    }
    headers
}
