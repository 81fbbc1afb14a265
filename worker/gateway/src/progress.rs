//! 排队进度：等待时写进流里的注释，以及之后才来的上游错误。
//!
//! Owns `X-Queue-Progress: sse`: who may have it, what is written while a request waits, and how an error
//! answer of the upstream is told once the stream has begun. Does not wait and writes nothing itself.
//!
//! With progress the client gets status 200 before anybody knows what the upstream will say. A status of the
//! upstream other than success can then no longer be passed on as a status, so it comes in band, as the last
//! event of the stream:
//!
//! - event `error`, whose data is the upstream's own error object (any JSON object with an `error`), byte for
//!   byte but on one line, and with `"status":<its status>` added at the end unless it has a `status` already;
//! - any other body comes in the gateway's own error shape, because clients look for `error`: with code
//!   `upstream_stream_truncated`, since to its client this is a stream that ends without its end marker, and
//!   beside `error` the `status` and, up to [`ERROR_BODY_BYTES_MAX`], the body as `upstream`: its JSON if it
//!   is JSON, else its text.
//!
//! Invariant: every text here is whole lines that end with an empty one, whatever a body says; so nothing that
//! an upstream sends can begin or end an event.

use std::{collections::BTreeMap, time::Duration};

use serde_json::value::RawValue;

use crate::error::{ErrorCode, GatewayError};

/// Time between two comments: often enough to watch, and far below the minute after which proxies on the way
/// take a silent connection for dead.
pub const HEARTBEAT: Duration = Duration::from_secs(1);
/// Largest error body that is told in band; those of providers have a few hundred bytes. One byte more is
/// enough to know that it is larger.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// How long the body of an answer that is put aside is waited for after its headers: it comes with them, and the
/// server of a refusal is left alone only when this is over.
pub const ERROR_BODY_TIME_MAX: Duration = Duration::from_secs(2);
/// Headers of the answer that is sent before the upstream's; nobody on the way may keep or collect it.
pub const HEADERS: &[(&str, &str)] = &[
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
];

/// Whether the request is to be told its progress: the value of `X-Queue-Progress`, and whether the client
/// asked for a stream. Without a stream there is nowhere to write to, and the header has no effect.
pub fn requested(header: Option<&str>, stream: bool) -> Result<bool, GatewayError> {
    match header.map(str::trim) {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case("sse") => Ok(stream),
        Some(_) => Err(GatewayError::new(
            ErrorCode::InvalidField,
            "`X-Queue-Progress` must be `sse`; leave it out to wait in silence.",
        )
        .param("X-Queue-Progress")),
    }
}

/// The comment that says where the request stands: its place in the queue from 1, and how long it will
/// probably wait. Event stream clients skip comments, so those that do not know it see nothing of it.
#[must_use]
pub fn comment(position: u64, estimate: Option<Duration>) -> String {
    match estimate {
        Some(estimate) => {
            let ms = estimate.as_millis();
            format!(": queued position={position} estimate_ms={ms}\n\n")
        }
        None => format!(": queued position={position}\n\n"),
    }
}

/// An error answer of the upstream as the last event of a stream that has begun. `body` has gone through the
/// redaction of the server's key already.
#[must_use]
pub fn upstream_error_event(status: u16, body: &[u8], request_id: &str) -> String {
    let body = body.trim_ascii();
    let data = own_error(status, body).unwrap_or_else(|| in_our_shape(status, body, request_id));
    format!("event: error\ndata: {data}\n\n")
}

/// The upstream's own error object with the status beside; `None` if the body is none.
fn own_error(status: u16, body: &[u8]) -> Option<String> {
    let json = json_line(body)?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(&json).ok()?;
    let named = |name: &str| members.get(name).filter(|value| value.get() != "null");
    named("error")?;
    if members.contains_key("status") {
        return Some(json);
    }
    let open = json.strip_suffix('}')?.trim_end();
    Some(format!("{open},\"status\":{status}}}"))
}

fn in_our_shape(status: u16, body: &[u8], request_id: &str) -> String {
    let error = GatewayError::new(
        ErrorCode::UpstreamStreamTruncated,
        format!("The server answered with status {status} after the stream had begun."),
    )
    .body(request_id);
    let open = error.strip_suffix('}').unwrap_or(&error);
    match told(body) {
        Some(upstream) => format!("{open},\"status\":{status},\"upstream\":{upstream}}}"),
        None => format!("{open},\"status\":{status}}}"),
    }
}

/// A body as JSON: as it is, or as a text.
fn told(body: &[u8]) -> Option<String> {
    if body.is_empty() || body.len() > ERROR_BODY_BYTES_MAX {
        return None;
    }
    json_line(body).or_else(|| serde_json::to_string(&String::from_utf8_lossy(body)).ok())
}

/// A JSON value on one line. Inside its strings no line can break, so blanks may take the place of breaks.
fn json_line(body: &[u8]) -> Option<String> {
    if body.len() > ERROR_BODY_BYTES_MAX {
        return None;
    }
    let value: &RawValue = serde_json::from_slice(body).ok()?;
    Some(value.get().replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn data(event: &str) -> &str {
        let data = event.strip_prefix("event: error\ndata: ").unwrap();
        let data = data.strip_suffix("\n\n").unwrap();
        assert!(!data.contains(['\n', '\r']), "one line: {data:?}");
        data
    }

    fn told(status: u16, body: &[u8]) -> Value {
        serde_json::from_str(data(&upstream_error_event(status, body, "req_1"))).unwrap()
    }

    #[test]
    fn progress_is_for_streams_that_ask_for_it() {
        assert!(requested(Some("sse"), true).unwrap());
        assert!(requested(Some(" SSE "), true).unwrap());
        assert!(!requested(None, true).unwrap());
        assert!(!requested(None, false).unwrap());
        assert!(
            !requested(Some("sse"), false).unwrap(),
            "nowhere to write to"
        );
    }

    #[test]
    fn progress_in_any_other_form_is_an_invalid_field() {
        for value in ["", "json", "sse,sse", "true", "\u{ff}"] {
            for stream in [true, false] {
                let error = requested(Some(value), stream).unwrap_err();
                assert_eq!((error.status(), error.code), (422, ErrorCode::InvalidField));
                assert_eq!(error.param.as_deref(), Some("X-Queue-Progress"));
            }
        }
    }

    #[test]
    fn comment_names_the_place_and_the_estimate_if_there_is_one() {
        let estimate = Some(Duration::from_millis(1_200));
        assert_eq!(
            comment(3, estimate),
            ": queued position=3 estimate_ms=1200\n\n"
        );
        assert_eq!(comment(1, None), ": queued position=1\n\n");
        assert_eq!(
            comment(2, Some(Duration::ZERO)),
            ": queued position=2 estimate_ms=0\n\n"
        );
    }

    #[test]
    fn error_object_of_the_upstream_is_told_as_it_is_with_its_status_beside() {
        let body = br#"{"error":{"message":"a\nb","n":1.50,"big":12345678901234567890123}}"#;
        assert_eq!(
            upstream_error_event(400, body, "req_1"),
            "event: error\ndata: {\"error\":{\"message\":\"a\\nb\",\"n\":1.50,\
             \"big\":12345678901234567890123},\"status\":400}\n\n"
        );
    }

    #[test]
    fn error_object_on_many_lines_is_told_on_one() {
        let body = b"\r\n{\r\n  \"error\": {\r  \"message\": \"x\"\n  }\n}\n";
        assert_eq!(
            told(503, body),
            json!({"error": {"message": "x"}, "status": 503})
        );
    }

    #[test]
    fn status_that_the_upstream_names_itself_stays() {
        let body = br#"{"status":"failed","error":"overloaded"}"#;
        assert_eq!(
            told(529, body),
            json!({"status": "failed", "error": "overloaded"})
        );
    }

    #[test]
    fn body_that_is_no_error_object_comes_inside_our_shape() {
        for (body, upstream) in [
            (r#"{"detail": "no"}"#, json!({"detail": "no"})),
            (r#"{"error": null}"#, json!({"error": null})),
            ("[1]", json!([1])),
            ("{}", json!({})),
            ("Bad Gateway\n<html>", json!("Bad Gateway\n<html>")),
            (r#"{"error":{"#, json!(r#"{"error":{"#)),
        ] {
            let told = told(502, body.as_bytes());
            assert_eq!(told["upstream"], upstream, "{body}");
            assert_eq!(told["status"], 502);
            assert_eq!(told["error"]["code"], "upstream_stream_truncated");
            assert_eq!(told["error"]["request_id"], "req_1");
            let message = told["error"]["message"].as_str().unwrap();
            assert!(message.contains("502"), "{message}");
        }
    }

    #[test]
    fn empty_or_too_large_body_is_left_out() {
        let error_of = |padding: usize| format!(r#"{{"error":"{}"}}"#, "x".repeat(padding));
        let frame = error_of(0).len();
        let largest = error_of(ERROR_BODY_BYTES_MAX - frame);
        assert!(told(500, largest.as_bytes())["error"].is_string());
        let larger = error_of(ERROR_BODY_BYTES_MAX - frame + 1);
        for body in [larger.as_str(), "", " \n"] {
            let told = told(500, body.as_bytes());
            assert_eq!(told["error"]["code"], "upstream_stream_truncated");
            assert!(told.get("upstream").is_none());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn whatever_the_body_the_event_is_one_event_of_valid_json_with_an_error(
            body in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..60),
                "\\s{0,2}\\{\\s?\"error\"\\s?:\\s?([0-9]{1,9}|\"[ -!a-z]{0,9}\")\\s?\\}\\s{0,2}"
                    .prop_map(String::into_bytes),
            ],
            status in 300_u16..600,
        ) {
            let event = upstream_error_event(status, &body, "req_1");
            let value: Value = serde_json::from_str(data(&event)).unwrap();
            prop_assert!(!value["error"].is_null());
            prop_assert!(value.get("status").is_some());
        }
    }
}
