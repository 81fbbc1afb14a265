//! 全部 SQL：常量语句、绑定参数、行的类型。
//!
//! Owns every statement that runs on D1, as constants with bound parameters, and what their rows
//! mean. Runs none: a builder gives [`Statement`]s, the shell binds and runs them and hands the
//! rows back.
//!
//! # Writes
//!
//! A write is a list of statements for one D1 batch, which is one transaction. Their results have
//! fixed places:
//!
//! | index | result |
//! |---|---|
//! | [`CHANGED`] | the rows that were written, as they are now (deleted ones: as they were) |
//! | [`AUDITED`] | none; the audit row is written only if `CHANGED` has rows |
//! | [`BUMPED`] | the new configuration version, only if `CHANGED` has rows |
//! | [`CURRENT`] | servers only, not for create: what is stored after the write |
//!
//! The caller reads the rows at `CHANGED` and `CURRENT` and passes them to [`created`],
//! [`changed`] or [`reordered`], which say what to answer: the row, 404, 409 or 422. He need not
//! count changes. A batch that fails as a whole has a text for [`constraint_error`].
//!
//! # Versions
//!
//! A server's `version` rises by one with each write of its row and with nothing else. It is the
//! `ETag` and the version of the limits that the limiter object adopts, so that a change of limits
//! always carries a higher one. Reordering leaves it alone: a position is in no body that `PUT` or
//! `PATCH` accepts, so an edit cannot undo a reordering and need not conflict with it. The
//! configuration version rises with either.
//!
//! Invariant: a change, its audit row and its configuration version exist together or not at all.

use crate::error::{ErrorCode, GatewayError};

mod audit;
mod buckets;
mod configuration;
mod journal;
mod keys;
mod limiter;
mod logs;
mod rollup;
mod rows;
mod servers;
mod usage;

#[cfg(test)]
mod tests;

pub use audit::audit_page;
pub use configuration::{
    SCHEMA_VERSION, config_version, config_version_read, schema_version, schema_version_read,
    snapshot,
};
pub use journal::{
    CountersRow, JournalCount, JournalLines, JournalRow, count_journal, create_journal,
    delete_journal, journal_batch, put_counters, put_journal, read_counters, withdraw_journal,
};
pub use keys::{
    create_key, delete_key, key_by_digest, key_by_id, keys_page, rotate_key, update_key,
};
pub use limiter::{
    AdmissionRow, admission_state, all_admission_rows, create_admission_rows,
    write_admission_changes,
};
pub use logs::{
    LOGS_INSERT_LEN_MAX, LOGS_REMOVE_LEN_MAX, LOGS_SCAN_LEN_MAX, LineRow, insert_logs, log_entry,
    logs_page, logs_scan, remove_logs, scan_end,
};
pub use rollup::{ROLLUP_LEN_MAX, roll_up};
pub use rows::{AuditRow, FoundKeyRow, KeyRow, ServerRow, VersionRow};
pub use servers::{
    RESEAL_ROWS_MAX, create_server, delete_server, reorder_servers, reordered, reseal_server_keys,
    server_by_id, servers_page, update_server,
};
pub use usage::{usage_line, usage_page, usage_sums, usage_totals};

/// Index of the result with the rows that a write changed.
pub const CHANGED: usize = 0;

/// Index of the result of the audit row.
pub const AUDITED: usize = 1;

/// Index of the result with the new configuration version ([`VersionRow`]).
pub const BUMPED: usize = 2;

/// Index of the result with what is stored after a write of a server.
pub const CURRENT: usize = 3;

/// One statement with its parameters, `?1` first. D1 allows 100 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// One of the constants of this module.
    pub sql: &'static str,
    /// Values for `?1`, `?2`, …
    pub params: Vec<Value>,
}

/// A value to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// Below 2^53: D1 binds it as a float.
    Integer(i64),
    /// A text.
    Text(String),
}

/// Who makes a change, and when. For the audit trail.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'a> {
    /// Role, session or verified identity; 1 to 256 characters, never a token.
    pub actor: &'a str,
    /// The time of the change.
    pub at: admission::time::Instant,
}

/// What to answer after a create: the row that was written.
///
/// # Errors
/// No row means that there are as many as there may be.
pub fn created<T>(changed: Vec<T>) -> Result<T, GatewayError> {
    changed.into_iter().next().ok_or_else(|| {
        let message =
            "There are as many of these as the gateway keeps; delete one that is not used.";
        GatewayError::new(ErrorCode::InvalidField, message)
    })
}

/// What to answer after an update or a delete: the row that was written or deleted.
///
/// # Errors
/// Nothing changed: `version_conflict` if the row is there (its version was not the expected one),
/// else `not_found`. For keys, which have no version, `current` is empty.
pub fn changed<T, C>(changed: Vec<T>, current: &[C]) -> Result<T, GatewayError> {
    changed.into_iter().next().ok_or_else(|| {
        if current.is_empty() {
            GatewayError::new(ErrorCode::NotFound, "There is no object with this id.")
        } else {
            let message =
                "The object was changed since it was read; read it again and repeat the change.";
            GatewayError::new(ErrorCode::VersionConflict, message).param("If-Match")
        }
    })
}

/// What to answer when the database refused a write, from the text of its error.
#[must_use]
pub fn constraint_error(text: &str) -> GatewayError {
    if text.contains("UNIQUE constraint failed: servers.name") {
        GatewayError::new(
            ErrorCode::InvalidField,
            "Another server has this `name`; choose a different one.",
        )
        .param("name")
    } else {
        // The rules let in nothing that the schema refuses: this is our mistake, not the caller's.
        GatewayError::internal(text.to_owned())
    }
}

/// Every statement by name, for the tests that prepare each of them on the real schema.
pub const STATEMENTS: &[&[(&str, &str)]] = &[
    configuration::STATEMENTS,
    servers::STATEMENTS,
    keys::STATEMENTS,
    audit::STATEMENTS,
    logs::STATEMENTS,
    rollup::STATEMENTS,
    usage::STATEMENTS,
];

impl From<u64> for Value {
    fn from(integer: u64) -> Self {
        // Larger numbers exist nowhere: every bound and every time lies far below.
        Self::Integer(i64::try_from(integer).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<admission::time::Instant> for Value {
    fn from(instant: admission::time::Instant) -> Self {
        instant.as_millis().into()
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Statement {
    fn new<const N: usize>(sql: &'static str, params: [Value; N]) -> Self {
        Self {
            sql,
            params: params.into(),
        }
    }
}
