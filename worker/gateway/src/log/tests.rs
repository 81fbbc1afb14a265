//! 日志事件的测试：表与类型一致，文本有界。
//!
//! Tests that the table of events is what the types write, and that no text exceeds its bound.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::*;
use crate::error::ErrorCode;

const LONG: &str = "very long text ";

fn request(text: &str) -> Request<'_> {
    Request {
        request_id: Text(text),
        app: Some(Text(text)),
        key_id: Some(Text(text)),
        server_id: Some(Text(text)),
        model: Some(Text(text)),
        endpoint: "/v1/chat/completions",
        status: 200,
        error_code: None,
        stream: true,
        cost: Cost::default(),
        waited: Waited::default(),
        ttft_ms: Some(1),
        total_ms: 2,
        overhead_ms: None,
        attempts: 1,
        colo: None,
    }
}

/// One of each kind, with this text wherever a text may stand.
fn examples(text: &str) -> Vec<Event<'_>> {
    vec![
        Event::Request(request(text)),
        Event::Admin(Admin {
            request_id: Text(text),
            actor: Some(Text(text)),
            method: Text(text),
            path: Text(text),
            status: 200,
            error_code: None,
        }),
        Event::RequestFailed {
            request_id: Text(text),
            code: "internal_error",
            status: 500,
            detail: Some(Detail::new(text)),
        },
        Event::AttemptFailed {
            request_id: Text(text),
            server: Text(text),
            attempt: 1,
            outcome: Text(text),
            pause_ms: None,
        },
        Event::LimiterError {
            request_id: Text(text),
            operation: "settle",
            detail: Detail::new(text),
        },
        Event::StorageError {
            what: "snapshot",
            detail: Detail::new(text),
        },
        Event::ConfigurationProblem { problem: "x" },
        Event::AccessError {
            detail: Detail::new(text),
        },
        Event::UsageRun {
            rolled_up: 1,
            removed: 0,
        },
        Event::LimiterRowsUnreadable { rows: 1 },
        Event::JournalFlushFailed {
            rows: 1,
            detail: Detail::new(text),
        },
        Event::JournalRowUnreadable {
            detail: Detail::new(text),
        },
        Event::JournalAlarmFailed {
            detail: Detail::new(text),
        },
        Event::LimiterResetFailed {
            detail: Detail::new(text),
        },
        Event::LimiterWriteFailed {
            detail: Detail::new(text),
        },
    ]
}

fn object(event: &Event<'_>) -> Map<String, Value> {
    let line = event.line();
    assert!(!line.contains('\n'), "one line: {line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn table_of_events_is_what_the_types_write() {
    let examples = examples("x");
    assert_eq!(examples.len(), EVENTS.len());
    for (event, kind) in examples.iter().zip(EVENTS) {
        let mut fields = object(event);
        assert_eq!(fields.remove("event"), Some(Value::from(kind.name)));
        let written: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
        let listed: BTreeSet<&str> = kind.fields.iter().copied().collect();
        assert_eq!(written, listed, "{}", kind.name);
        assert_eq!(event.level(), kind.level, "{}", kind.name);
    }
}

#[test]
fn no_text_is_longer_than_its_bound() {
    let long = LONG.repeat(1_000);
    for event in examples(&long) {
        for (name, value) in object(&event) {
            let length = value.as_str().unwrap_or_default().chars().count();
            let bound = if name == "detail" {
                DETAIL_CHARS_MAX
            } else {
                TEXT_CHARS_MAX
            };
            assert!(length <= bound, "{name} has {length}");
        }
    }
    let wide = "\u{6a21}".repeat(TEXT_CHARS_MAX + 1);
    let cut = serde_json::to_string(&Text(&wide)).unwrap();
    assert_eq!(cut.chars().count(), TEXT_CHARS_MAX + 2, "with its quotes");
}

#[test]
fn failures_of_the_gateway_and_those_with_a_detail_have_a_line_of_their_own() {
    let is_logged = |error: GatewayError| Event::of_failure("r", &error).is_some();
    assert!(is_logged(GatewayError::internal("why")));
    assert!(is_logged(GatewayError::new(
        ErrorCode::ServerOverloaded,
        "x"
    )));
    assert!(is_logged(
        GatewayError::new(ErrorCode::UpstreamUnreachable, "x").detail("refused")
    ));
    assert!(!is_logged(GatewayError::new(ErrorCode::InvalidJson, "x")));
    assert!(!is_logged(GatewayError::new(ErrorCode::QueueTimeout, "x")));
}

#[test]
fn a_detail_is_redacted_on_its_way_into_a_line() {
    let error =
        GatewayError::internal("fetch of https://a.example?key=abc with Bearer sk-x failed");
    let line = Event::of_failure("r", &error).unwrap().line();
    assert!(!line.contains("abc") && !line.contains("sk-x"), "{line}");
    assert!(line.contains("a.example"), "{line}");
}
