//! 一行文本：编码、解码及其错误。
//!
//! One urlencoded line: writing, reading, and what can be wrong with it.
//!
//! Owns the bounds of a line and the version check. Knows no message.
//!
//! Invariant: reading looks at no more than [`LINE_LEN_MAX`] bytes.

use super::TicketError;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// The version every message carries as `v`. Raised only by an incompatible change.
pub const PROTOCOL_VERSION: u32 = 1;

/// Longest line accepted, in bytes: the longest acquire (every text at its bound, every byte
/// percent-encoded) is about 2 KiB; headers and URLs of Workers allow at least 16 KiB.
pub const LINE_LEN_MAX: usize = 8 * 1024;

/// Why a line is not a message. The fault is always the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not urlencoded, a required field is missing, or a value does not parse.
    Malformed(String),
    /// The sender speaks a version that this reader does not know.
    Version(u32),
    /// A field, or the line itself, exceeds its bound in bytes.
    TooLong {
        /// Which field; `line` for the whole.
        field: &'static str,
        /// Its bound in bytes.
        bytes_max: usize,
    },
    /// The ticket id is not one.
    Ticket(TicketError),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "malformed message: {reason}"),
            Self::Version(version) => write!(
                f,
                "protocol version {version} is not known, expected {PROTOCOL_VERSION}"
            ),
            Self::TooLong { field, bytes_max } => {
                write!(f, "{field} is longer than {bytes_max} bytes")
            }
            Self::Ticket(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<TicketError> for DecodeError {
    fn from(error: TicketError) -> Self {
        Self::Ticket(error)
    }
}

/// Writes a wire struct as one line.
#[expect(
    clippy::expect_used,
    reason = "wire structs are flat records of integers, strings and unit variants, which the encoder always accepts"
)]
pub(super) fn write<T: Serialize>(wire: &T) -> String {
    serde_urlencoded::to_string(wire).expect("wire structs are flat")
}

/// Reads a wire struct from one line.
pub(super) fn read<T: DeserializeOwned>(line: &str) -> Result<T, DecodeError> {
    within("line", line, LINE_LEN_MAX)?;
    serde_urlencoded::from_str(line).map_err(|error| DecodeError::Malformed(error.to_string()))
}

/// Refuses a version that this reader does not know.
pub(super) fn check_version(version: u32) -> Result<(), DecodeError> {
    if version == PROTOCOL_VERSION {
        Ok(())
    } else {
        Err(DecodeError::Version(version))
    }
}

/// Refuses a text beyond its bound.
pub(super) fn within(field: &'static str, text: &str, bytes_max: usize) -> Result<(), DecodeError> {
    if text.len() <= bytes_max {
        Ok(())
    } else {
        Err(DecodeError::TooLong { field, bytes_max })
    }
}

/// The longest prefix of `text` that keeps its bound and ends between characters.
#[must_use]
pub fn bounded(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

/// A message without a version is of the first one.
pub(super) fn first_version() -> u32 {
    1
}
