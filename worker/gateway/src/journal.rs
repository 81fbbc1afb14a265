//! 日志行从何而来：请求之前知道什么，结束时知道什么。
//!
//! Owns how a [`LogRow`] is put together in the limiter object, and the two notes in which a Worker tells
//! what only it knows: [`Asked`] with the request for a permit, [`Answered`] with its settlement. The object
//! adds what only it knows: the wait, the place, what was reserved, and how the request ended if no Worker
//! says so any more. Stores nothing.
//!
//! Invariant: a request that was granted has one row however it ends, and one that waited in vain has one
//! as well. A note that cannot be read gives no row, because a row without its request would be a lie.

mod moving;

pub use moving::{ANSWER_WAIT_MAX, Moving, ROWS_MAX};

use admission::protocol::{Refusal, RefusalReason, SettleOutcome, TicketId};
use admission::{Ended, Instant};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::error::ErrorCode;
use crate::log_row::{LogRow, UsageSource};

/// Status of a client that has left (nginx's number; there is no standard one).
pub const CLIENT_GONE: u16 = 499;

/// How long the row of a waiter is held whose call has not come back after a restart of the object: a Worker
/// that lives calls again for 3.2 s, and its request is not over then.
pub const HELD: Duration = Duration::from_secs(10);

/// A row as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The row.
    #[serde(flatten)]
    pub row: LogRow,
    /// Not moved before this instant, in milliseconds since the Unix epoch: the request may come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<u64>,
}

/// What of an [`Entry`] is not the row's.
#[derive(Deserialize)]
struct Hold {
    #[serde(default)]
    held_until: Option<u64>,
}

impl From<LogRow> for Entry {
    fn from(row: LogRow) -> Self {
        Self {
            row,
            held_until: None,
        }
    }
}

impl Entry {
    /// Reads what the journal keeps. Twice over the text, which is less work than flattened fields are to serde.
    ///
    /// # Errors
    /// Text that no entry was written as.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        let Hold { held_until } = serde_json::from_str(text)?;
        let row = serde_json::from_str(text)?;
        Ok(Self { row, held_until })
    }

    /// The row of a request that is refused now. It is held if the request counts as cancelled only because no
    /// call of it is parked: after a restart of the object it may still come back.
    #[must_use]
    pub fn of_refusal(row: LogRow, reason: RefusalReason, is_parked: bool, now: Instant) -> Self {
        let is_held = reason == RefusalReason::Cancelled && !is_parked;
        Self {
            row,
            held_until: is_held.then(|| now.saturating_add(HELD).as_millis()),
        }
    }

    /// Whether its request may still come back.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.held_until.is_some()
    }
}

/// What the Worker knows of a request before it has a permit. One letter a field: it travels in a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Request id; empty = the permit was granted ahead, and its ticket becomes the id of the request that uses it.
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// When it arrived at the gateway, in milliseconds since the Unix epoch; of a permit granted ahead, when it
    /// was asked for.
    #[serde(rename = "s")]
    pub started_at: u64,
    /// The calling application.
    #[serde(rename = "a")]
    pub app: String,
    /// The gateway key.
    #[serde(rename = "k")]
    pub key_id: String,
    /// The server whose object is asked.
    #[serde(rename = "v")]
    pub server_id: String,
    /// The model asked for.
    #[serde(rename = "m")]
    pub model: String,
    /// Path of the endpoint.
    #[serde(rename = "e")]
    pub endpoint: String,
    /// Whether the client asked for a stream.
    #[serde(rename = "t", default, skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Location of the Worker.
    #[serde(rename = "c", default, skip_serializing_if = "String::is_empty")]
    pub colo: String,
    /// What the client will be answered if it gets no further permit: the answer to an earlier attempt.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldAnswer>,
}

/// The answer to an earlier attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAnswer {
    /// Its status.
    #[serde(rename = "s")]
    pub status: u16,
    /// The gateway's own error, if it was one.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What the Worker knows of a request when it is over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// What the client was answered; [`CLIENT_GONE`] where it had left.
    #[serde(rename = "s")]
    pub status: u16,
    /// The gateway's own error, if it was one.
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Prompt tokens.
    #[serde(rename = "p", default)]
    pub prompt_tokens: u64,
    /// Completion tokens.
    #[serde(rename = "o", default)]
    pub completion_tokens: u64,
    /// Cached prompt tokens.
    #[serde(rename = "h", default)]
    pub cached_tokens: u64,
    /// How far these three can be trusted.
    #[serde(rename = "u", default)]
    pub usage_source: UsageSource,
    /// From the start to the first byte.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u64>,
    /// From the start to the end.
    #[serde(rename = "t", default)]
    pub total_ms: u64,
    /// Of these, the gateway's own.
    #[serde(rename = "g", default)]
    pub overhead_ms: u64,
    /// How often the request was sent upstream.
    #[serde(rename = "n", default)]
    pub attempts: u64,
    /// When the request arrived, where its permit was granted ahead; in milliseconds since the Unix epoch.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
}

impl Asked {
    /// As a note.
    #[must_use]
    pub fn note(&self) -> String {
        // Texts and numbers cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn row(self, ticket: &TicketId) -> LogRow {
        let ticket = ticket.as_str().to_owned();
        let request_id = match self.request_id {
            none if none.is_empty() => ticket.clone(),
            own => own,
        };
        LogRow {
            ticket,
            request_id,
            started_at: self.started_at,
            app: self.app,
            key_id: self.key_id,
            server_id: self.server_id,
            model: self.model,
            endpoint: self.endpoint,
            stream: self.stream,
            colo: self.colo,
            ..LogRow::default()
        }
    }
}

impl Answered {
    /// As a note.
    #[must_use]
    pub fn note(&self) -> String {
        // Texts and numbers cannot fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The row of a permit that was settled; `note` is that of the settlement.
#[must_use]
pub fn settled(
    ticket: &TicketId,
    ended: &Ended,
    outcome: SettleOutcome,
    note: &str,
    now: Instant,
) -> Option<LogRow> {
    let row = granted(ticket, ended)?;
    let Ok(answered) = serde_json::from_str::<Answered>(note) else {
        // The object itself took the permit back, or a Worker of an earlier version settled it.
        return Some(match outcome {
            SettleOutcome::NotSent => LogRow {
                status: CLIENT_GONE,
                total_ms: age(&row, now),
                ..row
            },
            _ => reserved(row, ended, now),
        });
    };
    let prompt_tokens = match answered.usage_source {
        // A Worker of an earlier version estimates nothing; what was reserved is all there is then.
        UsageSource::Estimated if answered.prompt_tokens == 0 => ended.reserved_tokens,
        UsageSource::Estimated | UsageSource::Exact | UsageSource::Reserved => {
            answered.prompt_tokens
        }
    };
    Some(LogRow {
        status: answered.status,
        error_code: answered.error_code,
        prompt_tokens,
        completion_tokens: answered.completion_tokens,
        cached_tokens: answered.cached_tokens,
        total_tokens: prompt_tokens.saturating_add(answered.completion_tokens),
        usage_source: answered.usage_source,
        ttft_ms: answered.ttft_ms,
        total_ms: answered.total_ms,
        overhead_ms: answered.overhead_ms,
        attempts: answered.attempts,
        started_at: answered.started_at.unwrap_or(row.started_at),
        ..row
    })
}

/// The row of a permit that nobody has settled in time. How its request ended is not known; what was
/// reserved for it stands as prompt tokens.
#[must_use]
pub fn expired(ticket: &TicketId, ended: &Ended, now: Instant) -> Option<LogRow> {
    Some(reserved(granted(ticket, ended)?, ended, now))
}

/// The row of a request that waited in vain, or was let in before and is not again. Others that are refused
/// at once cost nobody anything and leave no row.
#[must_use]
pub fn refused(
    ticket: &TicketId,
    note: &str,
    attempt: u32,
    refusal: &Refusal,
    now: Instant,
) -> Option<LogRow> {
    let (status, code) = match refusal.reason {
        RefusalReason::QueueTimeout => of(ErrorCode::QueueTimeout),
        RefusalReason::QueueEvicted => of(ErrorCode::QueueEvicted),
        RefusalReason::Cancelled => (CLIENT_GONE, None),
        RefusalReason::QueueFull if attempt > 0 => of(ErrorCode::QueueFull),
        RefusalReason::DeadlineUnreachable if attempt > 0 => of(ErrorCode::DeadlineUnreachable),
        RefusalReason::Disabled if attempt > 0 => of(ErrorCode::ModelNotFound),
        RefusalReason::Overloaded if attempt > 0 => of(ErrorCode::ServerOverloaded),
        RefusalReason::QueueFull
        | RefusalReason::DeadlineUnreachable
        | RefusalReason::Overloaded
        | RefusalReason::Disabled => return None,
    };
    let asked: Asked = serde_json::from_str(note).ok()?;
    let held = asked.held.clone();
    let held = held.filter(|_| refusal.reason != RefusalReason::Cancelled);
    let row = asked.row(ticket);
    let (status, error_code) = held.map_or((status, code), |held| (held.status, held.code));
    Some(LogRow {
        status,
        error_code,
        queue_wait_ms: millis(refusal.admission.wait),
        queue_position: refusal.admission.position,
        total_ms: age(&row, now),
        attempts: attempt.into(),
        ..row
    })
}

fn granted(ticket: &TicketId, ended: &Ended) -> Option<LogRow> {
    let asked: Asked = serde_json::from_str(&ended.note).ok()?;
    Some(LogRow {
        queue_wait_ms: millis(ended.wait),
        queue_position: ended.position,
        attempts: u64::from(ended.attempt).saturating_add(1),
        ..asked.row(ticket)
    })
}

fn reserved(row: LogRow, ended: &Ended, now: Instant) -> LogRow {
    LogRow {
        status: CLIENT_GONE,
        prompt_tokens: ended.reserved_tokens,
        total_tokens: ended.reserved_tokens,
        usage_source: UsageSource::Reserved,
        total_ms: age(&row, now),
        ..row
    }
}

fn of(code: ErrorCode) -> (u16, Option<String>) {
    (code.status(), Some(code.as_str().to_owned()))
}

fn age(row: &LogRow, now: Instant) -> u64 {
    millis(now.saturating_since(Instant::from_millis(row.started_at)))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests;
