//! 日志：允许出现的事件与字段，别无其他。
//!
//! Owns every line that the gateway can write to its log: one type per event, each field named. Writes nothing
//! itself; the shells print [`Event::line`].
//!
//! Invariant: there is no free map and no field for a header, a body, a prompt, an answer or a secret. Texts
//! are cut to [`TEXT_CHARS_MAX`] characters, and what a platform says of a failure goes through [`Detail`].

mod detail;
mod request;

use serde::{Serialize, Serializer};

use crate::error::{Fault, GatewayError};

pub use detail::{DETAIL_CHARS_MAX, Detail};
pub use request::{Cost, Prompt, Request, Waited, outcome};

/// Longest text of one field, in characters: a model's or a server's name fits, a prompt does not.
pub const TEXT_CHARS_MAX: usize = 128;

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What happened.
    Info,
    /// What an operator should know if it happens often.
    Warn,
    /// What an operator has to look at.
    Error,
}

/// A text of a line, cut to its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub &'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = self.0.char_indices().nth(TEXT_CHARS_MAX);
        let cut = end.and_then(|(at, _)| self.0.get(..at));
        serializer.serialize_str(cut.unwrap_or(self.0))
    }
}

/// One line of the log.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A request of the data plane is over.
    Request(Request<'a>),
    /// Somebody changed something, or tried to.
    Admin(Admin<'a>),
    /// The gateway failed, or a backend did in a way that has a detail.
    RequestFailed {
        /// Of the request.
        request_id: Text<'a>,
        /// The code of the answer.
        code: &'static str,
        /// The status of the answer.
        status: u16,
        /// What the platform said.
        detail: Option<Detail>,
    },
    /// An attempt upstream brought no answer for the client.
    AttemptFailed {
        /// Of the request.
        request_id: Text<'a>,
        /// The server's name.
        server: Text<'a>,
        /// Counts from 1.
        attempt: u32,
        /// What came of it.
        outcome: Text<'a>,
        /// The pause before the next one; none follows without.
        pause_ms: Option<u64>,
    },
    /// A call to a limiter object failed beside a request that was answered all the same.
    LimiterError {
        /// Of the request; the server's id where limits were pushed.
        request_id: Text<'a>,
        /// The operation of the protocol.
        operation: &'a str,
        /// What the platform said.
        detail: Detail,
    },
    /// D1 failed while a request could still be served from what was known.
    StorageError {
        /// What was read.
        what: &'a str,
        /// What the platform said.
        detail: Detail,
    },
    /// A variable is missing or unusable.
    ConfigurationProblem {
        /// One of `settings.problems`, which never quote a secret.
        problem: &'a str,
    },
    /// An assertion of Cloudflare Access could not be verified, for want of the team's keys.
    AccessError {
        /// What the platform said.
        detail: Detail,
    },
    /// A run of the cron has worked on the log of usage.
    UsageRun {
        /// Rows that were added to the sums.
        rolled_up: u64,
        /// Rows that were removed.
        removed: u64,
    },
    /// A limiter object could not read what it had stored.
    LimiterRowsUnreadable {
        /// How many rows.
        rows: u64,
    },
    /// Log rows could not be moved to D1; they stay in the limiter object and are tried again.
    JournalFlushFailed {
        /// How many rows wait.
        rows: u64,
        /// What the platform said.
        detail: Detail,
    },
    /// A log row in a limiter object cannot be read, so it is given up.
    JournalRowUnreadable {
        /// What is wrong with it.
        detail: Detail,
    },
    /// The alarm that moves log rows could not be set; the next row tries again.
    JournalAlarmFailed {
        /// What the platform said.
        detail: Detail,
    },
    /// A limiter object could not be thrown away.
    LimiterResetFailed {
        /// What the platform said.
        detail: Detail,
    },
    /// A limiter object could not store its state and starts anew.
    LimiterWriteFailed {
        /// What the platform said.
        detail: Detail,
    },
}

/// See [`Event::Admin`].
#[derive(Debug, Serialize)]
pub struct Admin<'a> {
    /// Of the request.
    pub request_id: Text<'a>,
    /// Who: the role of the credentials, or an identity; nothing where they were wrong.
    pub actor: Option<Text<'a>>,
    /// HTTP method.
    pub method: Text<'a>,
    /// Path, which holds at most the id of an object.
    pub path: Text<'a>,
    /// The status of the answer.
    pub status: u16,
    /// The code of the answer, if it was a failure.
    pub error_code: Option<&'static str>,
}

impl<'a> Event<'a> {
    /// What to log of an answer that the gateway made itself. Errors of the caller have no line of their own:
    /// they cost the operator attention and tell nothing about the gateway.
    #[must_use]
    pub fn of_failure(request_id: &'a str, error: &GatewayError) -> Option<Self> {
        let tells = error.code.fault() == Fault::Internal || error.detail.is_some();
        tells.then(|| Self::RequestFailed {
            request_id: Text(request_id),
            code: error.code.as_str(),
            status: error.status(),
            detail: error.detail.as_deref().map(Detail::new),
        })
    }

    /// How urgent it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        match self {
            Self::Request(_) | Self::Admin(_) | Self::UsageRun { .. } => Level::Info,
            Self::AttemptFailed { .. }
            | Self::LimiterError { .. }
            | Self::StorageError { .. }
            | Self::AccessError { .. }
            | Self::JournalFlushFailed { .. } => Level::Warn,
            Self::RequestFailed { .. }
            | Self::ConfigurationProblem { .. }
            | Self::LimiterRowsUnreadable { .. }
            | Self::JournalRowUnreadable { .. }
            | Self::JournalAlarmFailed { .. }
            | Self::LimiterResetFailed { .. }
            | Self::LimiterWriteFailed { .. } => Level::Error,
        }
    }

    /// The line: one JSON object.
    #[must_use]
    pub fn line(&self) -> String {
        // Serializing texts and numbers can not fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An event's name, its level and its fields, for the reference document and its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKind {
    /// The value of the field `event`.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// The other fields, in order.
    pub fields: &'static [&'static str],
}

/// Every event.
pub const EVENTS: &[EventKind] = &[
    EventKind {
        name: "request",
        level: Level::Info,
        fields: request::FIELDS,
    },
    EventKind {
        name: "admin",
        level: Level::Info,
        fields: &[
            "request_id",
            "actor",
            "method",
            "path",
            "status",
            "error_code",
        ],
    },
    EventKind {
        name: "request_failed",
        level: Level::Error,
        fields: &["request_id", "code", "status", "detail"],
    },
    EventKind {
        name: "attempt_failed",
        level: Level::Warn,
        fields: &["request_id", "server", "attempt", "outcome", "pause_ms"],
    },
    EventKind {
        name: "limiter_error",
        level: Level::Warn,
        fields: &["request_id", "operation", "detail"],
    },
    EventKind {
        name: "storage_error",
        level: Level::Warn,
        fields: &["what", "detail"],
    },
    EventKind {
        name: "configuration_problem",
        level: Level::Error,
        fields: &["problem"],
    },
    EventKind {
        name: "access_error",
        level: Level::Warn,
        fields: &["detail"],
    },
    EventKind {
        name: "usage_run",
        level: Level::Info,
        fields: &["rolled_up", "removed"],
    },
    EventKind {
        name: "limiter_rows_unreadable",
        level: Level::Error,
        fields: &["rows"],
    },
    EventKind {
        name: "journal_flush_failed",
        level: Level::Warn,
        fields: &["rows", "detail"],
    },
    EventKind {
        name: "journal_row_unreadable",
        level: Level::Error,
        fields: &["detail"],
    },
    EventKind {
        name: "journal_alarm_failed",
        level: Level::Error,
        fields: &["detail"],
    },
    EventKind {
        name: "limiter_reset_failed",
        level: Level::Error,
        fields: &["detail"],
    },
    EventKind {
        name: "limiter_write_failed",
        level: Level::Error,
        fields: &["detail"],
    },
];

#[cfg(test)]
mod tests;
