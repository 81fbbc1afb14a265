//! 请求体：与 `serde_json` 同读，改写只在该改之处。
//!
//! The bodies of the five inference endpoints. The oracle is `serde_json`'s own reading of the same bytes, and that
//! what goes upstream is the body itself, or the body with `include_usage` and nothing else changed.

use gateway::endpoint::Endpoint;
use gateway::inference::{self, InferenceRequest};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::input::Input;

/// All endpoints.
pub(crate) const ENDPOINTS: [Endpoint; 5] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Embeddings,
    Endpoint::Responses,
    Endpoint::Messages,
];

/// Most bytes that asking for usage adds: `"stream_options":{"include_usage":true},`, and a little.
const EDIT_BYTES_MAX: usize = 64;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let endpoint = input.choice(&ENDPOINTS);
    let body = input.rest();
    let whole: Result<IgnoredAny, _> = serde_json::from_slice(body);
    match inference::parse(endpoint, body) {
        Err(refusal) => assert_eq!(refusal.status(), 400, "{refusal:?}"),
        Ok(request) => {
            assert!(whole.is_ok(), "accepted, and no JSON");
            check(&request, body);
        }
    }
}

fn check(request: &InferenceRequest, body: &[u8]) {
    assert_eq!(request.prompt_bytes, body.len() as u64);
    assert!(!request.model.is_empty());
    let upstream = request.upstream_body(body);
    assert!(upstream.len() <= body.len() + EDIT_BYTES_MAX);
    // Numbers beyond a float are JSON, and no `Value`.
    let Ok(Value::Object(mut read)) = serde_json::from_slice(body) else {
        assert_eq!(
            request.strips_usage(),
            upstream != body,
            "an edit that is not told"
        );
        return;
    };
    assert_eq!(read.get("model"), Some(&json!(request.model)));
    let streams = read.get("stream") == Some(&json!(true));
    if request.endpoint == Endpoint::Embeddings {
        assert!(streams || !request.stream);
    } else {
        assert_eq!(request.stream, streams);
    }
    if !request.strips_usage() {
        assert_eq!(&*upstream, body, "changed though nothing was asked");
        return;
    }
    assert!(request.stream && !request.client_wants_usage);
    let options = read.entry("stream_options").or_insert(Value::Null);
    if !options.is_object() {
        *options = json!({});
    }
    options["include_usage"] = json!(true);
    let sent: Value = serde_json::from_slice(&upstream).expect("what goes upstream is JSON");
    assert_eq!(sent, Value::Object(read), "more than usage was changed");
    let again = inference::parse(request.endpoint, &upstream).expect("it can be read again");
    assert!(again.client_wants_usage && !again.strips_usage());
}
