//! 事件流：任何切分，同样的结果；只少用量，不多一字。
//!
//! Event streams of all endpoints, with and without removal of usage and with a server key to redact. The oracles: the
//! chunking changes nothing; nothing but usage-only events is left out; the end marker is found where an
//! independent, simple reading of the whole text finds it; the key does not come out.

use gateway::config::Secret;
use gateway::endpoint::Endpoint;
use gateway::observer::{Finish, Kind, Observer, Output};
use gateway::redact::REPLACEMENT;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::input::Input;
use crate::requests::ENDPOINTS;

/// A key that mutation meets now and then.
const KEY: &str = "sk-abcab";

#[derive(Debug, PartialEq)]
struct Seen {
    out: Vec<u8>,
    finish: Finish,
}

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let endpoint = input.choice(&ENDPOINTS);
    let flags = input.byte();
    let (strip_usage, redacts) = (flags & 1 == 1, flags & 2 == 2);
    let mut sizes = u64::from(input.byte());
    let body = input.rest();
    let kind = Kind::EventStream {
        endpoint,
        strip_usage,
    };
    let secret = redacts.then(|| Secret::new(KEY));
    let (whole, is_untouched) = observe(kind, secret.as_ref(), [body]);
    let (pieces, _) = observe(kind, secret.as_ref(), cut(body, &mut sizes));
    assert_eq!(pieces, whole, "the chunking counts");
    if whole.finish.complete && endpoint == Endpoint::Embeddings {
        // It has no streams: its bytes are of no interest.
        return;
    }
    assert!(redacts || whole.out.len() <= body.len(), "more than came");
    if redacts {
        assert!(!contains(&whole.out, KEY.as_bytes()) || contains(REPLACEMENT, KEY.as_bytes()));
        if !strip_usage {
            assert_eq!(whole.out, replaced(body), "redacted otherwise");
        }
    } else if !strip_usage {
        assert!(is_untouched && whole.out == body, "changed without reason");
    }
    // An independent reading, where lines end with line feeds alone.
    if body.contains(&b'\r') || redacts {
        return;
    }
    let events = events(body);
    if strip_usage {
        only_usage_is_missing(&events, &whole.out);
    }
    if matches!(endpoint, Endpoint::ChatCompletions | Endpoint::Completions) {
        let is_done = events.iter().any(|event| data(event) == b"[DONE]");
        assert_eq!(whole.finish.complete, is_done, "the end marker");
    }
}

fn observe<'a>(
    kind: Kind,
    secret: Option<&Secret>,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Seen, bool) {
    let mut observer = Observer::new(kind, secret);
    let (mut out, mut is_untouched) = (Vec::new(), true);
    for chunk in chunks {
        match observer.push(chunk) {
            Output::Same => out.extend_from_slice(chunk),
            Output::Replace(bytes) => {
                is_untouched = false;
                out.extend(bytes);
            }
        }
    }
    let mut finish = observer.finish();
    out.append(&mut finish.tail);
    (Seen { out, finish }, is_untouched)
}

/// Pieces of sizes that follow from a number.
fn cut<'a>(bytes: &'a [u8], number: &mut u64) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        *number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let size = 1 + (*number >> 33) as usize % 9;
        let (piece, after) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The events of a text, each with its empty line; the last one may have none.
fn events(text: &[u8]) -> Vec<&[u8]> {
    let (mut events, mut start, mut line_start) = (Vec::new(), 0, 0);
    for (at, byte) in text.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        if at == line_start {
            events.push(&text[start..=at]);
            start = at + 1;
        }
        line_start = at + 1;
    }
    if start < text.len() {
        events.push(&text[start..]);
    }
    events
}

/// The data of an event.
fn data(event: &[u8]) -> Vec<u8> {
    let lines = event.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| match line.strip_prefix(b"data")? {
        [] => Some(&[][..]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    });
    fields.collect::<Vec<_>>().join(&b'\n')
}

fn only_usage_is_missing(events: &[&[u8]], out: &[u8]) {
    let mut rest = out;
    for event in events {
        if let Some(after) = rest.strip_prefix(*event) {
            rest = after;
            continue;
        }
        // As text: a number beyond a float is JSON as well.
        let read: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&data(event)).unwrap_or_default();
        let text = |name: &str| read.get(name).map_or("", |value| value.get());
        let is_empty = |list: &str| list.trim_matches(['[', ']']).trim().is_empty();
        let is_usage_only = text("usage").starts_with('{')
            && text("choices").starts_with('[')
            && is_empty(text("choices"));
        assert!(is_usage_only, "an event is missing that tells more");
    }
    assert!(rest.is_empty(), "something that did not come");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A left-to-right replacement in the whole text.
fn replaced(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(KEY.as_bytes()) {
            out.extend_from_slice(REPLACEMENT);
            rest = after;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}
