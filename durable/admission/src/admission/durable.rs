//! 持久：何时写、写什么、怎样从写下的状态重新开始。
//!
//! Durability: when to write, what to write, and how to begin again from what was written.
//!
//! Owns the protocol with the shell's storage:
//!
//! 1. After every mutation the shell asks [`Admission::needs_commit`]. On [`Commit::Now`] it writes
//!    before an answer leaves that tells of the change; on [`Commit::Soon`] within [`COMMIT_INTERVAL`].
//!    [`WritePace`](crate::WritePace) says when.
//! 2. It writes all of [`Admission::take_changes`] in one transaction, then tells
//!    [`Admission::committed`] the sequence. Where the platform holds answers back until writes
//!    are durable, that is right after the write was issued.
//! 3. A settlement is acknowledged only when it is durable, so that the Worker repeats what a crash
//!    forgot. The object's shell holds permits back as well, because of their log rows.
//!
//! After a crash at any point [`Admission::restore`] has a window that counts at least what was
//! granted (the proof is in [`crate::ledger`]), the permits out, and the waiters in their order.
//! The calls of the waiters are gone. Each keeps its place for [`REENTRY_GRACE`]: its Worker
//! calls again with the same ticket. Until then nobody behind it is granted. A waiter that was
//! not yet durable comes back by the arrival that its Worker gives.
//!
//! Invariant: whatever the rows say, `restore` neither panics nor grants more for it.

use super::Admission;
use crate::lease::{LEASE_MAX, Lease, PERMITS_MAX};
use crate::limiter::Limiter;
use crate::queue::{QUEUE_LEN_MAX, Waiter};
use crate::state::{COUNT_MAX, Changes, Commit, LeaseRow, State, StateRow};
use crate::time::Instant;
use core::time::Duration;

/// Longest that a change stays unwritten while more of them gather and no earlier write is on its way:
/// a disk does 50 writes a second easily.
pub const COMMIT_INTERVAL: Duration = Duration::from_millis(20);

/// How long after a restart the waiters of before keep their place without their call: a Worker
/// hears of the reset at once and calls again within a round trip, from the far side of the world
/// and with one retry within a second. Until then nobody behind an absent waiter is granted.
pub const REENTRY_GRACE: Duration = Duration::from_secs(1);

/// How long after a grant everything is known that will be of when its request was sent: a Worker that
/// sends one late says so within this time ([`Admission::sent_late`]).
///
/// After a crash nobody may have been able to say so. A permit that was not settled and is younger than
/// this in the last record is then counted as if it had been sent at the end of this time, or at the
/// restart where that is earlier. The price is paid once a crash: the places of what was in flight come
/// back this much later at most, 2 s of 60, which is 3.4 % of one window.
pub const SENT_BY: Duration = Duration::from_secs(2);

/// Furthest that the stored instant may lie ahead of the clock: a greater one is a mistake, and to
/// wait for it would be for ever.
const CLOCK_BACK_MAX: Duration = Duration::from_hours(1);

impl Admission {
    /// How soon the shell must write what changed. Asked after every mutation.
    #[must_use]
    pub fn needs_commit(&self) -> Commit {
        let stored = !self.changed
            && self.limiter.is_stored()
            && self.leases.is_stored()
            && self.queue.is_stored()
            && self.estimator.is_stored();
        self.ledger.needs(!stored)
    }

    /// What changed since it was last taken. If it cannot be written, a
    /// [`Admission::checkpoint`] must be written in its place.
    pub fn take_changes(&mut self) -> Changes {
        let (sequence, state) = self.take_state();
        let (buckets, buckets_removed) = self.limiter.window_mut().take_rows();
        let (leases, leases_removed) = self.leases.take_rows();
        let (waiters, waiters_removed) = self.queue.take_rows();
        let (models, models_removed) = self.estimator.take_rows();
        Changes {
            sequence,
            state: Some(state),
            buckets,
            buckets_removed,
            leases,
            leases_removed,
            waiters,
            waiters_removed,
            models,
            models_removed,
        }
    }

    /// The changes (or the checkpoint) of this sequence are durable, or no answer leaves before
    /// they are.
    pub fn committed(&mut self, sequence: u64) {
        self.ledger.committed(sequence);
    }

    /// Everything, as one state that replaces whatever was written before.
    #[must_use]
    pub fn checkpoint(&mut self) -> State {
        let Changes {
            sequence, state, ..
        } = self.take_changes();
        State {
            sequence,
            state,
            buckets: self.limiter.window_mut().rows(),
            leases: self.leases.rows(),
            waiters: self.queue.rows(),
            models: self.estimator.rows(),
        }
    }

    /// The admission as it was stored. Events may be waiting: what has come due meanwhile.
    #[must_use]
    pub fn restore(state: State, now: Instant) -> Self {
        if state == State::default() {
            return Self::new();
        }
        let row = state.state.unwrap_or_default();
        let latest = Instant::from_millis(row.instant_ms);
        let now = now.max(latest.min(now.saturating_add(CLOCK_BACK_MAX)));
        let mut admission = Self {
            now,
            limiter: Limiter::restore(&row, state.buckets, now),
            config_version: row.config_version,
            ..Self::default()
        };
        for model in state.models {
            admission.estimator.restore(model);
        }
        admission.restore_leases(state.leases, &row);
        admission.queue.entered_up_to(row.entered.min(COUNT_MAX));
        for row in state.waiters {
            let waiter = Waiter::from_row(row, now);
            if let Some(waiter) = waiter.filter(|waiter| admission.has_room_for(waiter)) {
                admission.queue.entered_up_to(waiter.place.sequence);
                admission.queue.insert(waiter);
            }
        }
        admission.await_absent(now.saturating_add(REENTRY_GRACE));
        admission.handle_timeout(now);
        admission
    }

    fn take_state(&mut self) -> (u64, StateRow) {
        let (sequence, allowance) = self.ledger.take(self.limiter.limits());
        let mut row = StateRow {
            instant_ms: self.now.as_millis().min(COUNT_MAX),
            entered: self.queue.entered().min(COUNT_MAX),
            config_version: self.config_version.min(COUNT_MAX),
            allowance_requests: allowance.requests.min(COUNT_MAX),
            allowance_tokens: allowance.tokens.min(COUNT_MAX),
            lost: self.leases.lost_rows(),
            ..StateRow::default()
        };
        self.limiter.write(&mut row);
        self.changed = false;
        (sequence, row)
    }

    fn restore_leases(&mut self, rows: Vec<LeaseRow>, state: &StateRow) {
        let lease_time = self.limiter.limits().lease;
        for lost in &state.lost {
            let until = Instant::from_millis(lost.until_ms);
            let bound = self.now.saturating_add(LEASE_MAX);
            self.leases.lose(lost.slots, until.min(bound));
        }
        if self.limiter.limits().concurrency.is_some() {
            let until = self.now.saturating_add(lease_time);
            self.leases.lose(state.allowance_requests, until);
        }
        for row in rows {
            let known = |lease: &Lease| self.leases.get(&lease.ticket).is_some();
            let lease = Lease::from_row(row, self.now).filter(|lease| !known(lease));
            if let Some(lease) = lease.filter(|_| self.leases.count() < PERMITS_MAX) {
                self.queue.entered_up_to(lease.place.sequence);
                if lease.probe.is_some() {
                    self.limiter
                        .probe_mut()
                        .restore_unheard(lease.granted_at, &lease.ticket);
                }
                self.insert_restored(lease, Instant::from_millis(state.instant_ms));
            }
        }
        self.limiter.probe_mut().lead_again();
    }

    /// Adds a lease as of a record of `recorded_at`, and counts its request from the latest instant at
    /// which it may have been sent without anybody having been able to say so.
    fn insert_restored(&mut self, lease: Lease, recorded_at: Instant) {
        let sent_by = lease.granted_at.saturating_add(SENT_BY);
        let moved = (sent_by > recorded_at).then(|| {
            let at = sent_by.min(self.now);
            self.limiter
                .postpone_charge(lease.bucket, lease.reserved, at)
        });
        let ticket = lease.ticket.clone();
        self.leases.insert(lease);
        if let Some(bucket) = moved.flatten() {
            self.leases.rebook(&ticket, bucket);
        }
    }

    fn has_room_for(&self, waiter: &Waiter) -> bool {
        self.queue.total().count < QUEUE_LEN_MAX
            && !self.queue.contains(&waiter.ticket)
            && self.leases.get(&waiter.ticket).is_none()
            && self.queue.is_free(waiter.place)
    }
}
