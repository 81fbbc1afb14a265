//! 抹去回答里出现的服务器密钥。
//!
//! Owns the replacement of one secret by `[redacted]` in bytes that pass by in pieces of any size. Does not
//! know what the bytes mean.
//!
//! Invariant: the result is that of a left-to-right replacement in the whole text, however it was cut, and
//! nothing but a tail that may be the beginning of the secret is ever held back.

use std::borrow::Cow;

use memchr::memmem::Finder;

use crate::{config::Secret, observer::Output};

/// What stands where the secret stood.
const REPLACEMENT_TEXT: &str = "[redacted]";
/// The same as bytes.
pub const REPLACEMENT: &[u8] = REPLACEMENT_TEXT.as_bytes();
/// Shortest text that is treated as a secret. Local servers are given keys such as `none` or `EMPTY`, which
/// are ordinary words in an answer.
pub const SECRET_LEN_MIN: usize = 7;

/// A whole text, such as the value of a header, with the secret replaced.
#[must_use]
pub fn redacted_text<'a>(text: &'a str, secret: Option<&Secret>) -> Cow<'a, str> {
    match secret.map(Secret::expose) {
        Some(secret) if secret.len() >= SECRET_LEN_MIN && text.contains(secret) => {
            Cow::Owned(text.replace(secret, REPLACEMENT_TEXT))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Replaces one secret in a sequence of chunks.
#[derive(Debug)]
pub(crate) struct Redactor {
    finder: Finder<'static>,
    /// The end of what was pushed, as far as it is a beginning of the secret.
    held: Vec<u8>,
}

impl Redactor {
    /// `None` if the text is too short to be a secret.
    pub(crate) fn new(secret: &Secret) -> Option<Self> {
        let secret = secret.expose().as_bytes();
        let finder = Finder::new(secret).into_owned();
        (secret.len() >= SECRET_LEN_MIN).then(|| Self {
            finder,
            held: Vec::new(),
        })
    }

    /// What to forward for this chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Output {
        if self.held.is_empty() {
            let untouched = self.finder.find(chunk).is_none() && self.beginning_at_end(chunk) == 0;
            return if untouched {
                Output::Same
            } else {
                Output::Replace(self.replaced(chunk))
            };
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(chunk);
        Output::Replace(self.replaced(&joined))
    }

    /// Whether everything that was pushed has been forwarded.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// What was held back and turned out to be only a beginning.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn replaced(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = self.finder.find(rest) {
            let (before, found) = rest.split_at_checked(at).unwrap_or((rest, &[]));
            out.extend_from_slice(before);
            out.extend_from_slice(REPLACEMENT);
            rest = found.get(self.finder.needle().len()..).unwrap_or_default();
        }
        let kept = rest.len().saturating_sub(self.beginning_at_end(rest));
        let (forward, held) = rest.split_at_checked(kept).unwrap_or((rest, &[]));
        out.extend_from_slice(forward);
        self.held = held.to_vec();
        out
    }

    /// Length of the longest end of `bytes` that is a proper beginning of the secret.
    fn beginning_at_end(&self, bytes: &[u8]) -> usize {
        let secret = self.finder.needle();
        let Some(&first) = secret.first() else {
            return 0;
        };
        let reach = bytes.len().min(secret.len().saturating_sub(1));
        let tail = bytes
            .get(bytes.len().saturating_sub(reach)..)
            .unwrap_or_default();
        memchr::memchr_iter(first, tail)
            .filter_map(|at| tail.get(at..))
            .find(|end| secret.starts_with(end))
            .map_or(0, <[u8]>::len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "sk-abcsk-abd";

    fn redact(secret: &str, chunks: &[&[u8]]) -> Vec<u8> {
        let mut redactor = Redactor::new(&Secret::new(secret)).unwrap();
        let mut out = Vec::new();
        for chunk in chunks {
            match redactor.push(chunk) {
                Output::Same => out.extend_from_slice(chunk),
                Output::Replace(bytes) => out.extend(bytes),
            }
        }
        out.extend(redactor.finish());
        out
    }

    #[test]
    fn secret_is_replaced_wherever_it_is_cut() {
        let text = format!("key {SECRET} and {SECRET}{SECRET}!");
        for at in 0..text.len() {
            let (left, right) = text.as_bytes().split_at(at);
            assert_eq!(
                String::from_utf8(redact(SECRET, &[left, right])).unwrap(),
                "key [redacted] and [redacted][redacted]!"
            );
        }
    }

    #[test]
    fn text_without_the_secret_is_forwarded_as_it_is_and_at_once() {
        let mut redactor = Redactor::new(&Secret::new(SECRET)).unwrap();
        assert_eq!(redactor.push(b"sk-abc is not it\n\n"), Output::Same);
        assert_eq!(
            redactor.push(b"ends with sk-ab"),
            Output::Replace(b"ends with ".to_vec())
        );
        assert_eq!(redactor.push(b"x"), Output::Replace(b"sk-abx".to_vec()));
        assert_eq!(redactor.push(b""), Output::Same);
        assert_eq!(redactor.finish(), b"");
    }

    #[test]
    fn beginning_of_the_secret_at_the_very_end_is_given_back() {
        assert_eq!(redact(SECRET, &[b"sk-abcsk-ab"]), b"sk-abcsk-ab");
    }

    #[test]
    fn secret_is_replaced_in_a_whole_text() {
        let secret = Secret::new(SECRET);
        let text = format!("Bearer {SECRET}, {SECRET}");
        assert_eq!(
            redacted_text(&text, Some(&secret)),
            "Bearer [redacted], [redacted]"
        );
        assert_eq!(redacted_text(&text, None), text);
        assert_eq!(redacted_text("EMPTY", Some(&Secret::new("EMPTY"))), "EMPTY");
    }

    #[test]
    fn words_too_short_for_a_secret_are_left_alone() {
        assert!(Redactor::new(&Secret::new("")).is_none());
        assert!(Redactor::new(&Secret::new("EMPTY")).is_none());
        assert!(Redactor::new(&Secret::new("sk-1234")).is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn any_chunking_gives_the_replacement_in_the_whole_text(
            secret in "[ab]{7,9}",
            pieces in proptest::collection::vec("[ab]{0,12}|[^ab]{1,3}|=", 0..12),
            cuts in proptest::collection::vec(1_usize..8, 1..20),
        ) {
            // `=` stands for the secret, so that it is really there.
            let text = pieces.concat().replace('=', &secret);
            let mut chunks = Vec::new();
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, left) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = left;
            }
            let out = redact(&secret, &chunks);
            let expected = text.replace(&secret, "[redacted]").into_bytes();
            prop_assert_eq!(&out, &expected);
            prop_assert!(memchr::memmem::find(&out, secret.as_bytes()).is_none());
        }
    }
}
