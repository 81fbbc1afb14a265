//! 持久状态：可以原样写进表格的行，以及何时必须写。
//!
//! What the shell stores: flat rows of integers and texts, as changes or as a whole, and how soon.
//!
//! Owns the shape of the rows and nothing else. The core says what changed; the shell writes all of
//! one [`Changes`] in one transaction.
//!
//! Rows are best stored as JSON texts beside their key: fields may come, and missing ones have a
//! default.
//!
//! Invariant: every integer is below 2^53, so that it survives a trip through JavaScript.

use crate::ledger::SEAL_AFTER;
use crate::protocol::OnFull;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Greatest integer in a row: JavaScript's greatest exact one.
pub(crate) const COUNT_MAX: u64 = (1 << 53) - 1;

/// How soon the changes must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Commit {
    /// Nothing has changed.
    Nothing,
    /// Within [`COMMIT_INTERVAL`](crate::COMMIT_INTERVAL), together with what follows.
    Soon,
    /// Before an answer leaves that tells of it: more has been granted than the last durable record
    /// allows for.
    Now,
}

/// What changed since the changes were last taken: rows to insert or replace by their key (the
/// first column), and keys to delete. No key is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names this batch for [`Admission::committed`](crate::Admission::committed).
    pub sequence: u64,
    /// The one state row.
    pub state: Option<StateRow>,
    /// Buckets of the window.
    pub buckets: Vec<BucketRow>,
    /// Buckets that have left the window.
    pub buckets_removed: Vec<u64>,
    /// Permits out.
    pub leases: Vec<LeaseRow>,
    /// Permits that ended.
    pub leases_removed: Vec<String>,
    /// Waiters.
    pub waiters: Vec<WaiterRow>,
    /// Waiters that left.
    pub waiters_removed: Vec<String>,
    /// What is learnt per model.
    pub models: Vec<ModelRow>,
    /// Models that were forgotten.
    pub models_removed: Vec<String>,
}

/// Everything, to be restored from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Names it for [`Admission::committed`](crate::Admission::committed); not stored.
    #[serde(default)]
    pub sequence: u64,
    /// The one state row; `None` = nothing was ever stored.
    pub state: Option<StateRow>,
    /// Buckets of the window, in any order.
    pub buckets: Vec<BucketRow>,
    /// Permits out, in any order.
    pub leases: Vec<LeaseRow>,
    /// Waiters, in any order.
    pub waiters: Vec<WaiterRow>,
    /// What is learnt per model, in any order.
    pub models: Vec<ModelRow>,
}

/// What there is once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StateRow {
    /// The latest instant.
    pub instant_ms: u64,
    /// Numbers given to places in the queue.
    pub entered: u64,
    /// Newest configuration version seen.
    pub config_version: u64,
    /// The end of the pause.
    pub paused_until_ms: u64,
    /// Requests that may have been granted since this row was written, nobody else knowing.
    pub allowance_requests: u64,
    /// Tokens likewise.
    pub allowance_tokens: u64,
    /// The limits in force; `None` = none were ever seen.
    pub limits: Option<LimitsRow>,
    /// What is believed of the upstream since its last refusal.
    pub probe: Option<ProbeRow>,
    /// Slots of permits that an earlier crash may have made everybody forget.
    pub lost: Vec<LostRow>,
}

/// The limits in force, as in [`Limits`](crate::protocol::Limits).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsRow {
    /// Version of the configuration row.
    pub version: u64,
    /// Whether the server is switched on.
    pub enabled: bool,
    /// `None` = unlimited.
    pub rpm: Option<u64>,
    /// `None` = unlimited.
    pub tpm: Option<u64>,
    /// `None` = unlimited.
    pub concurrency: Option<u64>,
    /// Waiters that the queue holds.
    pub queue_max: u64,
    /// Longest wait.
    pub queue_timeout_ms: u64,
    /// Who leaves a full queue.
    pub on_full: OnFull,
    /// How long a permit lives unsettled.
    pub lease_ms: u64,
}

/// What is believed of the upstream since its last refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeRow {
    /// Requests that one window is known to take.
    pub ceiling: u64,
    /// The first request after the pause: 0 = due, 1 = out, 2 = accepted.
    pub lead: u64,
    /// Size of the current round beyond the ceiling; 0 = the pace counts.
    pub round: u64,
    /// How many of the round may still go.
    pub left: u64,
    /// Time between two requests beyond the ceiling.
    pub pace_ms: u64,
    /// When the next one may go.
    pub pace_at_ms: u64,
    /// When the last refusal that proved something was heard of.
    pub refused_at_ms: u64,
    /// When all this is forgotten.
    pub forget_at_ms: u64,
}

/// Slots that are taken for permits that nobody remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LostRow {
    /// When the last of them ends.
    pub until_ms: u64,
    /// How many.
    pub slots: u64,
}

/// One bucket of the window. Key: `bucket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketRow {
    /// Which 100 ms since the Unix epoch.
    pub bucket: u64,
    /// Requests charged.
    pub requests: u64,
    /// Tokens charged.
    pub tokens: u64,
    /// Requests among those charged that the upstream refused.
    pub refused: u64,
}

/// One permit that is out. Key: `ticket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseRow {
    /// Whose.
    pub ticket: String,
    /// When it was granted.
    pub granted_at_ms: u64,
    /// When it ends by itself.
    pub expires_at_ms: u64,
    /// Which bucket it is charged in.
    pub bucket: u64,
    /// Tokens reserved.
    pub reserved_tokens: u64,
    /// Upstream attempts before.
    pub attempt: u64,
    /// What the shell wants back at the end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Place at entry.
    pub position: u64,
    /// Wait until the grant.
    pub wait_ms: u64,
    /// Arrival of its request.
    pub arrival_ms: u64,
    /// Order of entry among requests of the same arrival.
    pub sequence: u64,
    /// The model asked for; with `prompt_bytes`, what its usage will teach.
    pub model: String,
    /// Bytes of the request body.
    pub prompt_bytes: u64,
    /// Most output tokens the client allows; `None` = it did not say.
    pub output_tokens_max: Option<u64>,
    /// 0 = nothing is to be heard of it; 1 = it leads, 2 = it goes beyond the ceiling, and nothing
    /// has been heard of it.
    pub probe: u64,
    /// 1 = granted ahead, and not known to be in use.
    pub ahead: u64,
}

/// One waiter. Key: `ticket`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaiterRow {
    /// Whose.
    pub ticket: String,
    /// Arrival of its request.
    pub arrival_ms: u64,
    /// Order of entry among requests of the same arrival.
    pub sequence: u64,
    /// When it is refused unless granted by then.
    pub deadline_ms: u64,
    /// Tokens that it was expected to use at its entry.
    pub tokens: u64,
    /// Place at entry.
    pub position: u64,
    /// Upstream attempts before.
    pub attempt: u64,
    /// What the shell wants back at the end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The model asked for.
    pub model: String,
    /// Bytes of the request body.
    pub prompt_bytes: u64,
    /// Most output tokens the client allows; `None` = it did not say.
    pub output_tokens_max: Option<u64>,
}

/// What is learnt about one model. Key: `model`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelRow {
    /// Which model.
    pub model: String,
    /// When it was last used, in order of use.
    pub used: u64,
    /// Epochs learnt from.
    pub epochs: u64,
    /// Prompt tokens per byte, mean, in 1/65,536.
    pub prompt_mean: u64,
    /// Their mean deviation, in 1/65,536.
    pub prompt_deviation: u64,
    /// Output tokens, mean, in 1/256.
    pub output_mean: u64,
    /// Their deviation, in 1/256.
    pub output_deviation: u64,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_none()
            && self.buckets.is_empty()
            && self.buckets_removed.is_empty()
            && self.leases.is_empty()
            && self.leases_removed.is_empty()
            && self.waiters.is_empty()
            && self.waiters_removed.is_empty()
            && self.models.is_empty()
            && self.models_removed.is_empty()
    }
}

impl State {
    /// Whether nothing was going on when this was stored: nobody waits, nothing may have been granted
    /// since, and the record is older than [`SEAL_AFTER`]. Where that is
    /// not so, callers that the record does not know may be on their way back.
    #[must_use]
    pub fn is_at_rest(&self, now: Instant) -> bool {
        let Some(state) = &self.state else {
            return true;
        };
        let stored_at = Instant::from_millis(state.instant_ms);
        self.waiters.is_empty()
            && state.allowance_requests == 0
            && now.saturating_since(stored_at) > SEAL_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(instant_ms: u64, allowance_requests: u64, waiters: usize) -> State {
        State {
            state: Some(StateRow {
                instant_ms,
                allowance_requests,
                ..StateRow::default()
            }),
            waiters: vec![WaiterRow::default(); waiters],
            ..State::default()
        }
    }

    #[test]
    fn a_state_is_at_rest_when_nobody_can_be_on_the_way_back() {
        let now = Instant::from_millis(10_000);
        assert!(State::default().is_at_rest(now), "a new object");
        assert!(stored(8_000, 0, 0).is_at_rest(now));
        assert!(!stored(8_000, 0, 1).is_at_rest(now), "somebody waits");
        assert!(
            !stored(8_000, 2, 0).is_at_rest(now),
            "grants may be unknown"
        );
        assert!(!stored(9_500, 0, 0).is_at_rest(now), "just now");
    }
}
