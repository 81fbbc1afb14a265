//! D1 适配器：绑定并执行 `gateway::sql` 的语句。
//!
//! Binds and runs statements, nothing more. A storage error is an error, never a default value.

use std::cell::Cell;
use std::time::Duration;

use admission::Instant;
use futures::future::{Either, select};
use gateway::error::{ErrorCode, GatewayError};
use gateway::sql::Statement;
use serde::Deserialize;
use worker::{D1Database, D1Result, Delay};

use crate::clock::now;

/// A healthy D1 answers in milliseconds; after this long the last known configuration is the
/// better answer, and an administrator is told instead of kept waiting.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(5);

/// The D1 database bound as `DB`.
pub(crate) struct Store {
    db: D1Database,
    /// When D1 last failed to answer, if it has not answered since.
    failed_at: Cell<Option<Instant>>,
    /// False only where a fault was injected: nothing is asked then.
    available: Cell<bool>,
}

/// Why a statement did not succeed.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// A constraint of the schema refused the write; the text names `table.column`.
    Constraint(String),
    /// D1 did not answer, or answered something else than rows.
    Unavailable(String),
}

impl Store {
    pub(crate) fn new(db: D1Database) -> Self {
        Self {
            db,
            failed_at: Cell::new(None),
            available: Cell::new(true),
        }
    }

    /// Fault injection: whether D1 answers this isolate.
    pub(crate) fn set_available(&self, available: bool) {
        self.available.set(available);
    }

    /// When D1 last failed to answer, if it has not answered since.
    pub(crate) fn failed_at(&self) -> Option<Instant> {
        self.failed_at.get()
    }

    /// Runs one reading statement.
    pub(crate) async fn read<T>(&self, statement: &Statement) -> Result<Vec<T>, StoreError>
    where
        T: for<'a> Deserialize<'a>,
    {
        let results = self.batch(std::slice::from_ref(statement)).await?;
        rows(results.first())
    }

    /// Runs statements in one transaction.
    pub(crate) async fn batch(
        &self,
        statements: &[Statement],
    ) -> Result<Vec<D1Result>, StoreError> {
        let results = self.run(statements).await;
        let failed = matches!(results, Err(StoreError::Unavailable(_)));
        self.failed_at.set(failed.then(now));
        results
    }

    async fn run(&self, statements: &[Statement]) -> Result<Vec<D1Result>, StoreError> {
        if !self.available.get() {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        let prepared = statements
            .iter()
            .map(|statement| gateway_durable::prepare(&self.db, statement))
            .collect::<Result<Vec<_>, _>>()?;
        let batch = std::pin::pin!(self.db.batch(prepared));
        let results = match select(batch, Delay::from(ANSWER_WAIT_MAX)).await {
            Either::Left((results, _)) => results.map_err(StoreError::from)?,
            Either::Right(_) => return Err(StoreError::Unavailable("no answer in time".into())),
        };
        if results.len() == statements.len() {
            Ok(results)
        } else {
            Err(StoreError::Unavailable(
                "a statement without a result".into(),
            ))
        }
    }
}

/// Rows of one result of a batch.
pub(crate) fn rows<T>(result: Option<&D1Result>) -> Result<Vec<T>, StoreError>
where
    T: for<'a> Deserialize<'a>,
{
    let result = result.ok_or_else(|| StoreError::Unavailable("no result".into()))?;
    Ok(result.results()?)
}

impl StoreError {
    /// What D1 or its binding said.
    pub(crate) fn text(&self) -> &str {
        let (Self::Constraint(text) | Self::Unavailable(text)) = self;
        text
    }
}

impl From<worker::Error> for StoreError {
    fn from(error: worker::Error) -> Self {
        let text = error.to_string();
        if text.contains("constraint failed") {
            Self::Constraint(text)
        } else {
            Self::Unavailable(text)
        }
    }
}

impl From<StoreError> for GatewayError {
    fn from(error: StoreError) -> Self {
        let (StoreError::Constraint(detail) | StoreError::Unavailable(detail)) = error;
        GatewayError::new(
            ErrorCode::StorageUnavailable,
            "The configuration database does not answer; try again in a moment.",
        )
        .detail(detail)
    }
}
