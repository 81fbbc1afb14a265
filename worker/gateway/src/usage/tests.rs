//! 用量的测试：三种形状，任何切分。
//!
//! Tests of how counts are read from usage objects, and found in an answer that passes by in pieces.

use proptest::prelude::*;

use super::scanner::USAGE_BYTES_MAX;
use super::*;

fn usage(prompt: u64, completion: u64, cached: u64, total: u64) -> Usage {
    Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
        cached_tokens: cached,
        total_tokens: total,
    }
}

fn read(shape: UsageShape, object: &[u8]) -> Option<Usage> {
    Counts::read(shape, object).map(|counts| counts.usage(shape))
}

fn completion(object: &[u8]) -> Option<Usage> {
    read(UsageShape::Completion, object)
}

fn scan(body: &str) -> Option<Usage> {
    scan_with(|| UsageScanner::of_answer(UsageShape::Completion), body)
        .map(|counts| counts.usage(UsageShape::Completion))
}

fn scan_with(scanner: impl Fn() -> UsageScanner, body: &str) -> Option<Counts> {
    let mut whole = scanner();
    whole.push(body.as_bytes());
    let mut bytewise = scanner();
    for byte in body.as_bytes() {
        bytewise.push(&[*byte]);
    }
    assert_eq!(whole.counts(), bytewise.counts(), "{body}");
    whole.counts()
}

#[test]
fn usage_object_is_read_with_cached_tokens() {
    let text = br#" {"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
        "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"x":{"y":[1]}} "#;
    assert_eq!(completion(text), Some(usage(10, 5, 8, 15)));
}

#[test]
fn missing_counts_are_zero_and_a_missing_total_is_the_sum() {
    assert_eq!(
        completion(br#"{"prompt_tokens":3,"completion_tokens":4}"#),
        Some(usage(3, 4, 0, 7))
    );
    assert_eq!(
        completion(br#"{"prompt_tokens":3,"total_tokens":3}"#),
        Some(usage(3, 0, 0, 3))
    );
    let most = format!(
        r#"{{"prompt_tokens":{0},"completion_tokens":{0}}}"#,
        u64::MAX
    );
    assert_eq!(completion(most.as_bytes()).unwrap().total_tokens, u64::MAX);
}

#[test]
fn one_odd_field_spoils_only_itself() {
    let text = br#"{"prompt_tokens":3,"completion_tokens":null,"total_tokens":"9","prompt_tokens_details":7}"#;
    assert_eq!(completion(text), Some(usage(3, 0, 0, 3)));
}

#[test]
fn what_names_no_count_is_unknown_usage() {
    for text in [
        "{}",
        "null",
        "[1,2,3,4]",
        "",
        "{",
        r#"{"prompt_tokens":-1}"#,
        r#"{"prompt_tokens":1e3}"#,
        "\u{0}",
    ] {
        assert_eq!(completion(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn event_is_usage_only_when_choices_is_empty_and_usage_an_object() {
    let only = |data: &str| {
        of_event(UsageShape::Completion, data.as_bytes()).is_some_and(|event| event.usage_only)
    };
    assert!(only(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#));
    assert!(only(r#"{"usage":{},"choices":[ ]}"#));
    assert!(!only(
        r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#
    ));
    assert!(!only(r#"{"choices":[],"usage":null}"#));
    assert!(!only(r#"{"usage":{"prompt_tokens":1}}"#));
    assert!(!only(r#"{"choices":null,"usage":{"prompt_tokens":1}}"#));
    assert!(!only(r#"[{"prompt_tokens":1},[]]"#));
}

#[test]
fn scanner_finds_the_top_level_usage_only() {
    let expected = Some(usage(1, 2, 0, 3));
    let object = r#"{"prompt_tokens":1,"completion_tokens":2,"note":"a\"}{\\"}"#;
    assert_eq!(
        scan(&format!(
            r#"{{"id":"x","choices":[{{"usage":{{"prompt_tokens":9}}}}],"usage":{object}}}"#
        )),
        expected
    );
    assert_eq!(
        scan(&format!("{{ \"usage\" :\n {object} , \"z\": 1}}")),
        expected
    );
    assert_eq!(
        scan(&format!(r#"{{"text":"\"usage\":{{","usage":{object}}}"#)),
        expected
    );
    assert_eq!(
        scan(&format!(
            r#"{{"usage":{{"prompt_tokens":7}},"usage":{object}}}"#
        )),
        expected,
        "the last counts"
    );
}

#[test]
fn scanner_is_not_deceived() {
    for body in [
        r#"{"usage":null}"#,
        r#"{"usage":"{\"prompt_tokens\":1}"}"#,
        r#"{"usages":{"prompt_tokens":1}}"#,
        r#"{"usag":{"prompt_tokens":1}}"#,
        r#"{"my usage":{"prompt_tokens":1}}"#,
        r#"["usage",{"prompt_tokens":1}]"#,
        r#"[{"usage":{"prompt_tokens":1}}]"#,
        r#"{"a":"usage","b":{"prompt_tokens":1}}"#,
        r#"{"usage":[{"prompt_tokens":1}]}"#,
        r#"{"usage":{"prompt_tokens":1"#,
        "}}}}\"",
        "",
    ] {
        assert_eq!(scan(body), None, "{body}");
    }
}

#[test]
fn scanner_gives_up_on_a_monstrous_usage_object() {
    let body = format!(
        r#"{{"usage":{{"prompt_tokens":1,"x":"{}"}}}}"#,
        "y".repeat(USAGE_BYTES_MAX)
    );
    let mut scanner = UsageScanner::of_answer(UsageShape::Completion);
    scanner.push(body.as_bytes());
    assert_eq!(
        scanner
            .counts()
            .map(|counts| counts.usage(UsageShape::Completion)),
        None
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scanner_agrees_with_a_full_parse_at_any_chunking(
        before in "[a-z\"\\\\{}\\[\\]:,\u{e9}]{0,20}", tokens in any::<u32>(), nested in any::<bool>(),
        cuts in proptest::collection::vec(1_usize..9, 1..40),
    ) {
        let object = serde_json::json!({"prompt_tokens": tokens, "completion_tokens": 1});
        let body = if nested {
            serde_json::json!({"a": {"usage": object}, "text": before}).to_string()
        } else {
            serde_json::json!({"text": before, &before: [object], "usage": object}).to_string()
        };
        let mut scanner = UsageScanner::of_answer(UsageShape::Completion);
        let mut rest = body.as_bytes();
        for cut in cuts.iter().cycle() {
            let (chunk, left) = rest.split_at((*cut).min(rest.len()));
            scanner.push(chunk);
            rest = left;
            if rest.is_empty() { break; }
        }
        let tokens = u64::from(tokens);
        prop_assert_eq!(scanner.counts().map(|counts| counts.usage(UsageShape::Completion)), (!nested).then(|| usage(tokens, 1, 0, tokens + 1)));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut scanner = UsageScanner::of_answer(UsageShape::Completion);
        scanner.push(&bytes);
        let _ = (completion(&bytes), of_event(UsageShape::Completion, &bytes));
    }
}

#[test]
fn messages_count_beside_the_input_what_a_cache_took_part_in() {
    let object = br#"{"input_tokens":10,"cache_creation_input_tokens":200,"cache_read_input_tokens":3000,
        "output_tokens":7,"service_tier":"standard","cache_creation":{"ephemeral_5m_input_tokens":200}}"#;
    let expected = usage(3_210, 7, 3_000, 3_217);
    assert_eq!(read(UsageShape::Message, object), Some(expected));
    assert_eq!(
        read(
            UsageShape::Message,
            br#"{"input_tokens":1,"cache_read_input_tokens":null,"output_tokens":2}"#
        ),
        Some(usage(1, 2, 0, 3))
    );
}

#[test]
fn each_shape_has_its_own_names() {
    let response =
        br#"{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},"output_tokens":87,
        "output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}"#;
    assert_eq!(
        read(UsageShape::Response, response),
        Some(usage(36, 87, 30, 123))
    );
    assert_eq!(
        read(
            UsageShape::Completion,
            br#"{"input_tokens":1,"output_tokens":2}"#
        ),
        None
    );
    assert_eq!(read(UsageShape::Message, br#"{"prompt_tokens":1}"#), None);
}

#[test]
fn reasoning_is_counted_once_wherever_the_provider_counts_it() {
    let reasoning = |completion: u64, total: &str| {
        let object = format!(
            r#"{{"prompt_tokens":10,"completion_tokens":{completion},{total}"completion_tokens_details":{{"reasoning_tokens":30}}}}"#
        );
        completion_tokens(object.as_bytes())
    };
    assert_eq!(
        reasoning(40, r#""total_tokens":50,"#),
        (40, 50),
        "within, as OpenAI counts"
    );
    assert_eq!(reasoning(40, ""), (40, 50));
    assert_eq!(reasoning(8, r#""total_tokens":48,"#), (38, 48), "beside");
    assert_eq!(reasoning(8, ""), (38, 48));
}

fn completion_tokens(object: &[u8]) -> (u64, u64) {
    let usage = completion(object).unwrap();
    (usage.completion_tokens, usage.total_tokens)
}

#[test]
fn a_total_alone_is_the_prompt_s() {
    assert_eq!(
        completion(br#"{"total_tokens":6}"#),
        Some(usage(6, 0, 0, 6))
    );
    assert_eq!(
        completion(br#"{"completion_tokens":2,"total_tokens":6}"#),
        Some(usage(4, 2, 0, 6))
    );
}

#[test]
fn usage_of_a_response_is_found_in_its_event_and_nowhere_else() {
    let scan = |body: &str| scan_with(UsageScanner::of_response_event, body).is_some();
    let object = r#"{"input_tokens":1,"output_tokens":2}"#;
    assert!(scan(&format!(
        r#"{{"type":"x","response":{{"output":[{{"usage":1}}],"usage":{object}}}}}"#
    )));
    assert!(scan(&format!(
        "event: x\ndata: {{ \"response\" : {{\"usage\": {object} }} }}\n\n"
    )));
    for body in [
        format!(r#"{{"usage":{object}}}"#),
        format!(r#"{{"x":{{"response":{{"usage":{object}}}}}}}"#),
        format!(r#"{{"response":[{{"usage":{object}}}]}}"#),
        format!(r#"{{"response":{{"x":{{"usage":{object}}}}}}}"#),
        format!(r#"{{"response":{{}},"usage":{object}}}"#),
        format!(r#"{{"responses":{{"usage":{object}}}}}"#),
        format!(r#"{{"response":{{"usage":null}},"x":{object}}}"#),
    ] {
        assert!(!scan(&body), "{body}");
    }
}
