//! 查询串：视图的状态，一份有序的名值表。
//!
//! Owns reading and writing the query of a URL, in which pages keep what they show, so that a link keeps it
//! too. Invariant: writing what was read gives the same values; a name appears once.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a value needs no escape for; colons keep times readable.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b',')
    .remove(b'*');

/// The pairs of a query, in order of appearance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads a query, with or without its question mark. Of a name that appears twice the first counts.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut read = Self::default();
        let query = query.strip_prefix('?').unwrap_or(query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name);
            if read.get(&name).is_none() {
                read.pairs.push((name, decoded(value)));
            }
        }
        read
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(one, _)| one == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Sets a name; None and empty text remove it.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let value = value.filter(|value| !value.is_empty());
        let place = self.pairs.iter_mut().find(|(one, _)| one == name);
        match (place, value) {
            (Some(pair), Some(value)) => value.clone_into(&mut pair.1),
            (None, Some(value)) => self.pairs.push((name.to_owned(), value.to_owned())),
            (_, None) => self.pairs.retain(|(one, _)| one != name),
        }
        self
    }

    /// The text after the question mark, that included; empty where there is no pair.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.pairs {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.extend(utf8_percent_encode(name, PLAIN));
            text.push('=');
            text.extend(utf8_percent_encode(value, PLAIN));
        }
        text
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let query = Query::default()
            .with("from", Some("2026-11-23T10:00:00Z"))
            .with("app", Some("a&b=c d+é甲"))
            .with("empty", Some(""))
            .with("none", None);
        assert_eq!(
            query.to_text(),
            "?from=2026-11-23T10:00:00Z&app=a%26b%3Dc%20d%2B%C3%A9%E7%94%B2"
        );
        assert_eq!(Query::parse(&query.to_text()), query);
    }

    #[test]
    fn the_first_of_a_name_counts_and_a_value_can_be_replaced_in_its_place() {
        let query = Query::parse("?a=1&b=x+y&a=2&c");
        assert_eq!(
            (
                query.get("a"),
                query.get("b"),
                query.get("c"),
                query.get("d")
            ),
            (Some("1"), Some("x y"), Some(""), None)
        );
        assert_eq!(
            query.clone().with("a", Some("3")).to_text(),
            "?a=3&b=x%20y&c="
        );
        assert_eq!(
            query
                .with("b", None)
                .with("a", None)
                .with("c", None)
                .to_text(),
            ""
        );
    }
}
