//! 平台的错误文本：截短，并抹去像秘密的东西。
//!
//! Owns what may be logged of a text that a platform or a library wrote about a failure. Such a text can quote
//! what it was about: a URL with its query, a header, a bound value of a statement.
//!
//! Invariant: no run of characters that could be a key survives, whoever wrote the text.

use serde::Serialize;

/// Longest detail, in characters.
pub const DETAIL_CHARS_MAX: usize = 300;
/// Shortest mixture of letters and digits that is taken for a secret. Ids of ours are shorter or begin with
/// their kind; constants of a platform have no digits.
const SECRET_LEN_MIN: usize = 16;
/// What provider keys begin with; these are secrets at any length.
const KEY_PREFIX: &str = "sk-";
const REPLACEMENT: &str = "[redacted]";

/// A text about a failure that may be logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Detail(String);

impl Detail {
    /// Cuts and redacts.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let end = text.char_indices().nth(DETAIL_CHARS_MAX);
        // Cut first, and at the end of a word: half a key could pass for something else.
        let cut = match end.and_then(|(at, _)| text.get(..at)) {
            Some(cut) => cut
                .rfind(char::is_whitespace)
                .and_then(|at| cut.get(..at))
                .unwrap_or_default(),
            None => text,
        };
        let mut out = String::with_capacity(cut.len());
        let mut after_scheme = false;
        for word in cut.split_inclusive(char::is_whitespace) {
            let trimmed = word.trim_end();
            let space = word.get(trimmed.len()..).unwrap_or_default();
            if after_scheme && !trimmed.is_empty() {
                out.push_str(REPLACEMENT);
            } else {
                redact_word(trimmed, &mut out);
            }
            after_scheme = is_scheme(trimmed) || (after_scheme && trimmed.is_empty());
            out.push_str(if space.is_empty() { "" } else { " " });
        }
        Self(out)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether the next word is a credential.
fn is_scheme(word: &str) -> bool {
    let letters = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
    ["bearer", "basic"]
        .iter()
        .any(|scheme| letters.len() >= scheme.len() && ends_with_ignoring_case(letters, scheme))
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    text.get(text.len().saturating_sub(end.len())..)
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// A word without its URL's user and query, and without runs that could be keys.
fn redact_word(word: &str, out: &mut String) {
    match word.split_once("://") {
        Some((before, after)) => {
            let authority_end = after.find(['/', '?', '#']).unwrap_or(after.len());
            let (authority, rest) = after.split_at_checked(authority_end).unwrap_or((after, ""));
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            let path_end = rest.find(['?', '#']).unwrap_or(rest.len());
            let (path, query) = rest.split_at_checked(path_end).unwrap_or((rest, ""));
            redact_runs(before, out);
            out.push_str("://");
            if host.len() < authority.len() {
                out.push_str(REPLACEMENT);
                out.push('@');
            }
            redact_runs(host, out);
            redact_runs(path, out);
            if !query.is_empty() {
                out.push('?');
                out.push_str(REPLACEMENT);
            }
        }
        None => redact_runs(word, out),
    }
}

fn redact_runs(text: &str, out: &mut String) {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=');
    let mut rest = text;
    while !rest.is_empty() {
        let run_end = rest.find(|c| !is_key_char(c)).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(run_end).unwrap_or((rest, ""));
        out.push_str(if is_secret(run) { REPLACEMENT } else { run });
        let gap_end = after.find(is_key_char).unwrap_or(after.len());
        let (gap, next) = after.split_at_checked(gap_end).unwrap_or((after, ""));
        out.push_str(gap);
        rest = next;
    }
}

fn is_secret(run: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| run.as_bytes().iter().any(kind);
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    (run.len() >= SECRET_LEN_MIN && mixed)
        || (run.contains(KEY_PREFIX) && !run.ends_with(KEY_PREFIX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logged(text: &str) -> String {
        Detail::new(text).as_str().to_owned()
    }

    #[test]
    fn what_platforms_say_stays_readable() {
        for text in [
            "Network connection lost.",
            "D1_ERROR: UNIQUE constraint failed: servers.name: SQLITE_CONSTRAINT",
            "limiter answered 503: the object was reset",
            "no answer in time",
            "Fetch API cannot load: https://api.example.com:8443/v1/chat/completions",
            "line 3, column 17",
        ] {
            assert_eq!(logged(text), text);
        }
    }

    #[test]
    fn credentials_and_queries_of_urls_are_redacted() {
        for (text, expected) in [
            (
                "cannot load https://user:pw@a.example/v1?key=abc#x now",
                "cannot load https://[redacted]@a.example/v1?[redacted] now",
            ),
            (
                "(https://a.example?api_key=s3cret)",
                "(https://a.example?[redacted]",
            ),
            (
                "wss://a.example/AIzaSyA1234567890abcdef/x",
                "wss://a.example/[redacted]/x",
            ),
        ] {
            assert_eq!(logged(text), expected);
        }
    }

    #[test]
    fn what_could_be_a_key_is_redacted() {
        for (text, expected) in [
            ("key sk-abc is wrong", "key [redacted] is wrong"),
            ("'sk-upstream-4f9c2a71e0d85b36'", "'[redacted]'"),
            (
                "Authorization: Bearer short",
                "Authorization: Bearer [redacted]",
            ),
            ("Bearer   short end", "Bearer   [redacted] end"),
            (
                "{\"authorization\":\"Bearer abc\"}",
                "{\"authorization\":\"Bearer [redacted]",
            ),
            (
                "value c2x1aWNlLXRlc3RzLWVuY3J5cHRpb24ta2V5LTMyYnk= failed",
                "value [redacted] failed",
            ),
            ("a1b2c3d4e5f6a7b8", "[redacted]"),
        ] {
            assert_eq!(logged(text), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_between_words() {
        let long = format!("{} sk-not-whole", "word ".repeat(59));
        assert!(!logged(&long).contains("sk-"), "{}", logged(&long));
        assert!(logged(&"x".repeat(10_000)).is_empty());
        assert!(logged(&"word ".repeat(1_000)).chars().count() <= DETAIL_CHARS_MAX);
        assert_eq!(logged("two\nlines\tof text"), "two lines of text");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn a_key_never_survives_whatever_stands_around_it(
            before in "(\\PC|[ :/?@\"'=&]){0,20}",
            secret in "sk-[A-Za-z0-9_-]{8,40}",
            after in "([ ,.;:/\"')&?#]\\PC{0,12})?",
        ) {
            let text = format!("{before}{secret}{after}");
            prop_assert!(!logged(&text).contains(&secret), "{}", logged(&text));
        }
    }
}
