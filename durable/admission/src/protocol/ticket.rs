//! 票据编号：一个请求在队列中的身份。
//!
//! [`TicketId`], the identity of one request from its arrival until its permit is settled.
//!
//! Invariant: 1 to 64 characters of `[A-Za-z0-9._-]`, checked once, when it is made.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest ticket id in characters: a request id of the client may serve as one (PRODUCT.md §7).
pub const TICKET_LEN_MAX: usize = 64;

/// The identity of one request in the queue and of its permit. It survives a restart of the object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TicketId(String);

/// The text is not a ticket id: 1 to 64 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketError;

impl TicketId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TicketId {
    type Error = TicketError;

    fn try_from(text: String) -> Result<Self, TicketError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > TICKET_LEN_MAX || !text.bytes().all(allowed) {
            return Err(TicketError);
        }
        Ok(Self(text))
    }
}

impl TryFrom<&str> for TicketId {
    type Error = TicketError;

    fn try_from(text: &str) -> Result<Self, TicketError> {
        // The bound is checked before the copy, so that a huge text costs nothing.
        if text.len() > TICKET_LEN_MAX {
            return Err(TicketError);
        }
        Self::try_from(text.to_owned())
    }
}

impl From<TicketId> for String {
    fn from(ticket: TicketId) -> Self {
        ticket.0
    }
}

impl fmt::Display for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TicketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a ticket id is 1 to {TICKET_LEN_MAX} characters of letters, digits, '.', '_' and '-'"
        )
    }
}

impl std::error::Error for TicketError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_names_are_tickets() {
        for good in ["a", "A.b_c-9", &"x".repeat(64)] {
            let ticket = TicketId::try_from(good).unwrap();
            assert_eq!(ticket.as_str(), good);
            assert_eq!(ticket.to_string(), good);
            assert_eq!(String::from(ticket), good);
        }
        for bad in ["", "a b", "ü", "a/b", "a\n", &"x".repeat(65)] {
            assert_eq!(TicketId::try_from(bad), Err(TicketError), "{bad:?}");
            assert_eq!(TicketId::try_from(bad.to_owned()), Err(TicketError));
        }
        assert!(TicketError.to_string().contains("64"));
    }
}
