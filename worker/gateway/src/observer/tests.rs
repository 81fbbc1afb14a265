//! 旁观者的测试：任何切分，同样的结果。
//!
//! Tests of what an observer forwards and finds, at every way to cut an answer into chunks.

use proptest::prelude::*;

use super::*;
use crate::sse::EVENT_BYTES_MAX;
use crate::usage::Usage;

const CHAT: Endpoint = Endpoint::ChatCompletions;
const STRIP: Kind = Kind::EventStream {
    endpoint: CHAT,
    strip_usage: true,
};
const KEEP: Kind = Kind::EventStream {
    endpoint: CHAT,
    strip_usage: false,
};
const JSON: Kind = Kind::Json { endpoint: CHAT };

const CHUNK: &str =
    r#"data: {"id":"x","choices":[{"index":0,"delta":{"content":"hi"}}],"usage":null}"#;
const USAGE: &str = r#"data: {"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}}"#;
const COUNTED: Usage = Usage {
    prompt_tokens: 5,
    completion_tokens: 2,
    cached_tokens: 3,
    total_tokens: 7,
};

#[derive(Debug, PartialEq)]
struct Seen {
    out: String,
    /// Every push was answered with `Same`.
    untouched: bool,
    separator: &'static str,
    complete: bool,
    usage: Option<Usage>,
}

fn observe<'a>(
    kind: Kind,
    secret: Option<&str>,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Seen {
    let secret = secret.map(Secret::new);
    let mut observer = Observer::new(kind, secret.as_ref());
    let mut out = Vec::new();
    let mut untouched = true;
    for chunk in chunks {
        match observer.push(chunk) {
            Output::Same => out.extend_from_slice(chunk),
            Output::Replace(bytes) => {
                untouched = false;
                out.extend(bytes);
            }
        }
    }
    let finish = observer.finish();
    out.extend(finish.tail);
    Seen {
        out: String::from_utf8(out).unwrap(),
        untouched,
        separator: finish.separator,
        complete: finish.complete,
        usage: finish.observed.usage,
    }
}

/// Observes the whole text, byte by byte, and in pieces of a few sizes; all must agree.
fn seen(kind: Kind, secret: Option<&str>, text: &str) -> Seen {
    let whole = observe(kind, secret, [text.as_bytes()]);
    for size in [1, 2, 3, 7, 64] {
        let mut pieces = observe(kind, secret, text.as_bytes().chunks(size));
        pieces.untouched = whole.untouched;
        assert_eq!(pieces, whole, "pieces of {size} bytes of {text:?}");
    }
    whole
}

#[test]
fn usage_only_event_is_removed_exactly_and_nothing_else() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stop = [line_end, line_end].concat();
        let text = [
            CHUNK,
            &stop,
            ": comment",
            &stop,
            CHUNK,
            &stop,
            USAGE,
            &stop,
            "data: [DONE]",
            &stop,
        ]
        .concat();
        let found = seen(STRIP, None, &text);
        assert_eq!(
            found.out,
            text.replace(&[USAGE, &stop].concat(), ""),
            "{line_end:?}"
        );
        assert_eq!(
            (found.complete, found.usage, found.separator),
            (true, Some(COUNTED), "")
        );
        let kept = seen(KEEP, None, &text);
        assert_eq!((kept.out.as_str(), kept.untouched), (text.as_str(), true));
        assert_eq!((kept.complete, kept.usage), (true, Some(COUNTED)));
    }
}

#[test]
fn chunk_of_whole_events_is_forwarded_as_it_is() {
    let mut observer = Observer::new(STRIP, Some(&Secret::new("sk-0123456789")));
    assert_eq!(
        observer.push(format!("{CHUNK}\n\n{CHUNK}\n\n").as_bytes()),
        Output::Same
    );
    assert_eq!(
        observer.push(format!("{USAGE}\n\n").as_bytes()),
        Output::Replace(Vec::new())
    );
    assert_eq!(observer.push(b"data: [DONE]\n\n"), Output::Same);
    let finish = observer.finish();
    assert_eq!(
        (finish.tail.len(), finish.complete, finish.observed.usage),
        (0, true, Some(COUNTED))
    );
}

#[test]
fn partial_event_is_held_back_until_it_is_complete_when_stripping() {
    let mut observer = Observer::new(STRIP, None);
    let text = format!("{CHUNK}\n\n{CHUNK}\n");
    assert_eq!(
        observer.push(text.as_bytes()),
        Output::Replace(format!("{CHUNK}\n\n").into_bytes())
    );
    assert_eq!(
        observer.push(b"\n"),
        Output::Replace(format!("{CHUNK}\n\n").into_bytes())
    );
    assert_eq!(observer.push(CHUNK.as_bytes()), Output::Replace(Vec::new()));
    assert_eq!(observer.finish().tail, CHUNK.as_bytes());
}

#[test]
fn usage_beside_choices_is_counted_and_stays() {
    let text = "data: {\"choices\":[{\"delta\":{}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let found = seen(STRIP, None, text);
    assert_eq!(
        (found.out.as_str(), found.usage.unwrap().total_tokens),
        (text, 3)
    );
}

#[test]
fn events_that_only_look_like_usage_stay() {
    for data in [
        r#"{"choices":[],"usage":null,"prompt_filter_results":[]}"#,
        r#"{"choices":[{"delta":{"content":"say \"usage\":{\"prompt_tokens\":1} please"}}]}"#,
        r#"{"usage":{"prompt_tokens":1}}"#,
        r#"{"choices":[],"usage":[]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1}"#,
        r#"not json with "usage":{"#,
    ] {
        let text = format!("data: {data}\n\ndata: [DONE]\n\n");
        assert_eq!(seen(STRIP, None, &text).out, text);
    }
}

#[test]
fn every_spelling_of_the_event_stream_is_understood() {
    let usage_json = USAGE.strip_prefix("data: ").unwrap();
    let (head, rest) = usage_json.split_at(10);
    for event in [
        format!("data:{usage_json}"),
        format!("id: 7\nevent: x\ndata: {usage_json}\nretry: 5"),
        format!(": note\r\ndata: {usage_json}"),
        format!("data: {head}\ndata: {rest}"),
        format!("data\ndata: {usage_json}"),
    ] {
        let text = format!("{CHUNK}\n\n{event}\n\ndata:[DONE]\n\n");
        let found = seen(STRIP, None, &text);
        assert_eq!(found.out, format!("{CHUNK}\n\ndata:[DONE]\n\n"), "{event}");
        assert_eq!(
            (found.usage, found.complete),
            (Some(COUNTED), true),
            "{event}"
        );
    }
}

#[test]
fn last_event_counts_without_a_final_empty_line() {
    for tail in ["", "\n", "\r", "\r\n"] {
        let found = seen(STRIP, None, &format!("{CHUNK}\n\ndata: [DONE]{tail}"));
        assert_eq!(
            (found.out, found.complete),
            (format!("{CHUNK}\n\ndata: [DONE]{tail}"), true),
            "{tail:?}"
        );
        let found = seen(STRIP, None, &format!("{CHUNK}\n\n{USAGE}{tail}"));
        assert_eq!(
            (found.out, found.complete),
            (format!("{CHUNK}\n\n"), false),
            "{tail:?}"
        );
        assert_eq!((found.usage, found.separator), (Some(COUNTED), ""));
    }
}

#[test]
fn stream_that_goes_on_after_done_is_complete_and_forwarded() {
    let text = format!("data: [DONE]\n\n{CHUNK}\n\n{USAGE}\n\n");
    let found = seen(STRIP, None, &text);
    assert_eq!(found.out, format!("data: [DONE]\n\n{CHUNK}\n\n"));
    assert_eq!((found.complete, found.usage), (true, Some(COUNTED)));
}

#[test]
fn stream_without_end_marker_is_incomplete() {
    for text in [
        "",
        ": only a comment\n\n",
        "data: {\"content\":\"[DONE]\"}\n\n",
        "data: [DONE] \n\n",
        "event: [DONE]\n\n",
    ] {
        let found = seen(KEEP, None, text);
        assert_eq!(
            (found.complete, found.separator, found.out.as_str()),
            (false, "", text)
        );
    }
    for kind in [KEEP, STRIP] {
        let cut = seen(kind, None, "data: {\"id\":");
        assert_eq!(
            (cut.complete, cut.separator, cut.out.as_str()),
            (false, "\n\n", "data: {\"id\":")
        );
    }
}

#[test]
fn error_event_after_a_cut_is_an_event_of_its_own() {
    let cut = seen(STRIP, None, &format!("{CHUNK}\n\n{CHUNK}"));
    let text = [&cut.out, cut.separator, "event: error\ndata: {}\n\n"].concat();
    assert!(text.ends_with("\n\nevent: error\ndata: {}\n\n"));
}

#[test]
fn oversize_event_is_passed_on_unread_and_the_stream_goes_on() {
    let filler = "x".repeat(EVENT_BYTES_MAX);
    let huge = format!(
        "data: {{\"x\":\"{filler}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":9}}}}\r\n\r\n"
    );
    let text = format!("{CHUNK}\n\n{huge}{USAGE}\n\ndata: [DONE]\n\n");
    for kind in [STRIP, KEEP] {
        let whole = observe(kind, None, [text.as_bytes()]);
        let pieces = observe(kind, None, text.as_bytes().chunks(60_001));
        let expected = if kind == STRIP {
            format!("{CHUNK}\n\n{huge}data: [DONE]\n\n")
        } else {
            text.clone()
        };
        for found in [whole, pieces] {
            assert!(found.out == expected, "the huge event is not what it was");
            assert_eq!((found.complete, found.usage), (true, Some(COUNTED)));
        }
    }
}

#[test]
fn oversize_event_is_not_held_in_memory() {
    let mut observer = Observer::new(STRIP, None);
    let chunk = vec![b'x'; EVENT_BYTES_MAX / 2];
    let mut forwarded = 0;
    for _ in 0..20 {
        match observer.push(&chunk) {
            Output::Same => forwarded += chunk.len(),
            Output::Replace(bytes) => forwarded += bytes.len(),
        }
    }
    assert_eq!(forwarded, 20 * chunk.len());
    assert!(observer.finish().tail.is_empty());
}

#[test]
fn plain_answer_gives_its_usage_and_is_not_touched() {
    let text = r#"{"id":"x","choices":[{"message":{"content":"\"usage\""}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}}"#;
    let found = seen(JSON, Some("sk-0123456789"), text);
    assert_eq!(
        (found.out.as_str(), found.untouched, found.complete),
        (text, true, true)
    );
    assert_eq!(found.usage, Some(COUNTED));
    let opaque = seen(Kind::Opaque, None, text);
    assert_eq!(
        (opaque.out.as_str(), opaque.complete, opaque.usage),
        (text, true, None)
    );
}

#[test]
fn secret_is_redacted_in_every_kind_even_in_a_tail() {
    for kind in [KEEP, STRIP, JSON, Kind::Opaque] {
        let found = seen(
            kind,
            Some("sk-secret-1"),
            "data: Incorrect key sk-secret-1.\n\ndata: sk-secret-1",
        );
        assert_eq!(
            found.out, "data: Incorrect key [redacted].\n\ndata: [redacted]",
            "{kind:?}"
        );
    }
}

#[test]
fn a_whole_answer_is_redacted_to_its_last_byte() {
    let secret = Secret::new("sk-secret-0123456789");
    let quoted = b"no sk-secret-0123456789 and sk-secret-0123".to_vec();
    assert_eq!(
        redacted(quoted.clone(), Some(&secret)),
        b"no [redacted] and sk-secret-0123"
    );
    assert_eq!(redacted(quoted.clone(), None), quoted);
}

#[test]
fn kind_follows_the_content_type() {
    assert_eq!(
        Kind::of(Some("text/event-stream; charset=utf-8"), CHAT, true),
        STRIP
    );
    assert_eq!(Kind::of(Some("Text/Event-Stream"), CHAT, false), KEEP);
    assert_eq!(
        Kind::of(Some("application/json;charset=utf-8"), CHAT, true),
        JSON
    );
    assert_eq!(Kind::of(Some("application/problem+json"), CHAT, true), JSON);
    assert_eq!(Kind::of(Some("text/html"), CHAT, true), Kind::Opaque);
    assert_eq!(Kind::of(None, CHAT, true), Kind::Opaque);
}

#[test]
fn a_comment_fits_only_between_whole_events_of_a_stream() {
    let mut plain = Observer::new(KEEP, None);
    assert!(plain.is_between_events());
    plain.push(b"data: {");
    assert!(!plain.is_between_events());
    plain.push(b"}\n\n");
    assert!(plain.is_between_events());
    let mut stripping = Observer::new(STRIP, None);
    stripping.push(b"data: {");
    assert!(stripping.is_between_events(), "the beginning is held back");
    let secret = Secret::new("sk-secret-0123456789");
    let mut redacting = Observer::new(STRIP, Some(&secret));
    redacting.push(b"data: x\n\n");
    assert!(redacting.is_between_events());
    assert!(!Observer::new(JSON, None).is_between_events());
}

#[test]
fn usage_so_far_is_known_where_the_stream_breaks_off() {
    let mut observer = Observer::new(KEEP, None);
    observer.push(format!("{USAGE}\n\ndata: {{\"choi").as_bytes());
    let finish = observer.finish();
    assert_eq!(
        (finish.complete, finish.observed.usage),
        (false, Some(COUNTED))
    );
}

const SECRET: &str = "sk-aa\"b:a";

fn any_piece() -> impl Strategy<Value = String> {
    let stop = prop_oneof![
        Just("\n\n"),
        Just("\r\n\r\n"),
        Just("\r\r"),
        Just("\n\r\n"),
        Just("\n"),
        Just("\r"),
        Just("")
    ];
    let body = prop_oneof![
        4 => Just(CHUNK.to_owned()),
        3 => Just(USAGE.to_owned()),
        1 => Just("data: [DONE]".to_owned()),
        1 => Just("data:[DONE]".to_owned()),
        1 => Just(": comment".to_owned()),
        1 => Just(SECRET.to_owned()),
        1 => Just("data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":4}}".to_owned()),
        2 => "[a-z:\"{}\\[\\], \u{e9}]{0,12}",
    ];
    (body, stop).prop_map(|(body, stop)| body + stop)
}

fn cut<'a>(text: &'a str, sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    let mut rest = text.as_bytes();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, left) = rest.split_at((*size).min(rest.len()));
        chunks.push(chunk);
        rest = left;
    }
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_chunking_gives_the_same_output_usage_and_completeness(
        pieces in proptest::collection::vec(any_piece(), 0..12),
        sizes in proptest::collection::vec(prop_oneof![1_usize..6, 20_usize..300], 1..12),
        strip_usage in any::<bool>(), with_secret in any::<bool>(), json in any::<bool>(),
    ) {
        let text = pieces.concat();
        let kind = if json { JSON } else { Kind::EventStream { endpoint: CHAT, strip_usage } };
        let secret = with_secret.then_some(SECRET);
        let whole = observe(kind, secret, [text.as_bytes()]);
        for chunks in [cut(&text, &sizes), cut(&text, &[1])] {
            let pieces = observe(kind, secret, chunks);
            prop_assert_eq!((&pieces.out, pieces.usage, pieces.complete), (&whole.out, whole.usage, whole.complete));
            prop_assert_eq!(pieces.separator, whole.separator);
        }
        if with_secret {
            prop_assert!(!whole.out.contains(SECRET));
        }
        let strips = strip_usage && !json;
        let redacts = with_secret && text.contains(SECRET);
        if !strips && !redacts {
            prop_assert_eq!(&whole.out, &text);
            if secret.is_none() {
                prop_assert!(observe(kind, secret, cut(&text, &sizes)).untouched);
            }
        }
    }

    #[test]
    fn stripping_removes_the_usage_only_events_and_nothing_else(
        events in proptest::collection::vec((prop_oneof![
            Just(CHUNK), Just(USAGE), Just(": ping"), Just("data: {\"usage\":{}}"), Just("event: a\ndata: b"),
        ], prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\n\r\n")]), 0..12),
        sizes in proptest::collection::vec(1_usize..200, 1..9),
    ) {
        let join = |keep: &dyn Fn(&str) -> bool| -> String {
            events.iter().filter(|(event, _)| keep(event)).map(|(event, stop)| [*event, *stop].concat()).collect()
        };
        let found = observe(STRIP, None, cut(&join(&|_| true), &sizes));
        prop_assert_eq!(found.out, join(&|event| event != USAGE));
        prop_assert_eq!(found.usage, events.iter().any(|(event, _)| *event == USAGE).then_some(COUNTED));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), strip_usage in any::<bool>()) {
        let mut observer = Observer::new(Kind::EventStream { endpoint: CHAT, strip_usage }, None);
        let mut out = Vec::new();
        for chunk in bytes.chunks(7) {
            match observer.push(chunk) {
                Output::Same => out.extend_from_slice(chunk),
                Output::Replace(replaced) => out.extend(replaced),
            }
        }
        out.extend(observer.finish().tail);
        prop_assert_eq!(out, bytes);
    }
}

/// Each field was once joined to a copy of all before it. The quickest of twelve is measured, since a machine may be
/// busy; four times the bytes then took twelve times as long.
#[test]
fn an_event_of_two_hundred_thousand_fields_is_read_in_the_time_of_its_bytes() {
    let usage = USAGE.strip_prefix("data: ").unwrap();
    let quickest = |bytes: usize| {
        let fields = "data\n".repeat(bytes / 5 - 50);
        let event = format!("{fields}data: {usage}\n\n");
        let took = (0..12).map(|_| {
            let began = std::time::Instant::now();
            let found = observe(KEEP, None, [event.as_bytes()]);
            assert_eq!(found.usage, Some(COUNTED));
            began.elapsed()
        });
        took.min().unwrap()
    };
    let (quarter, whole) = (quickest(EVENT_BYTES_MAX / 4), quickest(EVENT_BYTES_MAX));
    assert!(whole < quarter * 8, "{quarter:?}, then {whole:?}");
}
