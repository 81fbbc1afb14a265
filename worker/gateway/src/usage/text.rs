//! 文本计量：回答的文字有多少字节，不解析 JSON。
//!
//! Counts the bytes of the strings that stand under certain keys of a JSON text, at any depth, while it passes by
//! in pieces of any size. It is the measure of an answer whose server does not count its tokens. Escapes count as
//! they stand.
//!
//! Invariant: the count does not depend on how the text was cut, and memory is bounded.

use memchr::{memchr, memchr2};

/// Longer than any key that is looked for: what is longer is none of them.
const KEY_BYTES_MAX: usize = 24;

/// See the module.
#[derive(Debug)]
pub(crate) struct TextMeter {
    keys: &'static [&'static str],
    place: Place,
    /// The string at hand or before, as far as it may be a key.
    key: Vec<u8>,
    bytes: u64,
}

/// Where the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between strings.
    Between(Between),
    /// In a string; `escaped` behind a backslash.
    In { text: bool, escaped: bool },
}

/// What stands between the string before and here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    Colon,
    Other,
}

impl TextMeter {
    pub(crate) const fn new(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            place: Place::Between(Between::Other),
            key: Vec::new(),
            bytes: 0,
        }
    }

    /// Bytes of text so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Another JSON text begins; what was counted stays.
    pub(crate) fn begin(&mut self) {
        self.place = Place::Between(Between::Other);
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() && !self.keys.is_empty() {
            rest = match self.place {
                Place::Between(between) => self.between(between, rest),
                Place::In { text, escaped } => self.within(text, escaped, rest),
            };
        }
    }

    fn between<'a>(&mut self, before: Between, rest: &'a [u8]) -> &'a [u8] {
        let quote = memchr(b'"', rest);
        let gap = rest.get(..quote.unwrap_or(rest.len())).unwrap_or(rest);
        let between = match (before, gap.trim_ascii()) {
            (before, b"") => before,
            (Between::Nothing, b":") => Between::Colon,
            _ => Between::Other,
        };
        let Some(quote) = quote else {
            self.place = Place::Between(between);
            return &[];
        };
        let text = between == Between::Colon && self.is_key();
        self.place = Place::In {
            text,
            escaped: false,
        };
        self.key.clear();
        rest.get(quote.saturating_add(1)..).unwrap_or_default()
    }

    fn within<'a>(&mut self, text: bool, escaped: bool, rest: &'a [u8]) -> &'a [u8] {
        let stop = if escaped {
            None
        } else {
            memchr2(b'"', b'\\', rest)
        };
        let len = if escaped {
            1
        } else {
            stop.unwrap_or(rest.len())
        };
        let (piece, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        self.take(text, piece);
        let Some((&byte, behind)) = after.split_first().filter(|_| stop.is_some()) else {
            self.place = Place::In {
                text,
                escaped: false,
            };
            return after;
        };
        if byte == b'\\' {
            self.take(text, b"\\");
            self.place = Place::In {
                text,
                escaped: true,
            };
        } else {
            self.place = Place::Between(Between::Nothing);
        }
        behind
    }

    fn take(&mut self, text: bool, piece: &[u8]) {
        if text {
            let more = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.bytes = self.bytes.saturating_add(more);
        } else {
            let room = KEY_BYTES_MAX.saturating_sub(self.key.len());
            self.key.extend(piece.iter().take(room));
        }
    }

    fn is_key(&self) -> bool {
        self.keys.iter().any(|key| key.as_bytes() == self.key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measured(text: &str, piece: usize) -> u64 {
        let mut meter = TextMeter::new(&["content", "text"]);
        for chunk in text.as_bytes().chunks(piece) {
            meter.push(chunk);
        }
        meter.bytes()
    }

    #[test]
    fn only_strings_under_the_keys_count() {
        for (text, bytes) in [
            (r#"{"content":"four"}"#, 4),
            (r#"{"a":{"content" : "four","text":"x"}}"#, 5),
            (r#"{"content":null,"other":"y"}"#, 0),
            (r#"{"content":["text","content"]}"#, 0),
            (r#"{"x":"content","y":"z"}"#, 0),
            (r#"{"contents":"y","my content":"z"}"#, 0),
            (r#"{"content":"a\"b\\","x":"content:"}"#, 6),
            (r#"{"content":[{"text":"ab"},{"text":"c"}]}"#, 3),
            ("", 0),
            ("\"", 0),
        ] {
            for piece in [1, 2, 3, 100] {
                assert_eq!(measured(text, piece), bytes, "{text} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_torn_text_before_does_not_disturb_the_next_one() {
        let mut meter = TextMeter::new(&["text"]);
        meter.push(br#"{"text":"abc"#);
        meter.begin();
        meter.push(br#"{"text":"de"}"#);
        assert_eq!(meter.bytes(), 5);
    }

    proptest! {
        #[test]
        fn any_bytes_are_measured_alike_at_any_chunking(
            text in r#"[a"\\:, {}\[\]tex]{0,60}"#, piece in 1_usize..9,
        ) {
            let text = text.replace('t', "\"text\":");
            prop_assert_eq!(measured(&text, piece), measured(&text, usize::MAX));
        }
    }
}
