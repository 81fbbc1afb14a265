//! 准入：把限流器、队列与租约合成一台状态机。
//!
//! [`Admission`]: limiter, queue and leases as one state machine, driven from outside.
//!
//! The shell calls a method with the current instant, drains [`Admission::poll_event`] after every
//! mutation, writes what [`Admission::needs_commit`] asks for, and arms one timer at
//! [`Admission::poll_timeout`]. It does nothing else.
//!
//! Owns the order of things. At any instant: first leases expire, probes that are silent are taken
//! as accepted and what is old leaves the window, then the head of the queue is granted for as long
//! as it fits, then the one whose deadline has come leaves. So a waiter whose grant and deadline
//! coincide is granted. A late timer changes no outcome: the instants passed are gone through in
//! their order, and only the charges are made at the true time. A settle, a cancellation, a pause
//! or a change of limits comes before what is due at its own instant.
//!
//! A clock that goes back is held where it was.
//!
//! Invariant: after every method nothing that is due is left undone, and the head does not fit.

mod ahead;
mod durable;
mod entry;

pub use ahead::AHEAD_LEASE;
pub use durable::{COMMIT_INTERVAL, REENTRY_GRACE, SENT_BY};

use crate::estimate::{Demand, Estimator};
use crate::lateness::Lateness;
use crate::lease::{Lease, Leases};
use crate::ledger::Ledger;
use crate::limiter::Limiter;
use crate::protocol::{
    Accepted, Acquire, Grant, Limits, Live, Refusal, RefusalReason, SentLate, Settle,
    SettleOutcome, TicketId,
};
use crate::queue::Queue;
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

/// How long after a step that did nothing the timer comes again: a mistake of ours must cost
/// lateness, not the object's whole time.
const STALL_DELAY: Duration = Duration::from_secs(1);

/// The answer to [`Admission::acquire`].
#[derive(Debug, PartialEq, Eq)]
pub enum Acquired {
    /// Straight through.
    Granted(Grant),
    /// It waits; an [`Event`] with its ticket will answer it. The shell must be ready for that
    /// event before it drains, because limits and window may grant it at once.
    Queued {
        /// The request.
        ticket: TicketId,
        /// Its place at entry, counted from 1.
        position: u64,
    },
    /// It may not even wait.
    Refused(Refusal),
}

/// An effect for the shell to carry out.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A waiter may go upstream. If it is gone by now, the shell settles the permit as
    /// [`SettleOutcome::NotSent`].
    Granted {
        /// Which waiter.
        ticket: TicketId,
        /// Its permit.
        grant: Grant,
    },
    /// A waiter waits no longer. After a restart nobody may be there to hear it.
    Refused {
        /// Which waiter.
        ticket: TicketId,
        /// Why.
        refusal: Refusal,
        /// Upstream attempts made before.
        attempt: u32,
        /// [`Acquire::note`](crate::protocol::Acquire::note).
        note: String,
    },
    /// A permit was not settled in time; its slot is free, its reservation stays in the window.
    LeaseExpired {
        /// Which permit.
        ticket: TicketId,
        /// What it was.
        ended: Ended,
    },
}

/// A permit that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// [`Acquire::note`](crate::protocol::Acquire::note).
    pub note: String,
    /// Upstream attempts before this permit's.
    pub attempt: u32,
    /// Its request's place at entry; 0 = straight through.
    pub position: u64,
    /// Its request's wait until the grant.
    pub wait: Duration,
    /// Tokens that were reserved for it.
    pub reserved_tokens: u64,
}

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its place now, counted from 1.
    pub position: u64,
    /// Estimated wait from now; `None` = nobody can tell.
    pub estimate: Option<Duration>,
}

/// The admission of one server.
#[derive(Debug, Default)]
pub struct Admission {
    now: Instant,
    limiter: Limiter,
    queue: Queue,
    leases: Leases,
    estimator: Estimator,
    lateness: Lateness,
    ledger: Ledger,
    config_version: u64,
    /// The state row differs from the stored one in what is kept here.
    changed: bool,
    /// The last cancellation: whom it let through is not late for the time before it.
    cancelled_at: Instant,
    /// When waiters whose call has not come back after a restart are dropped.
    absent_until: Instant,
    events: VecDeque<Event>,
    stalls: u64,
    stalled_until: Instant,
}

impl Admission {
    /// An empty queue and window. The first limits seen are adopted, whatever their version.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a permit. Adopts the request's limits if they are newer.
    ///
    /// A ticket that waits already keeps its place and arrival; the new call takes over its
    /// deadline and size. No event is left over for the old call: whatever the answer is, the
    /// shell drops the old call's waiter of that ticket, and from then on cancels the ticket only
    /// for the new one. A ticket whose permit is out gets the same grant again, uncharged, unless
    /// `attempt` has grown: then the old permit counts as used up and the request waits for a new
    /// one at its old place; with `pause` the upstream had refused it.
    pub fn acquire(&mut self, request: Acquire, now: Instant) -> Acquired {
        let repeated = self.queue.contains(&request.ticket);
        self.advance(now);
        self.see_config_version(request.config_version);
        let pause = request.pause.filter(|_| self.is_further_attempt(&request));
        if let Some(pause) = pause {
            // Before anything else is granted at this instant.
            let lease = self.leases.get(&request.ticket);
            self.limiter.refused(lease, pause, self.now);
        }
        self.adopt(request.limits);
        self.catch_up();
        if repeated {
            self.drop_answers(&request.ticket);
        }
        let acquired = self.enter(request);
        self.catch_up();
        acquired
    }

    /// Ends a permit. `None` if it is unknown: settled before, expired, or never granted.
    pub fn settle(&mut self, settle: &Settle, now: Instant) -> Option<Ended> {
        self.advance(now);
        let lease = self.leases.remove(&settle.ticket);
        if let Some(lease) = &lease {
            self.end(lease, settle);
        }
        self.catch_up();
        lease.map(Lease::ended)
    }

    /// The upstream took a probing request on. False if the permit is unknown.
    pub fn accepted(&mut self, accepted: &Accepted, now: Instant) -> bool {
        self.advance(now);
        self.hear(&accepted.ticket);
        self.catch_up();
        self.leases.get(&accepted.ticket).is_some()
    }

    /// The request of a permit goes upstream only now: its charge moves to this instant, so that it
    /// leaves the window no earlier than a whole window after it was sent. False if the permit is
    /// unknown.
    ///
    /// A busy Worker may take longer from grant to sending than the window's guard allows for. A
    /// crash that forgets the move leaves the charge where it was, so it uses the allowance up like
    /// a grant.
    pub fn sent_late(&mut self, sent: &SentLate, now: Instant) -> bool {
        self.advance(now);
        let lease = self.leases.get(&sent.ticket);
        let charge = lease.map(|lease| (lease.bucket, lease.reserved));
        if let Some((bucket, reserved)) = charge {
            let moved = self.limiter.move_charge(bucket, reserved, self.now);
            self.leases.rebook(&sent.ticket, moved);
            self.ledger.grant(reserved, self.now);
        }
        self.catch_up();
        charge.is_some()
    }

    /// Takes a waiter out of the queue and answers it with [`RefusalReason::Cancelled`], for the
    /// log; it comes before anything that is due, so a client that is gone is not granted.
    /// False if it does not wait, also when it is granted already: then it must be settled.
    pub fn cancel(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.now = self.now.max(now);
        let waiter = self.queue.remove(ticket);
        self.cancelled_at = self.now;
        let cancelled = waiter.is_some();
        if let Some(waiter) = waiter {
            self.refuse(waiter, RefusalReason::Cancelled);
        }
        self.advance(now);
        self.catch_up();
        cancelled
    }

    /// Adopts limits that are newer than those in force. What they allow is granted at once;
    /// switched off, every waiter is refused; where the queue is now too long, those leave whom
    /// `on_full` names. Deadlines and leases given before stay as they are.
    pub fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.advance(now);
        self.adopt(limits);
        self.catch_up();
    }

    /// Notes a configuration version, so that answers tell older Workers to refresh.
    pub fn see_config_version(&mut self, version: u64) {
        self.changed |= version > self.config_version;
        self.config_version = self.config_version.max(version);
    }

    /// No grants before `until` (at most [`PAUSE_MAX`](crate::PAUSE_MAX) from now); waiters wait.
    /// Of several pauses the longest counts. What the upstream refuses is said by the request
    /// ([`Acquire::pause`], [`Settle::pause`]) and is probed afterwards; this pause is not.
    pub fn pause_until(&mut self, until: Instant, now: Instant) {
        self.advance(now);
        self.limiter.pause(until, self.now);
        self.catch_up();
    }

    /// Does what is due. Too early it does nothing, too late it does all of it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.catch_up();
    }

    /// The next effect to carry out, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Admission::handle_timeout`] has something to do: the exact instant at which the head
    /// fits, the earliest deadline, the earliest expiry of a lease, and so on. Later than the last
    /// `now`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.next_due()?;
        Some(due.max(self.stalled_until))
    }

    /// Permits that are out.
    #[must_use]
    pub const fn permits_out(&self) -> u64 {
        self.leases.count()
    }

    /// When the next permit that is out ends by itself, if it is not settled before.
    #[must_use]
    pub fn next_lease_end(&self) -> Option<Instant> {
        self.leases.next_expiry()
    }

    /// Where a waiter stands at `now`; `None` if it does not wait.
    #[must_use]
    pub fn progress(&self, ticket: &TicketId, now: Instant) -> Option<Progress> {
        let waiter = self.queue.get(ticket)?;
        let ahead = self.queue.ahead_of(waiter.place);
        let tokens = self.tokens(&waiter.demand);
        Some(Progress {
            position: ahead.count.saturating_add(1),
            estimate: self.limiter.wait(ahead, tokens, self.now.max(now)),
        })
    }

    /// The picture at `now`.
    #[must_use]
    pub fn live(&self, now: Instant) -> Live {
        let now = self.now.max(now);
        let used = self.limiter.used_at(now);
        let limits = self.limiter.limits();
        let (wake_late_ms_p99, wake_late_ms_max) = self.lateness.p99_and_max();
        Live {
            queue_length: self.queue.total().count,
            queue_oldest_wait: self.queue.first().map_or(Duration::ZERO, |waiter| {
                now.saturating_since(waiter.place.arrival)
            }),
            in_flight: self.leases.count(),
            rpm_used: used.requests,
            rpm_limit: limits.rpm,
            tpm_used: used.tokens,
            tpm_limit: limits.tpm,
            max_concurrency: limits.concurrency,
            next_grant_in: self.head_fits_at().map(|at| at.saturating_since(now)),
            paused_until: self.limiter.paused_until(now),
            config_version: self.config_version,
            probing: self.limiter.probe().is_probing(),
            estimates: self.estimator.len(),
            wake_late_ms_p99,
            wake_late_ms_max,
            stalls: self.stalls,
            journal_rows: 0,
            journal_failures: 0,
        }
    }

    /// Moves time to `now` and does what was due before it.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(due) = self.next_due()
            && due < self.now
            && self.step(due)
        {}
        self.limiter.expire(self.now);
    }

    /// Does what is due by now.
    fn catch_up(&mut self) {
        while let Some(due) = self.next_due()
            && due <= self.now
            && self.step(due)
        {}
    }

    fn next_due(&self) -> Option<Instant> {
        let absent = self.queue.has_absent().then_some(self.absent_until);
        let instants = [
            self.head_fits_at(),
            self.queue.next_deadline(),
            self.leases.next_expiry(),
            self.limiter.probe().next_silence(),
            self.ledger.seal_at(),
            absent,
        ];
        instants.into_iter().flatten().min()
    }

    /// One instant: leases, probes, window, then grants and deadlines in turn. A deadline that
    /// takes the head away may let the next one through at the same instant.
    ///
    /// Something is due, so something must happen. If nothing does, the core contradicts itself,
    /// and going on would be for ever: that is counted, and left until [`STALL_DELAY`] later.
    fn step(&mut self, at: Instant) -> bool {
        let mut done = self.ledger.seal(at) | self.leases.find(at);
        while let Some(lease) = self.leases.pop_expired(at) {
            self.expired(lease);
            done = true;
        }
        while let Some(ticket) = self.limiter.probe().silent(at).cloned() {
            if !self.hear(&ticket) {
                self.limiter.probe_mut().drop_first_unheard();
            }
            done = true;
        }
        done |= self.limiter.expire(at);
        while self.absent_until <= at
            && let Some(waiter) = self.queue.pop_absent()
        {
            self.refuse(waiter, RefusalReason::Cancelled);
            done = true;
        }
        loop {
            done |= self.grant_heads(at);
            let Some(waiter) = self.queue.pop_due(at) else {
                break;
            };
            self.refuse(waiter, RefusalReason::QueueTimeout);
            done = true;
        }
        if !done {
            self.stalls = self.stalls.saturating_add(1);
            self.stalled_until = self.now.saturating_add(STALL_DELAY);
        }
        debug_assert!(done, "due at {at:?}, and nothing happened");
        done
    }

    fn grant_heads(&mut self, at: Instant) -> bool {
        let mut granted = false;
        while let Some(head) = self.queue.first()
            && head.present
            && self
                .limiter
                .fits(self.tokens(&head.demand), self.leases.slots(), at)
            && let Some(waiter) = self.queue.pop_first()
        {
            let fitted = at.max(self.cancelled_at);
            self.lateness.note(self.now.saturating_since(fitted));
            let ticket = waiter.ticket.clone();
            let grant = self.grant(waiter, at);
            self.events.push_back(Event::Granted { ticket, grant });
            granted = true;
        }
        granted
    }

    fn head_fits_at(&self) -> Option<Instant> {
        let head = self.queue.first().filter(|head| head.present)?;
        let tokens = self.tokens(&head.demand);
        self.limiter.fits_at(tokens, self.leases.slots())
    }

    /// A lease has expired: nothing is known of its request, but that it is over.
    fn expired(&mut self, lease: Lease) {
        if let Some(kind) = lease.probe {
            let probe = self.limiter.probe_mut();
            probe.accepted(kind, lease.granted_at, &lease.ticket);
        }
        self.events.push_back(Event::LeaseExpired {
            ticket: lease.ticket.clone(),
            ended: lease.ended(),
        });
    }

    /// A lease was settled: charge what was really used, hear what the upstream said, learn.
    fn end(&mut self, lease: &Lease, settle: &Settle) {
        match (settle.outcome, settle.tokens) {
            (SettleOutcome::NotSent, _) => self.limiter.refund(lease.bucket, lease.reserved),
            (SettleOutcome::UpstreamRefused, _) => {
                let pause = settle.pause.unwrap_or_default();
                self.limiter.refused(Some(lease), pause, self.now);
            }
            (_, Some(actual)) => {
                let more = self.limiter.correct(lease, actual, self.now);
                self.ledger.correct_upwards(more);
            }
            (_, None) => {}
        }
        if let Some(kind) = lease.probe {
            let probe = self.limiter.probe_mut();
            match settle.outcome {
                SettleOutcome::Completed | SettleOutcome::ClientGone => {
                    probe.accepted(kind, lease.granted_at, &lease.ticket);
                }
                SettleOutcome::UpstreamFailed | SettleOutcome::NotSent => {
                    probe.lost(kind, lease.granted_at, &lease.ticket);
                }
                SettleOutcome::UpstreamRefused => {}
            }
        }
        if settle.outcome == SettleOutcome::Completed {
            let prompt_bytes = settle.prompt_bytes.unwrap_or(lease.demand.prompt_bytes);
            let demand = Demand {
                prompt_bytes,
                ..lease.demand.clone()
            };
            self.estimator.learn(&demand, settle, self.now);
        }
    }

    /// The upstream took the request of this ticket on. False if nothing was waited for.
    fn hear(&mut self, ticket: &TicketId) -> bool {
        let Some((kind, granted_at)) = self.leases.probe_ended(ticket) else {
            return false;
        };
        self.limiter.probe_mut().accepted(kind, granted_at, ticket)
    }
}
