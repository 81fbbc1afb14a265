//! 限流器：限额、窗口、暂停与试探合在一起，回答“现在能走吗”“何时能走”。
//!
//! The limiter: limits, window, pause and probing together answer whether a request fits, when it
//! will, and how long one with others ahead of it is likely to wait.
//!
//! Owns the limits in force and what counts against them. Knows no order among requests.
//!
//! Invariant: a charge is made only where the request fits, so the window exceeds a limit only by
//! debt (usage beyond its reservation) or after the limit was lowered.

use crate::estimate::TOKENS_MAX;
use crate::lease::{Lease, PERMITS_MAX};
use crate::probe::{Kind, Probe, Refused, Way};
use crate::protocol::{Budget, Limits, TicketId};
use crate::queue::QUEUE_LEN_MAX;
use crate::rank::Sums;
use crate::rows::{learnt_of, limits_of, limits_row, probe_row};
use crate::state::{BucketRow, COUNT_MAX, StateRow};
use crate::time::Instant;
use crate::window::{BucketIndex, Count, Usage, Window, cycle_ms};
use core::time::Duration;

/// Longest pause taken on at once: a provider that asks for more is asked again after an hour, so
/// that one wrong header cannot stop a server for good.
pub const PAUSE_MAX: Duration = Duration::from_hours(1);

/// Shortest pause after a refusal by the upstream: what is granted afterwards is granted later.
const REFUSED_PAUSE_MIN: Duration = Duration::from_millis(1);

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
    probe: Probe,
    /// Anything but the window has changed since the state was last taken.
    changed: bool,
}

/// A charge that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    pub(crate) bucket: BucketIndex,
    pub(crate) reserved: u64,
    pub(crate) probe: Option<Kind>,
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
        self.changed = true;
        self.limits = Limits {
            queue_max: limits.queue_max.min(QUEUE_LEN_MAX),
            ..limits
        };
        true
    }

    /// Lets time pass in the window. True if a belief about the upstream ended with it.
    pub(crate) fn expire(&mut self, at: Instant) -> bool {
        self.window.expire(at);
        let forgot = self.probe.forget(at);
        self.changed |= forgot;
        forgot
    }

    /// No grants before `until`, at most [`PAUSE_MAX`] from now; never shortens a pause.
    pub(crate) fn pause(&mut self, until: Instant, now: Instant) {
        let until = until.min(now.saturating_add(PAUSE_MAX));
        self.changed |= until > self.paused_until;
        self.paused_until = self.paused_until.max(until);
    }

    /// The upstream refused a request and wants no other for `pause`: the server pauses, and what
    /// is known of the request's own charge is given back but for the request itself.
    pub(crate) fn refused(&mut self, lease: Option<&Lease>, pause: Duration, now: Instant) {
        self.pause(now.saturating_add(pause.max(REFUSED_PAUSE_MIN)), now);
        if let Some(lease) = lease {
            self.window.refuse(lease.bucket, lease.reserved);
        }
        self.probe.refused(&Refused {
            granted_at: lease.map(|lease| lease.granted_at),
            accepted: self.window.total().get(Count::Accepted),
            until: self.paused_until,
            now,
        });
        self.changed = true;
    }

    /// What is found out about the upstream.
    pub(crate) const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The same, because something was heard.
    pub(crate) fn probe_mut(&mut self) -> &mut Probe {
        self.changed = true;
        &mut self.probe
    }

    /// The end of the pause, if it lies ahead.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        Some(self.paused_until).filter(|until| *until > now)
    }

    /// Whether a request of `tokens` may be granted at `at`, with `slots` taken.
    pub(crate) fn fits(&self, tokens: u64, slots: u64, at: Instant) -> bool {
        let used = self.window.total();
        let room = |limit: Option<u64>, used: u64, own: u64| {
            limit.is_none_or(|limit| used.saturating_add(own) <= limit)
        };
        !self.is_stopped()
            && self.paused_until <= at
            && self.has_slot(slots)
            && self.probe.way(used.get(Count::Accepted), at) != Way::Shut
            && room(self.limits.rpm, used.requests, 1)
            && room(self.limits.tpm, used.tokens, self.reservation(tokens))
    }

    /// The exact instant from which a request of `tokens` fits if nothing else happens.
    /// `None` where only a settle or a change of limits can let it through.
    pub(crate) fn fits_at(&self, tokens: u64, slots: u64) -> Option<Instant> {
        let own = Sums {
            count: 1,
            weight: self.reservation(tokens),
        };
        let accepted = self.window.total().get(Count::Accepted);
        let below = |ceiling: u64| {
            let must_leave = accepted.saturating_add(1).saturating_sub(ceiling);
            self.window.left_by(Count::Accepted, must_leave)
        };
        let fits = self
            .fits_after(own, self.window.edge())
            .filter(|_| self.has_slot(slots))?;
        Some(fits.max(self.probe.opens_at(self.window.edge(), below)))
    }

    /// Estimated wait of a request of `tokens` behind `ahead`; `None` = nobody can tell.
    ///
    /// From what the window holds: the instant when enough requests and tokens have left for all
    /// of them, with a full cycle of the window for each time that the limit itself is exceeded.
    /// It is an estimate: waiters ahead may leave, reservations be corrected, tokens not pack
    /// without gaps; slots that are taken free themselves nobody knows when, so with
    /// `max_concurrency` it is a lower bound; and what the upstream really takes is a guess.
    pub(crate) fn wait(&self, ahead: Sums, tokens: u64, now: Instant) -> Option<Duration> {
        let own = Sums {
            count: 1,
            weight: self.reservation(tokens),
        };
        let demand = ahead.plus(own);
        let start = now.max(self.paused_until);
        let found_out = match self.probe.rate(cycle_ms()) {
            None => start,
            Some(rate) => self.room_for(rate, Count::Accepted, demand.count, start)?,
        };
        let at = self.fits_after(demand, now)?.max(found_out);
        Some(at.saturating_since(now))
    }

    /// Charges a request that fits since `at`.
    pub(crate) fn charge(
        &mut self,
        ticket: &TicketId,
        tokens: u64,
        at: Instant,
        now: Instant,
    ) -> Charge {
        let reserved = self.reservation(tokens);
        let accepted = self.window.total().get(Count::Accepted);
        let probe = match self.probe.way(accepted, at) {
            Way::Probe(kind) => Some(kind),
            Way::Open | Way::Shut => None,
        };
        if let Some(kind) = probe {
            self.probe_mut().granted(kind, ticket, now);
        }
        Charge {
            bucket: self.window.charge(reserved, now),
            reserved,
            probe,
        }
    }

    /// Replaces a reservation by the actual usage; returns by how much it was exceeded.
    pub(crate) fn correct(&mut self, lease: &Lease, actual: u64, at: Instant) -> u64 {
        let actual = actual.min(TOKENS_MAX);
        self.window
            .correct(lease.bucket, lease.reserved, actual, at);
        actual.saturating_sub(lease.reserved)
    }

    /// Takes back a charge of which nothing reached the upstream.
    pub(crate) fn refund(&mut self, bucket: BucketIndex, reserved: u64) {
        self.window.refund(bucket, reserved);
    }

    /// Moves a charge to `now`, or to an instant before it that the window still holds.
    pub(crate) fn move_charge(
        &mut self,
        bucket: BucketIndex,
        reserved: u64,
        now: Instant,
    ) -> BucketIndex {
        self.window.refund(bucket, reserved);
        self.window.charge(reserved, now)
    }

    /// Moves a charge to `at`, which is not in the future, where that is a later bucket and one that
    /// still counts.
    pub(crate) fn postpone_charge(
        &mut self,
        bucket: BucketIndex,
        reserved: u64,
        at: Instant,
    ) -> Option<BucketIndex> {
        self.window
            .is_after(at, bucket)
            .then(|| self.move_charge(bucket, reserved, at))
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

    /// The window, to store it.
    pub(crate) const fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_stored(&self) -> bool {
        !self.changed && self.window.is_stored()
    }

    /// Writes what there is once into the row.
    pub(crate) fn write(&mut self, row: &mut StateRow) {
        self.changed = false;
        row.paused_until_ms = self.paused_until.as_millis().min(COUNT_MAX);
        row.limits = self.adopted.then(|| limits_row(&self.limits));
        row.probe = self.probe.learnt().map(|learnt| probe_row(&learnt));
    }

    /// A limiter as it was stored, as of `now`, with what may have been granted since charged to
    /// this instant.
    pub(crate) fn restore(row: &StateRow, buckets: Vec<BucketRow>, now: Instant) -> Self {
        let mut limiter = Self {
            window: Window::restore(buckets, now),
            ..Self::default()
        };
        if let Some(limits) = &row.limits {
            limiter.adopt(limits_of(limits));
        }
        limiter.pause(Instant::from_millis(row.paused_until_ms), now);
        if let Some(probe) = &row.probe {
            limiter.probe.restore(learnt_of(probe, now));
        }
        limiter.window.charge_lost(
            row.allowance_requests,
            row.allowance_tokens.min(COUNT_MAX),
            now,
        );
        limiter
    }

    /// Whether a limit of zero stops everything.
    fn is_stopped(&self) -> bool {
        let limits = &self.limits;
        [limits.rpm, limits.tpm, limits.concurrency].contains(&Some(0))
    }

    fn has_slot(&self, slots: u64) -> bool {
        slots < self.limits.concurrency.unwrap_or(u64::MAX).min(PERMITS_MAX)
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
