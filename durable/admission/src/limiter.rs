//! 限流器：限额、窗口与暂停合在一起，回答“现在能走吗”“何时能走”。
//!
//! The limiter: limits, window and pause together answer whether a request fits, when it will,
//! and how long one with others ahead of it is likely to wait.
//!
//! Owns the limits in force and what counts against them. Knows no order among requests.
//!
//! Invariant: a charge is made only where the request fits, so the window exceeds a limit only by
//! debt (usage beyond its reservation) or after the limit was lowered.

use crate::estimate::TOKENS_MAX;
use crate::lease::PERMITS_MAX;
use crate::protocol::{Budget, Limits};
use crate::queue::QUEUE_LEN_MAX;
use crate::rank::Sums;
use crate::time::Instant;
use crate::window::{BucketIndex, Count, Usage, Window, cycle_ms};
use core::time::Duration;

/// Longest pause taken on at once: a provider that asks for more is asked again after an hour, so
/// that one wrong header cannot stop a server for good.
pub const PAUSE_MAX: Duration = Duration::from_hours(1);

/// What a refusal gives as `retry_after` where no estimate exists: the server is paused or
/// disabled, and only an operator knows for how long. One window, so that clients do not hammer.
pub const RETRY_AFTER_UNKNOWN: Duration = Duration::from_mins(1);

/// The limits in force and what counts against them.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    limits: Limits,
    adopted: bool,
    window: Window,
    paused_until: Instant,
}

impl Limiter {
    /// The limits in force.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes over newer limits, within our own bounds. False if they are not newer.
    pub(crate) fn adopt(&mut self, limits: Limits) -> bool {
        if self.adopted && limits.version <= self.limits.version {
            return false;
        }
        self.adopted = true;
        self.limits = Limits {
            queue_max: limits.queue_max.min(QUEUE_LEN_MAX),
            ..limits
        };
        true
    }

    /// Lets time pass in the window.
    pub(crate) fn expire(&mut self, at: Instant) {
        self.window.expire(at);
    }

    /// No grants before `until`, at most [`PAUSE_MAX`] from now; never shortens a pause.
    pub(crate) fn pause(&mut self, until: Instant, now: Instant) {
        let until = until.min(now.saturating_add(PAUSE_MAX));
        self.paused_until = self.paused_until.max(until);
    }

    /// The end of the pause, if it lies ahead.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        Some(self.paused_until).filter(|until| *until > now)
    }

    /// Whether a request of `tokens` may be granted at `at`, with `in_flight` permits out.
    pub(crate) fn fits(&self, tokens: u64, in_flight: u64, at: Instant) -> bool {
        let used = self.window.total();
        let room = |limit: Option<u64>, used: u64, own: u64| {
            limit.is_none_or(|limit| used.saturating_add(own) <= limit)
        };
        !self.is_stopped()
            && self.paused_until <= at
            && self.has_slot(in_flight)
            && room(self.limits.rpm, used.requests, 1)
            && room(self.limits.tpm, used.tokens, self.reservation(tokens))
    }

    /// The exact instant from which a request of `tokens` fits if nothing else happens.
    /// `None` where only a settle or a change of limits can let it through.
    pub(crate) fn fits_at(&self, tokens: u64, in_flight: u64) -> Option<Instant> {
        let own = Sums {
            count: 1,
            weight: self.reservation(tokens),
        };
        if self.has_slot(in_flight) {
            self.fits_after(own, self.window.edge())
        } else {
            None
        }
    }

    /// Estimated wait of a request of `tokens` behind `ahead`; `None` = nobody can tell.
    ///
    /// From what the window holds: the instant when enough requests and tokens have left for all
    /// of them, with a full cycle of the window for each time that the limit itself is exceeded.
    /// It is an estimate: waiters ahead may leave, reservations be corrected, tokens not pack
    /// without gaps; and slots that are taken free themselves nobody knows when, so with
    /// `max_concurrency` it is a lower bound.
    pub(crate) fn wait(&self, ahead: Sums, tokens: u64, now: Instant) -> Option<Duration> {
        let own = Sums {
            count: 1,
            weight: self.reservation(tokens),
        };
        let at = self.fits_after(ahead.plus(own), now)?;
        Some(at.saturating_since(now))
    }

    /// Charges a request that fits; returns its bucket and the tokens reserved.
    pub(crate) fn charge(&mut self, tokens: u64, now: Instant) -> (BucketIndex, u64) {
        let reserved = self.reservation(tokens);
        (self.window.charge(reserved, now), reserved)
    }

    /// Replaces a reservation by the actual usage.
    pub(crate) fn correct(&mut self, bucket: BucketIndex, reserved: u64, actual: u64, at: Instant) {
        self.window
            .correct(bucket, reserved, actual.min(TOKENS_MAX), at);
    }

    /// Takes back a charge of which nothing reached the upstream.
    pub(crate) fn refund(&mut self, bucket: BucketIndex, reserved: u64) {
        self.window.refund(bucket, reserved);
    }

    /// What counts against the limits at `at`.
    pub(crate) fn used_at(&self, at: Instant) -> Usage {
        self.window.total_at(at)
    }

    /// What is left of the two limits at `at`.
    pub(crate) fn budgets(&self, at: Instant) -> (Option<Budget>, Option<Budget>) {
        let used = self.window.total_at(at);
        let budget = |limit: Option<u64>, count: Count| {
            limit.map(|limit| Budget {
                limit,
                remaining: limit.saturating_sub(used.get(count)),
                reset: self.window.free_at(count).saturating_since(at),
            })
        };
        (
            budget(self.limits.rpm, Count::Requests),
            budget(self.limits.tpm, Count::Tokens),
        )
    }

    /// Tokens set aside for a request: never more than the window can hold at all. A token limit
    /// of zero grants nothing, so it bounds nothing either.
    pub(crate) fn reservation(&self, tokens: u64) -> u64 {
        match self.limits.tpm {
            None | Some(0) => tokens,
            Some(limit) => tokens.min(limit),
        }
    }

    /// Whether a limit of zero stops everything.
    fn is_stopped(&self) -> bool {
        let limits = &self.limits;
        [limits.rpm, limits.tpm, limits.concurrency].contains(&Some(0))
    }

    fn has_slot(&self, in_flight: u64) -> bool {
        in_flight < self.limits.concurrency.unwrap_or(u64::MAX).min(PERMITS_MAX)
    }

    /// From when the whole `demand` has been let through, as far as window and pause tell; not
    /// before `start`.
    fn fits_after(&self, demand: Sums, start: Instant) -> Option<Instant> {
        if self.is_stopped() {
            return None;
        }
        let start = start.max(self.paused_until);
        let room_for = |limit: Option<u64>, count, demand| match limit {
            None => Some(start),
            Some(limit) => self.room_for(limit, count, demand, start),
        };
        let requests = room_for(self.limits.rpm, Count::Requests, demand.count)?;
        let tokens = room_for(self.limits.tpm, Count::Tokens, demand.weight)?;
        Some(requests.max(tokens))
    }

    /// From when `demand` of one count has been let through under `limit`.
    fn room_for(&self, limit: u64, count: Count, demand: u64, start: Instant) -> Option<Instant> {
        // The last window's worth of the demand, and how many full windows come before it.
        let before = demand.saturating_sub(1);
        let cycles = before.checked_div(limit)?;
        let last = demand.saturating_sub(cycles.saturating_mul(limit));
        let used = self.window.total().get(count);
        let must_leave = used.saturating_add(last).saturating_sub(limit);
        let first = self.window.left_by(count, must_leave)?.max(start);
        let cycles = Duration::from_millis(cycles.saturating_mul(cycle_ms()));
        Some(first.saturating_add(cycles))
    }
}
