//! 行与值的互换：限额与试探的结论。
//!
//! Limits and what is believed of the upstream, as parts of the state row and back.
//!
//! Owns no meaning. Invariant: whatever a row says, the value is within its bounds.

use crate::probe::{FORGET, Lead, Learnt};
use crate::protocol::Limits;
use crate::state::{COUNT_MAX, LimitsRow, ProbeRow};
use crate::time::{Instant, millis};
use core::time::Duration;

pub(crate) fn limits_row(limits: &Limits) -> LimitsRow {
    let bounded = |limit: Option<u64>| limit.map(|limit| limit.min(COUNT_MAX));
    LimitsRow {
        version: limits.version.min(COUNT_MAX),
        enabled: limits.enabled,
        rpm: bounded(limits.rpm),
        tpm: bounded(limits.tpm),
        concurrency: bounded(limits.concurrency),
        queue_max: limits.queue_max.min(COUNT_MAX),
        queue_timeout_ms: millis(limits.queue_timeout).min(COUNT_MAX),
        on_full: limits.on_full,
        lease_ms: millis(limits.lease).min(COUNT_MAX),
    }
}

pub(crate) fn limits_of(row: &LimitsRow) -> Limits {
    Limits {
        version: row.version,
        enabled: row.enabled,
        rpm: row.rpm,
        tpm: row.tpm,
        concurrency: row.concurrency,
        queue_max: row.queue_max,
        queue_timeout: Duration::from_millis(row.queue_timeout_ms),
        on_full: row.on_full,
        lease: Duration::from_millis(row.lease_ms),
    }
}

pub(crate) fn probe_row(learnt: &Learnt) -> ProbeRow {
    ProbeRow {
        ceiling: learnt.ceiling.min(COUNT_MAX),
        lead: match learnt.lead {
            Lead::Due => 0,
            Lead::Out => 1,
            Lead::Accepted => 2,
        },
        round: learnt.round,
        left: learnt.left,
        pace_ms: learnt.pace_ms,
        pace_at_ms: learnt.pace_at.as_millis().min(COUNT_MAX),
        refused_at_ms: learnt.refused_at.as_millis().min(COUNT_MAX),
        forget_at_ms: learnt.forget_at.as_millis().min(COUNT_MAX),
    }
}

/// Nothing in it lies further ahead than a pause and what follows it may.
pub(crate) fn learnt_of(row: &ProbeRow, now: Instant) -> Learnt {
    let ahead = now
        .saturating_add(crate::limiter::PAUSE_MAX)
        .saturating_add(FORGET);
    let instant = |millis: u64| Instant::from_millis(millis).min(ahead);
    Learnt {
        ceiling: row.ceiling,
        lead: match row.lead {
            1 => Lead::Out,
            2 => Lead::Accepted,
            _ => Lead::Due,
        },
        round: row.round,
        left: row.left,
        pace_ms: row.pace_ms,
        pace_at: instant(row.pace_at_ms),
        refused_at: instant(row.refused_at_ms).min(now),
        forget_at: instant(row.forget_at_ms),
    }
}
