//! 各端点的流：用量与普通应答相等，怎样切分都一样。
//!
//! What the answers of each endpoint look like, plain and as a stream in every framing that the event-stream
//! format allows, and that the same is learnt from either. The shapes follow the providers' own clients.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "sums of small numbers; an overflow fails the test"
)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::usage::Usage;

/// An answer before it is written either way.
#[derive(Clone, Debug)]
struct Answer {
    words: Vec<String>,
    /// Prompt without what a cache took part in, read from a cache, written to a cache, output, reasoning in it.
    counts: Option<[u32; 5]>,
}

impl Answer {
    fn usage(&self, endpoint: Endpoint) -> Option<Value> {
        let [fresh, read, written, output, reasoning] = self.counts?.map(u64::from);
        let prompt = fresh + read + written;
        Some(match endpoint {
            Endpoint::Messages => json!({
                "input_tokens": fresh, "cache_read_input_tokens": read,
                "cache_creation_input_tokens": written, "output_tokens": output,
            }),
            Endpoint::Responses => json!({
                "input_tokens": prompt, "input_tokens_details": {"cached_tokens": read},
                "output_tokens": output, "output_tokens_details": {"reasoning_tokens": reasoning},
                "total_tokens": prompt + output,
            }),
            Endpoint::Embeddings => json!({"prompt_tokens": prompt, "total_tokens": prompt}),
            Endpoint::ChatCompletions | Endpoint::Completions => json!({
                "prompt_tokens": prompt, "prompt_tokens_details": {"cached_tokens": read},
                "completion_tokens": output, "completion_tokens_details": {"reasoning_tokens": reasoning},
                "total_tokens": prompt + output,
            }),
        })
    }

    fn expected(&self, endpoint: Endpoint) -> Option<Usage> {
        let [fresh, read, written, output, _] = self.counts?.map(u64::from);
        let prompt = fresh + read + written;
        let output = if endpoint.has_output() { output } else { 0 };
        Some(Usage {
            prompt_tokens: prompt,
            completion_tokens: output,
            cached_tokens: if endpoint.has_output() { read } else { 0 },
            total_tokens: prompt + output,
        })
    }

    fn plain(&self, endpoint: Endpoint) -> String {
        let text = self.words.concat();
        let mut body = match endpoint {
            Endpoint::ChatCompletions => {
                json!({"choices": [{"message": {"role": "assistant", "content": text}}]})
            }
            Endpoint::Completions => json!({"choices": [{"text": text}]}),
            Endpoint::Embeddings => json!({"data": [{"embedding": [0.5, -1e-7], "index": 0}]}),
            Endpoint::Responses => json!({
                "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
                "instructions": "no usage {\"usage\":{}}", "usage": null,
            }),
            Endpoint::Messages => json!({"content": [{"type": "text", "text": text}]}),
        };
        if let Some(usage) = self.usage(endpoint) {
            body["usage"] = usage;
        }
        body.to_string()
    }

    /// Name and data of every event.
    fn events(&self, endpoint: Endpoint) -> Vec<(Option<&'static str>, String)> {
        let usage = self.usage(endpoint);
        match endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => {
                let chunk = |word: &String| match endpoint {
                    Endpoint::Completions => {
                        json!({"choices": [{"text": word}], "usage": null})
                    }
                    _ => json!({"choices": [{"delta": {"content": word}}], "usage": null}),
                };
                let mut events: Vec<_> = self.words.iter().map(chunk).collect();
                events.extend(usage.map(|usage| json!({"choices": [], "usage": usage})));
                let mut texts: Vec<_> = events
                    .iter()
                    .map(|event| (None, event.to_string()))
                    .collect();
                texts.push((None, "[DONE]".to_owned()));
                texts
            }
            Endpoint::Responses => self.response_events(usage.as_ref()),
            Endpoint::Messages => self.message_events(),
            Endpoint::Embeddings => Vec::new(),
        }
    }

    fn response_events(&self, usage: Option<&Value>) -> Vec<(Option<&'static str>, String)> {
        let named = |name: &'static str, mut data: Value| {
            data["type"] = json!(name);
            (Some(name), data.to_string())
        };
        let text = self.words.concat();
        let mut events = vec![named(
            "response.created",
            json!({"response": {"status": "in_progress", "usage": null}}),
        )];
        events.extend(
            self.words
                .iter()
                .map(|word| named("response.output_text.delta", json!({"delta": word}))),
        );
        events.push(named("response.output_text.done", json!({"text": text})));
        let response = json!({"output": [{"content": [{"text": text}]}], "usage": usage});
        events.push(named("response.completed", json!({"response": response})));
        events
    }

    fn message_events(&self) -> Vec<(Option<&'static str>, String)> {
        let named = |name: &'static str, mut data: Value| {
            data["type"] = json!(name);
            (Some(name), data.to_string())
        };
        let (mut begin, mut end) = (json!({}), json!({"delta": {"stop_reason": "end_turn"}}));
        if let Some([fresh, read, written, output, _]) = self.counts {
            begin = json!({
                "input_tokens": fresh, "cache_read_input_tokens": read,
                "cache_creation_input_tokens": written, "output_tokens": 1,
            });
            // Null where it repeats nothing, as the clients' types allow.
            end["usage"] = json!({"output_tokens": output, "input_tokens": null});
        }
        let mut events = vec![
            named(
                "message_start",
                json!({"message": {"content": [], "usage": begin}}),
            ),
            named(
                "content_block_start",
                json!({"content_block": {"type": "text", "text": ""}}),
            ),
            named("ping", json!({})),
        ];
        let delta = |word: &String| json!({"delta": {"type": "text_delta", "text": word}});
        events.extend(
            self.words
                .iter()
                .map(|word| named("content_block_delta", delta(word))),
        );
        events.push(named("content_block_stop", json!({})));
        events.push(named("message_delta", end));
        events.push(named("message_stop", json!({})));
        events
    }
}

/// How a stream is written down.
#[derive(Clone, Debug)]
struct Framing {
    line_end: &'static str,
    comments: bool,
    /// `data` in several lines.
    many_lines: bool,
    names: Names,
    space: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    Before,
    After,
    /// The type in the data says it alone.
    Missing,
}

impl Framing {
    fn write(&self, events: &[(Option<&'static str>, String)]) -> String {
        let (end, space) = (self.line_end, self.space);
        let mut text = String::new();
        for (name, data) in events {
            let name = name.map(|name| format!("event:{space}{name}{end}"));
            if self.comments {
                text.extend([format!(": \"usage\":{{ [DONE] \"{end}")]);
            }
            if let (Some(name), Names::Before) = (&name, self.names) {
                text += name;
            }
            // A line may end wherever JSON allows white space.
            let data = if self.many_lines {
                let inner = data
                    .strip_prefix('{')
                    .and_then(|rest| rest.strip_suffix('}'));
                inner.map_or_else(|| data.clone(), |inner| format!("{{\n{inner}\n}}"))
            } else {
                data.clone()
            };
            for line in data.split('\n') {
                text.extend([format!("data:{space}{line}{end}")]);
            }
            if let (Some(name), Names::After) = (&name, self.names) {
                text += name;
            }
            text += end;
        }
        text
    }
}

fn observed<'a>(kind: Kind, chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Finish) {
    let mut observer = Observer::new(kind, None);
    let mut out = Vec::new();
    for chunk in chunks {
        match observer.push(chunk) {
            Output::Same => out.extend_from_slice(chunk),
            Output::Replace(bytes) => out.extend(bytes),
        }
    }
    let finish = observer.finish();
    out.extend_from_slice(&finish.tail);
    (out, finish)
}

const fn stream(endpoint: Endpoint) -> Kind {
    Kind::EventStream {
        endpoint,
        strip_usage: false,
    }
}

/// The stream as a whole, byte by byte, and cut at the given sizes.
fn everyway(endpoint: Endpoint, text: &str, sizes: &[usize]) -> Finish {
    let (out, whole) = observed(stream(endpoint), std::iter::once(text.as_bytes()));
    assert_eq!(out, text.as_bytes());
    let (out, bytewise) = observed(stream(endpoint), text.as_bytes().chunks(1));
    assert_eq!((out.as_slice(), &bytewise), (text.as_bytes(), &whole));
    let mut rest = text.as_bytes();
    let pieces = sizes.iter().cycle().map_while(|size| {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    });
    let (out, cut) = observed(stream(endpoint), pieces);
    assert_eq!((out.as_slice(), &cut), (text.as_bytes(), &whole));
    whole
}

fn streaming() -> impl Strategy<Value = Endpoint> {
    prop::sample::select(vec![
        Endpoint::ChatCompletions,
        Endpoint::Completions,
        Endpoint::Responses,
        Endpoint::Messages,
    ])
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let word = prop_oneof![
        4 => "[a-z ]{1,9}",
        1 => Just("\"usage\":{\"prompt_tokens\":9}".to_owned()),
        1 => Just("event: message_stop\n\ndata: [DONE] response.completed".to_owned()),
        1 => "[\"\\\\{}\u{e9}\u{4e2d}\n]{1,6}",
    ];
    let words = prop::collection::vec(word, 1..6);
    let counts = prop::option::weighted(0.8, any::<[u32; 5]>());
    (words, counts).prop_map(|(words, counts)| Answer { words, counts })
}

fn any_framing() -> impl Strategy<Value = Framing> {
    let names = prop_oneof![
        4 => Just(Names::Before), 1 => Just(Names::After), 1 => Just(Names::Missing),
    ];
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let space = prop::sample::select(vec!["", " "]);
    (line_end, any::<bool>(), any::<bool>(), names, space).prop_map(
        |(line_end, comments, many_lines, names, space)| Framing {
            line_end,
            comments,
            many_lines,
            names,
            space,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_stream_tells_what_the_same_plain_answer_tells_at_any_chunking(
        endpoint in streaming(), answer in any_answer(), framing in any_framing(),
        sizes in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let plain = answer.plain(endpoint);
        let (out, told) = observed(Kind::Json { endpoint }, plain.as_bytes().chunks(sizes[0]));
        prop_assert_eq!(out, plain.as_bytes());
        prop_assert_eq!(told.observed.usage, answer.expected(endpoint));
        let streamed = everyway(endpoint, &framing.write(&answer.events(endpoint)), &sizes);
        prop_assert!(streamed.complete);
        prop_assert_eq!(streamed.observed.usage, told.observed.usage);
        if answer.counts.is_none() {
            prop_assert!(streamed.observed.output_tokens > 0);
            // One text is measured as a whole and the other in pieces, each with the escapes of JSON.
            prop_assert_eq!(streamed.observed.output_tokens, told.observed.output_tokens);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_not_complete_and_its_estimate_is_never_exact(
        endpoint in streaming(), answer in any_answer(), framing in any_framing(),
        keep in any::<prop::sample::Index>(), sizes in prop::collection::vec(1_usize..40, 1..8),
    ) {
        let mut events = answer.events(endpoint);
        events.truncate(keep.index(events.len()));
        let finish = everyway(endpoint, &framing.write(&events), &sizes);
        prop_assert!(!finish.complete);
        let may_know = match endpoint {
            // Their usage stands in an event before the last one.
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Messages => {
                events.len() + 1 == answer.events(endpoint).len()
            }
            Endpoint::Responses | Endpoint::Embeddings => false,
        };
        if !may_know {
            prop_assert_eq!(finish.observed.usage, None);
        }
    }

    #[test]
    fn embeddings_tell_their_prompt_and_have_no_output(
        answer in any_answer(), size in 1_usize..40,
    ) {
        let endpoint = Endpoint::Embeddings;
        let plain = answer.plain(endpoint);
        let (_, finish) = observed(Kind::Json { endpoint }, plain.as_bytes().chunks(size));
        prop_assert_eq!(finish.observed.usage, answer.expected(endpoint));
        prop_assert_eq!(finish.observed.output_tokens, 0);
    }
}

#[test]
fn a_message_whose_stream_breaks_off_has_its_prompt_and_an_estimate() {
    let text = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,",
        "\"cache_read_input_tokens\":5,\"output_tokens\":2}}}\n\n",
        "event: content_block_delta\ndata: {\"delta\":{\"type\":\"text_delta\",\"text\":\"twelve bytes\"}}\n\n",
    );
    let finish = everyway(Endpoint::Messages, text, &[7]);
    let expected = Observed {
        usage: None,
        prompt_tokens: Some(15),
        cached_tokens: 5,
        output_tokens: 3,
    };
    assert_eq!((finish.complete, finish.observed), (false, expected));
}

#[test]
fn an_error_that_the_provider_tells_in_the_stream_is_an_end() {
    for endpoint in [Endpoint::Messages, Endpoint::Responses] {
        let text = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
        assert!(everyway(endpoint, text, &[5]).complete);
        let torn = "event: error\ndata: {\"type\":\"err";
        assert!(!everyway(endpoint, torn, &[5]).complete);
    }
}

#[test]
fn every_last_event_of_a_response_tells_its_usage() {
    for name in [
        "response.completed",
        "response.incomplete",
        "response.failed",
    ] {
        let text = format!(
            "event: {name}\ndata: {{\"type\":\"{name}\",\"response\":{{\"usage\":{{\"input_tokens\":3,\"output_tokens\":4}}}}}}\n\n"
        );
        let finish = everyway(Endpoint::Responses, &text, &[11]);
        assert!(finish.complete);
        assert_eq!(finish.observed.usage.unwrap().total_tokens, 7);
    }
}

#[test]
fn the_last_event_of_a_response_may_be_longer_than_what_is_held() {
    let image = "A".repeat(crate::sse::EVENT_BYTES_MAX + 10);
    let data = format!(
        "{{\"type\":\"response.completed\",\"response\":{{\"output\":[{{\"result\":\"{image}\"}}],\"usage\":{{\"input_tokens\":3,\"output_tokens\":4,\"total_tokens\":7}}}}}}"
    );
    for (name, size) in [
        ("event: response.completed\n", usize::MAX),
        ("event: response.completed\n", 4_096),
        ("", 65_536),
    ] {
        let text = format!("{name}data: {data}\n\n");
        let (out, finish) = observed(stream(Endpoint::Responses), text.as_bytes().chunks(size));
        assert!(out == text.as_bytes());
        assert!(finish.complete, "{name} {size}");
        assert_eq!(finish.observed.usage.unwrap().total_tokens, 7);
        let torn = text
            .as_bytes()
            .chunks(size)
            .take(40)
            .collect::<Vec<_>>()
            .concat();
        let torn = &torn[..torn.len().min(text.len() - 20)];
        let (_, finish) = observed(stream(Endpoint::Responses), torn.chunks(size));
        assert!(!finish.complete, "{name} {size}");
    }
}

#[test]
fn embeddings_that_come_as_an_event_stream_pass_untouched() {
    let request = crate::inference::parse(Endpoint::Embeddings, br#"{"model":"m"}"#).unwrap();
    let kind = Kind::of_answer(200, Some("text/event-stream"), &request);
    assert_eq!(kind, Kind::Opaque);
}
