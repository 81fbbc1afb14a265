//! 用量：从回答里读出令牌数。
//!
//! Owns the token counts of one answer and how they are read from a usage object, from a stream's event, and
//! from a plain JSON answer as it passes by in pieces of any size.
//!
//! Invariant: reading never fails an answer. What can not be read is unknown, and memory is bounded.

use memchr::memchr2;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Largest usage object that is captured from a plain answer; real ones have a few hundred bytes.
pub const USAGE_BYTES_MAX: usize = 64 * 1024;

/// What an answer cost, as its provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Tokens of the prompt that came from the provider's cache.
    pub cached_tokens: u64,
    /// What counts against a token limit.
    pub total_tokens: u64,
}

/// What an event of a stream says about usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventUsage {
    pub(crate) usage: Option<Usage>,
    /// The event has nothing else to say: `choices` is empty and `usage` is an object.
    pub(crate) usage_only: bool,
}

/// Fields stay raw, so that one of an unexpected type spoils only itself.
#[derive(Deserialize)]
struct AnswerWire<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UsageWire<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    total_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_tokens_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct DetailsWire<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
}

impl Usage {
    /// Reads a usage object. `None` if it is none, or names no count at all.
    #[must_use]
    pub fn from_json(object: &[u8]) -> Option<Self> {
        let wire: UsageWire = object_from(object)?;
        let prompt = count(wire.prompt_tokens);
        let completion = count(wire.completion_tokens);
        let total = count(wire.total_tokens);
        prompt.or(completion).or(total)?;
        let details: Option<DetailsWire> = wire
            .prompt_tokens_details
            .and_then(|raw| object_from(raw.get().as_bytes()));
        let prompt_tokens = prompt.unwrap_or(0);
        let completion_tokens = completion.unwrap_or(0);
        Some(Self {
            prompt_tokens,
            completion_tokens,
            cached_tokens: details
                .and_then(|details| count(details.cached_tokens))
                .unwrap_or(0),
            total_tokens: total.unwrap_or_else(|| prompt_tokens.saturating_add(completion_tokens)),
        })
    }
}

/// Reads the data of one event of a chat stream.
pub(crate) fn of_event(data: &[u8]) -> Option<EventUsage> {
    let wire: AnswerWire = object_from(data)?;
    let usage = wire
        .usage
        .map(|raw| raw.get().as_bytes())
        .filter(|text| text.starts_with(b"{"))?;
    Some(EventUsage {
        usage: Usage::from_json(usage),
        usage_only: wire
            .choices
            .is_some_and(|choices| is_empty_array(choices.get())),
    })
}

/// Only objects: serde would take an array for a struct as well.
fn object_from<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let text = text.trim_ascii();
    if text.starts_with(b"{") {
        serde_json::from_slice(text).ok()
    } else {
        None
    }
}

fn count(raw: Option<&RawValue>) -> Option<u64> {
    raw?.get().parse().ok()
}

fn is_empty_array(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|inner| inner.trim().is_empty())
}

/// Finds the top-level `usage` object of a JSON answer while the answer passes by.
///
/// It follows nesting and strings but validates nothing: the answer is the provider's.
#[derive(Debug, Default)]
pub(crate) struct UsageScanner {
    depth: u64,
    place: Place,
    root: Root,
    /// The first bytes of the root object's latest key, closing quote included.
    key: Vec<u8>,
    capture: Option<Vec<u8>>,
    usage: Option<Usage>,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Structure,
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// Where the scanner is in the root object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Root {
    #[default]
    Elsewhere,
    BeforeKey,
    InKey,
    AfterKey,
    BeforeUsage,
}

/// The key with its closing quote, as it stands in the text.
const USAGE_KEY: &[u8] = b"usage\"";

impl UsageScanner {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.place == Place::Structure {
                self.capture(&[byte]);
                self.structure(byte);
                rest = after;
            } else {
                rest = self.string(rest);
            }
        }
    }

    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Consumes up to the next quote or backslash of a string; answers what is left.
    fn string<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let (len, place) = if self.place == Place::Escape {
            (1, Place::String)
        } else {
            match memchr2(b'"', b'\\', rest) {
                Some(at) if rest.get(at) == Some(&b'\\') => (at.saturating_add(1), Place::Escape),
                Some(at) => (at.saturating_add(1), Place::Structure),
                None => (rest.len(), Place::String),
            }
        };
        self.place = place;
        let (consumed, left) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        self.capture(consumed);
        if self.root == Root::InKey {
            // One byte more than the key is enough to tell a longer one.
            let room = USAGE_KEY
                .len()
                .saturating_add(1)
                .saturating_sub(self.key.len());
            self.key.extend(consumed.iter().take(room));
            if place == Place::Structure {
                self.root = Root::AfterKey;
            }
        }
        left
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.place = Place::String;
                if self.root == Root::BeforeKey {
                    self.root = Root::InKey;
                    self.key.clear();
                }
            }
            b'{' | b'[' => {
                if byte == b'{' && self.root == Root::BeforeUsage {
                    self.capture = Some(vec![byte]);
                }
                let root_opens = byte == b'{' && self.depth == 0;
                self.root = if root_opens {
                    Root::BeforeKey
                } else {
                    Root::Elsewhere
                };
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 1
                    && let Some(object) = self.capture.take()
                {
                    self.usage = Usage::from_json(&object);
                }
            }
            b':' if self.root == Root::AfterKey => {
                let wanted = self.key == USAGE_KEY;
                self.root = if wanted {
                    Root::BeforeUsage
                } else {
                    Root::Elsewhere
                };
            }
            b',' if self.depth == 1 => self.root = Root::BeforeKey,
            _ => {}
        }
    }

    fn capture(&mut self, bytes: &[u8]) {
        if let Some(object) = &mut self.capture {
            object.extend_from_slice(bytes);
            if object.len() > USAGE_BYTES_MAX {
                self.capture = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usage(prompt: u64, completion: u64, cached: u64, total: u64) -> Usage {
        Usage {
            prompt_tokens: prompt,
            completion_tokens: completion,
            cached_tokens: cached,
            total_tokens: total,
        }
    }

    fn scan(body: &str) -> Option<Usage> {
        let mut whole = UsageScanner::default();
        whole.push(body.as_bytes());
        let mut bytewise = UsageScanner::default();
        for byte in body.as_bytes() {
            bytewise.push(&[*byte]);
        }
        assert_eq!(whole.usage(), bytewise.usage(), "{body}");
        whole.usage()
    }

    #[test]
    fn usage_object_is_read_with_cached_tokens() {
        let text = br#" {"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,
            "prompt_tokens_details":{"cached_tokens":8,"audio_tokens":0},"x":{"y":[1]}} "#;
        assert_eq!(Usage::from_json(text), Some(usage(10, 5, 8, 15)));
    }

    #[test]
    fn missing_counts_are_zero_and_a_missing_total_is_the_sum() {
        assert_eq!(
            Usage::from_json(br#"{"prompt_tokens":3,"completion_tokens":4}"#),
            Some(usage(3, 4, 0, 7))
        );
        assert_eq!(
            Usage::from_json(br#"{"prompt_tokens":3,"total_tokens":3}"#),
            Some(usage(3, 0, 0, 3))
        );
        let most = format!(
            r#"{{"prompt_tokens":{0},"completion_tokens":{0}}}"#,
            u64::MAX
        );
        assert_eq!(
            Usage::from_json(most.as_bytes()).unwrap().total_tokens,
            u64::MAX
        );
    }

    #[test]
    fn one_odd_field_spoils_only_itself() {
        let text = br#"{"prompt_tokens":3,"completion_tokens":null,"total_tokens":"9","prompt_tokens_details":7}"#;
        assert_eq!(Usage::from_json(text), Some(usage(3, 0, 0, 3)));
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
            assert_eq!(Usage::from_json(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn event_is_usage_only_when_choices_is_empty_and_usage_an_object() {
        let only = |data: &str| of_event(data.as_bytes()).is_some_and(|event| event.usage_only);
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
        let mut scanner = UsageScanner::default();
        scanner.push(body.as_bytes());
        assert_eq!(scanner.usage(), None);
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
            let mut scanner = UsageScanner::default();
            let mut rest = body.as_bytes();
            for cut in cuts.iter().cycle() {
                let (chunk, left) = rest.split_at((*cut).min(rest.len()));
                scanner.push(chunk);
                rest = left;
                if rest.is_empty() { break; }
            }
            let tokens = u64::from(tokens);
            prop_assert_eq!(scanner.usage(), (!nested).then(|| usage(tokens, 1, 0, tokens + 1)));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut scanner = UsageScanner::default();
            scanner.push(&bytes);
            let _ = (Usage::from_json(&bytes), of_event(&bytes));
        }
    }
}
