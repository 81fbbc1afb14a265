//! 限流对象自己的 SQLite：状态行的语句。
//!
//! Owns the statements of the limiter object's own database. Every row is a key and a JSON text, so
//! that a row may gain fields without a migration in thousands of objects. The rows are those of
//! [`admission::State`].
//!
//! Invariant: one [`Changes`] is written by the statements of one turn, which commit together.

use admission::{Changes, State, StateRow};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Statement;

/// Every statement by name, for the test that prepares each of them on the object's schema.
#[cfg(test)]
pub(super) const STATEMENTS: &[(&str, &str)] = &[
    ("CREATE_ROWS", CREATE_ROWS),
    ("PUT_ROWS", PUT_ROWS),
    ("DELETE_ROWS", DELETE_ROWS),
    ("ALL_ROWS", ALL_ROWS),
];

const CREATE_ROWS: &str = "\
CREATE TABLE IF NOT EXISTS admission (
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  row TEXT NOT NULL CHECK (json_valid(row)),
  PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID";

const PUT_ROWS: &str = "\
INSERT OR REPLACE INTO admission (kind, key, row)
SELECT ?1, CAST(json_extract(value, ?2) AS TEXT), value FROM json_each(?3)";

const DELETE_ROWS: &str = "\
DELETE FROM admission
WHERE kind = ?1 AND key IN (SELECT CAST(value AS TEXT) FROM json_each(?2))";

const ALL_ROWS: &str = "SELECT kind, row FROM admission";

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    State,
    Bucket,
    Lease,
    Waiter,
    Model,
}

/// One stored row.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AdmissionRow {
    /// What it is a row of.
    pub kind: String,
    /// The row as JSON.
    pub row: String,
}

/// Makes the table where it is missing.
#[must_use]
pub fn create_admission_rows() -> Statement {
    Statement::new(CREATE_ROWS, [])
}

/// Reads everything ([`AdmissionRow`]); pass it to [`admission_state`].
#[must_use]
pub fn all_admission_rows() -> Statement {
    Statement::new(ALL_ROWS, [])
}

/// Writes what changed: at most two statements for each kind of row.
///
/// # Errors
/// A row that is no JSON, which none of these types can be.
pub fn write_admission_changes(changes: &Changes) -> Result<Vec<Statement>, serde_json::Error> {
    let state = changes.state.clone();
    let state: Vec<_> = state
        .map(|row| StateKeyed { row, only: 1 })
        .into_iter()
        .collect();
    let written = [
        Kind::State.put(&state)?,
        Kind::Bucket.put(&changes.buckets)?,
        Kind::Lease.put(&changes.leases)?,
        Kind::Waiter.put(&changes.waiters)?,
        Kind::Model.put(&changes.models)?,
        Kind::Bucket.delete(&changes.buckets_removed)?,
        Kind::Lease.delete(&changes.leases_removed)?,
        Kind::Waiter.delete(&changes.waiters_removed)?,
        Kind::Model.delete(&changes.models_removed)?,
    ];
    Ok(written.into_iter().flatten().collect())
}

/// What the stored rows say, and how many of them could not be read.
#[must_use]
pub fn admission_state(rows: Vec<AdmissionRow>) -> (State, usize) {
    let mut state = State::default();
    let mut unreadable: usize = 0;
    for AdmissionRow { kind, row } in rows {
        let read = match Kind::named(&kind) {
            Some(Kind::State) => match serde_json::from_str::<StateKeyed>(&row) {
                Ok(keyed) => {
                    state.state = Some(keyed.row);
                    true
                }
                Err(_) => false,
            },
            Some(Kind::Bucket) => push(&mut state.buckets, &row),
            Some(Kind::Lease) => push(&mut state.leases, &row),
            Some(Kind::Waiter) => push(&mut state.waiters, &row),
            Some(Kind::Model) => push(&mut state.models, &row),
            None => false,
        };
        unreadable = unreadable.saturating_add(usize::from(!read));
    }
    (state, unreadable)
}

/// The one state row with the key that all others have by themselves.
#[derive(Serialize, Deserialize)]
struct StateKeyed {
    only: u8,
    row: StateRow,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::State,
        Self::Bucket,
        Self::Lease,
        Self::Waiter,
        Self::Model,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Bucket => "bucket",
            Self::Lease => "lease",
            Self::Waiter => "waiter",
            Self::Model => "model",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// JSON path of the field that is a row's key.
    const fn key_path(self) -> &'static str {
        match self {
            Self::State => "$.only",
            Self::Bucket => "$.bucket",
            Self::Lease | Self::Waiter => "$.ticket",
            Self::Model => "$.model",
        }
    }

    fn put<T: Serialize>(self, rows: &[T]) -> Result<Option<Statement>, serde_json::Error> {
        let statement = |json: String| {
            let params = [self.name().into(), self.key_path().into(), json.into()];
            Statement::new(PUT_ROWS, params)
        };
        Ok(json_of(rows)?.map(statement))
    }

    fn delete<T: Serialize>(self, keys: &[T]) -> Result<Option<Statement>, serde_json::Error> {
        let statement =
            |json: String| Statement::new(DELETE_ROWS, [self.name().into(), json.into()]);
        Ok(json_of(keys)?.map(statement))
    }
}

fn json_of<T: Serialize>(rows: &[T]) -> Result<Option<String>, serde_json::Error> {
    if rows.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(rows).map(Some)
}

fn push<T: DeserializeOwned>(rows: &mut Vec<T>, row: &str) -> bool {
    serde_json::from_str(row)
        .map(|read| rows.push(read))
        .is_ok()
}
