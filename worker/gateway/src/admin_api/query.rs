//! URL 的查询参数：每个名字已知且只出现一次。
//!
//! Owns how the query of a statistics or log request is read. A parameter that is misspelt or sent twice is
//! refused rather than ignored: an answer about more than was asked for would look just as right.

use std::collections::BTreeMap;

use admission::time::Instant;
use url::form_urlencoded;

use super::bounds::QUERY_BYTES_MAX;
use super::object::invalid_field;
use super::time::parse_rfc3339;
use crate::error::GatewayError;

/// Parameters that nobody has taken yet.
pub(super) struct Parameters {
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Reads a query; `known` are the names that the endpoint has.
    pub(super) fn parse(query: &str, known: &[&str]) -> Result<Self, GatewayError> {
        if query.len() > QUERY_BYTES_MAX {
            let message = format!("The query of the URL may have at most {QUERY_BYTES_MAX} bytes.");
            return Err(invalid_field("query", message));
        }
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                let message = format!(
                    "There is no such parameter here; there are `{}`.",
                    known.join("`, `")
                );
                return Err(invalid_field(&name, message));
            }
            if values
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                return Err(invalid_field(&name, format!("`{name}` may be given once.")));
            }
        }
        Ok(Self { values })
    }

    /// The value as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// A text to compare with.
    pub(super) fn text(
        &mut self,
        name: &str,
        chars_max: usize,
    ) -> Result<Option<String>, GatewayError> {
        self.checked(
            name,
            |text| {
                (1..=chars_max)
                    .contains(&text.chars().count())
                    .then(|| text.to_owned())
            },
            || format!("`{name}` must have 1 to {chars_max} characters; leave it out to have all."),
        )
    }

    /// A time with its offset from UTC.
    pub(super) fn time(&mut self, name: &str) -> Result<Option<Instant>, GatewayError> {
        self.checked(name, parse_rfc3339, || {
            format!("`{name}` must be an RFC 3339 time such as `2026-11-23T08:00:00Z`; write a plus as `%2B`.")
        })
    }

    /// A status that a client can have been answered with.
    pub(super) fn status(&mut self, name: &str) -> Result<Option<u16>, GatewayError> {
        let read = |text: &str| {
            text.parse()
                .ok()
                .filter(|status| (100..=599).contains(status))
        };
        self.checked(name, read, || {
            format!("`{name}` must be an integer from 100 to 599.")
        })
    }

    fn checked<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        expected: impl Fn() -> String,
    ) -> Result<Option<T>, GatewayError> {
        let Some(text) = self.values.remove(name) else {
            return Ok(None);
        };
        read(&text)
            .map(Some)
            .ok_or_else(|| invalid_field(name, expected()))
    }
}

/// A range that ends before it begins holds nothing, and asking for it is a mistake.
pub(super) fn check_range(from: Instant, to: Instant) -> Result<(), GatewayError> {
    if from < to {
        Ok(())
    } else {
        Err(invalid_field(
            "from",
            "`from` must lie before `to`.".to_owned(),
        ))
    }
}
