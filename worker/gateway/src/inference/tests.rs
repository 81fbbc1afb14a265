//! 推理请求解析的测试。
//!
//! Tests of what is read from the body of each endpoint and of what goes upstream of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::settings::tests::settings;

/// A chat, as in most tests here.
fn parse(body: &[u8]) -> Result<InferenceRequest, GatewayError> {
    super::parse(Endpoint::ChatCompletions, body)
}

fn code(body: &[u8]) -> &'static str {
    parse(body).unwrap_err().code.as_str()
}

fn upstream(body: &str) -> String {
    let sent = parse(body.as_bytes())
        .unwrap()
        .upstream_body(body.as_bytes())
        .into_owned();
    String::from_utf8(sent).unwrap()
}

#[test]
fn model_stream_and_bounds_are_read() {
    let body =
        br#"{"model":"gpt-4o","messages":[],"max_tokens":100,"max_completion_tokens":200,"n":3}"#;
    let request = parse(body).unwrap();
    assert_eq!(request.model, "gpt-4o");
    assert!(!request.stream && !request.client_wants_usage && !request.strips_usage());
    assert_eq!(
        request.output_tokens_max,
        Some(600),
        "the newer bound, for every choice"
    );
    assert_eq!(request.prompt_bytes, body.len() as u64);
}

#[test]
fn bound_of_output_is_counted_only_from_plain_whole_numbers() {
    let bound = |fields: &str| {
        parse(format!(r#"{{"model":"m",{fields}}}"#).as_bytes())
            .unwrap()
            .output_tokens_max
    };
    assert_eq!(bound(r#""max_tokens":7"#), Some(7));
    assert_eq!(
        bound(r#""max_tokens":7,"max_completion_tokens":null"#),
        Some(7)
    );
    assert_eq!(bound(r#""max_tokens":7,"n":0"#), Some(7));
    assert_eq!(bound(r#""max_tokens":7,"n":"many""#), Some(7));
    assert_eq!(
        bound(&format!(r#""max_tokens":{},"n":9"#, u64::MAX)),
        Some(u64::MAX)
    );
    assert_eq!(bound(r#""n":3"#), None);
    for odd in ["1e999999", "-1", "1.5", "null", "\"7\"", &"9".repeat(200)] {
        assert_eq!(bound(&format!(r#""max_tokens":{odd}"#)), None, "{odd}");
    }
}

fn bound_at(endpoint: Endpoint, fields: &str) -> Option<u64> {
    let body = format!(r#"{{"model":"m",{fields}}}"#);
    super::parse(endpoint, body.as_bytes())
        .unwrap()
        .output_tokens_max
}

#[test]
fn each_endpoint_has_its_own_bound_of_output() {
    let all = r#""max_tokens":7,"max_completion_tokens":8,"max_output_tokens":9,"n":2"#;
    for (endpoint, bound) in [
        (Endpoint::ChatCompletions, 16),
        (Endpoint::Completions, 14),
        (Endpoint::Embeddings, 0),
        (Endpoint::Responses, 9),
        (Endpoint::Messages, 7),
    ] {
        assert_eq!(bound_at(endpoint, all), Some(bound), "{endpoint:?}");
        let unbounded = bound_at(endpoint, r#""x":1"#);
        assert_eq!(unbounded.is_none(), endpoint.has_output(), "{endpoint:?}");
    }
}

#[test]
fn a_completion_is_bounded_for_each_of_its_prompts_and_all_that_is_written() {
    for (prompt, prompts) in [
        (r#""one""#, 1),
        (r#"["one","two", "three"]"#, 3),
        ("[1, 2, 3]", 1),
        ("[ [1, 2], [3] ]", 2),
        ("[]", 1),
        ("null", 1),
        ("{}", 1),
    ] {
        let fields = format!(r#""max_tokens":10,"n":2,"best_of":5,"prompt":{prompt}"#);
        let bound = bound_at(Endpoint::Completions, &fields);
        assert_eq!(bound, Some(50 * prompts), "{prompt}");
    }
}

#[test]
fn only_streams_of_chunks_are_made_to_report_their_usage() {
    let body = br#"{"model":"m","stream":true}"#;
    for endpoint in Endpoint::ALL {
        let request = super::parse(endpoint, body).unwrap();
        let is_changed = matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions);
        assert_eq!(request.strips_usage(), is_changed, "{endpoint:?}");
        assert_eq!(request.upstream_body(body) != body.as_slice(), is_changed);
        assert_eq!(request.stream, endpoint != Endpoint::Embeddings);
    }
}

#[test]
fn a_key_may_come_twice_where_the_endpoint_does_not_read_it() {
    let body = br#"{"model":"m","max_tokens":1,"max_tokens":2}"#;
    assert!(super::parse(Endpoint::Responses, body).is_ok());
    assert!(super::parse(Endpoint::Messages, body).is_err());
}

#[test]
fn what_is_no_json_object_is_invalid_json() {
    for body in [
        &b""[..],
        b" ",
        b"null",
        b"true",
        b"1",
        b"\"model\"",
        b"[]",
        b"[{\"model\":\"m\"}]",
        b"{",
        b"}",
        b"{}{}",
        b"{\"model\":\"m\"} x",
        b"{\"model\":\"m\",}",
        b"{\"model\":\"m\"}\0",
        b"\0",
        b"{\"model\":\"m\"",
        b"{'model':'m'}",
        b"{model:\"m\"}",
        b"{\"model\" \"m\"}",
        b"{\"model\":\"m\",\"a\":01}",
        b"{\"model\":\"m\",\"a\":NaN}",
        b"{\"model\":\"m\",\"a\":+1}",
        b"{\"model\":\"m\",\"a\":1.}",
        b"{\"model\":\"m\",\"a\":\"\\x\"}",
        b"{\"model\":\"m\",\"a\":\"\n\"}",
        b"{\"model\":\"m\",\"a\":\"\\u12\"}",
        b"\xef\xbb\xbf{\"model\":\"m\"}",
        b"{\"model\":\"m\",\"a\":\"\xff\"}",
        b"{\"model\":\"\xc3\x28\"}",
        b"{\"model\":\"m\",\"a\":\"\xed\xa0\x80\"}",
        b"{\"model\":\"\\ud800\"}",
        b"{\"model\":\"m\"} // c",
    ] {
        assert_eq!(
            code(body),
            "invalid_json",
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn missing_empty_or_non_string_model_is_missing_model() {
    for body in [
        "{}",
        r#"{"model":""}"#,
        r#"{"model":null}"#,
        r#"{"model":1}"#,
        r#"{"model":["m"]}"#,
        r#"{"model":{"model":"m"}}"#,
        r#"{"Model":"m"}"#,
        r#"{"a":{"model":"m"}}"#,
        r#"{"\ud800model":"m"}"#,
    ] {
        assert_eq!(code(body.as_bytes()), "missing_model", "{body}");
    }
}

#[test]
fn repeated_keys_that_the_gateway_reads_are_refused_however_they_are_written() {
    for body in [
        r#"{"model":"a","model":"b"}"#,
        r#"{"model":"a","model":"a"}"#,
        r#"{"model":"a","\u006dodel":"b"}"#,
        r#"{"mod\u0065l":"a","\u006Dodel":"b"}"#,
        r#"{"model":"a","stream":true,"stream":false}"#,
        r#"{"model":"a","max_tokens":1,"max\u005ftokens":2}"#,
        r#"{"model":"a","stream":true,"stream_options":{"include_usage":false,"include\u005fusage":true}}"#,
        r#"{"model":"a","stream":true,"stream_options":null,"stream_options":{}}"#,
    ] {
        assert_eq!(code(body.as_bytes()), "invalid_json", "{body}");
    }
    assert!(
        parse(br#"{"model":"a","x":1,"x":2}"#).is_ok(),
        "other keys are the provider's business"
    );
    assert!(parse(br#"{"model":"a","messages":[{"model":"b","model":"c"}]}"#).is_ok());
}

#[test]
fn escaped_key_and_model_are_understood() {
    let request = parse(br#"{"\u006dodel":"gp\u0074-\ud83d\ude00"}"#).unwrap();
    assert_eq!(request.model, "gpt-\u{1f600}");
}

#[test]
fn pathological_but_well_formed_bodies_pass_through() {
    // The body, and in one of the cases `stream_options`, are levels of their own.
    let deep = depth::DEPTH_MAX - 2;
    for odd in [
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep)),
        "1e999999".to_owned(),
        "-0.0E-9999999999".to_owned(),
        "7".repeat(200),
        r#""\ud800 lone \udfff""#.to_owned(),
        r#""\u0000""#.to_owned(),
    ] {
        let body = format!(r#"{{"odd":{odd},"model":"m"}}"#);
        assert_eq!(upstream(&body), body);
        let streaming = format!(
            r#"{{"stream":true,"odd":{odd},"model":"m","stream_options":{{"odd":{odd}}}}}"#
        );
        assert_eq!(
            upstream(&streaming),
            streaming.replace(r#"s":{"odd"#, r#"s":{"include_usage":true,"odd"#)
        );
    }
}

#[test]
fn nesting_beyond_its_bound_is_refused_without_stack_and_in_one_pass() {
    let nested = |open: &str, close: &str, depth: usize| {
        let odd = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        format!(r#"{{"model":"m","stream":true,"odd":{odd}}}"#)
    };
    assert!(parse(nested("[", "]", depth::DEPTH_MAX - 1).as_bytes()).is_ok());
    assert!(parse(nested(r#"{"a":"#, "}", depth::DEPTH_MAX - 1).as_bytes()).is_ok());
    for body in [
        nested("[", "]", depth::DEPTH_MAX),
        nested(r#"{"a":"#, "}", depth::DEPTH_MAX),
        nested("[", "]", 3_000_000),
        "[".repeat(3_000_000),
        format!(r#"{{"model":"m","odd":{}"#, "[".repeat(3_000_000)),
    ] {
        assert_eq!(
            code(body.as_bytes()),
            "invalid_json",
            "{} bytes",
            body.len()
        );
    }
}

#[test]
fn very_many_keys_are_read_in_one_pass() {
    let keys: Vec<String> = (0..100_000)
        .map(|number| format!(r#""k{number}":{number}"#))
        .collect();
    let body = format!(r#"{{{},"model":"m"}}"#, keys.join(","));
    assert_eq!(parse(body.as_bytes()).unwrap().model, "m");
}

#[test]
fn only_a_streaming_request_is_changed_and_only_by_what_it_lacks() {
    for (body, expected) in [
        // not streaming
        (r#" {"model":"m" , "stream" : false}"#, None),
        (r#"{"model":"m","stream":null,"stream_options":{}}"#, None),
        (r#"{"model":"m","stream":"true"}"#, None),
        // asked for, or malformed so that the provider has to say so
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage": true }}"#,
            None,
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":"yes"}}"#,
            None,
        ),
        (r#"{"model":"m","stream":true,"stream_options":[]}"#, None),
        // lacking
        (
            " { \"model\":\"m\",\"stream\": true}\n",
            Some(
                " {\"stream_options\":{\"include_usage\":true}, \"model\":\"m\",\"stream\": true}\n",
            ),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options": null }"#,
            Some(r#"{"model":"m","stream":true,"stream_options": {"include_usage":true} }"#),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{ }}"#,
            Some(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true }}"#),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{ "x":{} }}"#,
            Some(r#"{"model":"m","stream":true,"stream_options":{"include_usage":true, "x":{} }}"#),
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":{"a":"}","include_usage" : false}}"#,
            Some(
                r#"{"model":"m","stream":true,"stream_options":{"a":"}","include_usage" : true}}"#,
            ),
        ),
        (
            r#"{"model":"m","stream":true,"\u0073tream_options":{"include_us\u0061ge":null}}"#,
            Some(
                r#"{"model":"m","stream":true,"\u0073tream_options":{"include_us\u0061ge":true}}"#,
            ),
        ),
    ] {
        let request = parse(body.as_bytes()).unwrap();
        assert_eq!(upstream(body), expected.unwrap_or(body));
        assert_eq!(request.strips_usage(), expected.is_some(), "{body}");
    }
}

#[test]
fn client_that_asks_for_usage_gets_to_see_it() {
    let asked =
        parse(br#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#).unwrap();
    assert!(asked.client_wants_usage && !asked.strips_usage());
    let not_asked = parse(br#"{"model":"m","stream":true}"#).unwrap();
    assert!(!not_asked.client_wants_usage && not_asked.strips_usage());
}

#[test]
fn body_over_the_bound_is_too_large() {
    let settings = settings(&[("BODY_BYTES_MAX", "2048")]);
    assert!(check_length(2048, &settings).is_ok());
    assert_eq!(check_length(2049, &settings).unwrap_err().status(), 413);
}

#[test]
fn message_of_a_malformed_body_says_where_and_quotes_nothing() {
    let error = parse(b"{\"model\":\"m\",\n\"secret\":oops}").unwrap_err();
    assert!(
        error.message.contains("line 2, column"),
        "{}",
        error.message
    );
    assert!(!error.message.contains("oops") && !error.message.contains("secret"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map(any_key(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("model".to_owned()),
        Just("include_usage".to_owned()),
        Just("{".to_owned())
    ]
}

fn any_request() -> impl Strategy<Value = Value> {
    let stream =
        prop_oneof![3 => Just(json!(true)), 1 => Just(json!(false)), 1 => Just(Value::Null)];
    let options = prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        Just(Some(json!({}))),
        Just(Some(json!({"include_usage": false}))),
        Just(Some(json!({"include_usage": true, "a": 1}))),
        any_json()
            .prop_filter("object or null", Value::is_object)
            .prop_map(Some),
    ];
    (
        proptest::collection::hash_map(any_key(), any_json(), 0..6),
        "\\PC{1,9}",
        stream,
        options,
    )
        .prop_map(|(fields, model, stream, options)| {
            let mut object: serde_json::Map<_, _> = fields.into_iter().collect();
            object.insert("model".to_owned(), json!(model));
            object.insert("stream".to_owned(), stream);
            if let Some(options) = options {
                object.insert("stream_options".to_owned(), options);
            }
            Value::Object(object)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn upstream_body_is_the_same_value_but_for_include_usage(value in any_request(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let request = parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&request.model, value["model"].as_str().unwrap());
        let sent = request.upstream_body(text.as_bytes());
        let sent_value: Value = serde_json::from_slice(&sent).unwrap();
        // Parsed back, since a float may not survive printing exactly.
        let mut expected: Value = serde_json::from_str(&text).unwrap();
        let lacking = match expected.get("stream_options") {
            None | Some(Value::Null) => true,
            Some(options) => matches!(options.get("include_usage"), None | Some(Value::Null | Value::Bool(false))),
        };
        if value["stream"] == json!(true) && lacking {
            if !expected["stream_options"].is_object() {
                expected["stream_options"] = json!({});
            }
            expected["stream_options"]["include_usage"] = json!(true);
        } else {
            prop_assert!(matches!(sent, Cow::Borrowed(same) if std::ptr::eq(same, text.as_bytes())));
        }
        prop_assert_eq!(sent_value, expected);
    }

    #[test]
    fn any_bytes_get_a_definite_answer(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Err(error) = parse(&bytes) {
            prop_assert_eq!(error.status(), 400);
        }
    }

    #[test]
    fn mutated_bodies_get_a_definite_answer(value in any_request(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        match parse(&text) {
            Ok(request) => {
                let sent = request.upstream_body(&text);
                prop_assert!(serde_json::from_slice::<&RawValue>(&sent).is_ok());
            }
            Err(error) => prop_assert_eq!(error.status(), 400),
        }
    }
}
