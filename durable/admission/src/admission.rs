//! 准入：把限流器、队列与租约合成一台状态机。
//!
//! [`Admission`]: limiter, queue and leases as one state machine, driven from outside.
//!
//! The shell calls a method with the current instant, drains [`Admission::poll_event`] after every
//! mutation, and arms one timer at [`Admission::poll_timeout`]. It does nothing else.
//!
//! Owns the order of things. At any instant: first leases expire and what is old leaves the
//! window, then the head of the queue is granted for as long as it fits, then the one whose
//! deadline has come leaves. So a waiter whose grant and deadline coincide is granted. A late timer
//! changes no outcome: the instants passed are gone through in their order, and only the charges
//! are made at the true time. A settle, a cancellation or a change of limits comes before what is
//! due at its own instant.
//!
//! A clock that goes back is held where it was.
//!
//! Invariant: after every method nothing that is due is left undone, and the head does not fit.

use crate::estimate::Estimator;
use crate::lease::{Lease, Leases};
use crate::limiter::{Limiter, RETRY_AFTER_UNKNOWN};
use crate::protocol::{
    Acquire, AdmissionFacts, Grant, Limits, Live, OnFull, Refusal, RefusalReason, Settle,
    SettleOutcome, TicketId,
};
use crate::queue::{Queue, Waiter};
use crate::rank::Sums;
use crate::time::Instant;
use core::time::Duration;
use std::collections::VecDeque;

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
    /// A waiter waits no longer.
    Refused {
        /// Which waiter.
        ticket: TicketId,
        /// Why.
        refusal: Refusal,
    },
    /// A permit was not settled in time; its slot is free, its reservation stays in the window.
    LeaseExpired {
        /// Which permit.
        ticket: TicketId,
    },
}

/// The admission of one server.
#[derive(Debug, Default)]
pub struct Admission {
    now: Instant,
    limiter: Limiter,
    queue: Queue,
    leases: Leases,
    estimator: Estimator,
    config_version: u64,
    events: VecDeque<Event>,
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
    /// `attempt` has grown: then the old permit counts as used up and this is a new request.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a ticket enters once; what is learnt per model will keep the texts"
    )]
    pub fn acquire(&mut self, request: Acquire, now: Instant) -> Acquired {
        let repeated = self.queue.contains(&request.ticket);
        self.advance(now);
        self.see_config_version(request.config_version);
        self.adopt(request.limits);
        self.catch_up();
        if repeated {
            self.drop_answers(&request.ticket);
        }
        let acquired = self.enter(&request);
        self.catch_up();
        acquired
    }

    /// Ends a permit. False if it is unknown: settled before, expired, or never granted.
    pub fn settle(&mut self, settle: &Settle, now: Instant) -> bool {
        self.advance(now);
        let lease = self.leases.remove(&settle.ticket);
        if let Some(lease) = &lease {
            let Lease {
                bucket, reserved, ..
            } = *lease;
            match (settle.outcome, settle.tokens) {
                (SettleOutcome::NotSent, _) => self.limiter.refund(bucket, reserved),
                (_, Some(actual)) => self.limiter.correct(bucket, reserved, actual, self.now),
                (_, None) => {}
            }
        }
        self.catch_up();
        lease.is_some()
    }

    /// Takes a waiter out of the queue and answers it with [`RefusalReason::Cancelled`], for the
    /// log; it comes before anything that is due, so a client that is gone is not granted.
    /// False if it does not wait, also when it is granted already: then it must be settled.
    pub fn cancel(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.now = self.now.max(now);
        let waiter = self.queue.remove(ticket);
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
        self.config_version = self.config_version.max(version);
    }

    /// No grants before `until` (at most [`PAUSE_MAX`](crate::PAUSE_MAX) from now); waiters wait.
    /// Of several pauses the longest counts.
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
    /// fits, the earliest deadline, or the earliest expiry of a lease. Later than the last `now`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let instants = [
            self.head_fits_at(),
            self.queue.next_deadline(),
            self.leases.next_expiry(),
        ];
        instants.into_iter().flatten().min()
    }

    /// The picture at `now`.
    #[must_use]
    pub fn live(&self, now: Instant) -> Live {
        let now = self.now.max(now);
        let used = self.limiter.used_at(now);
        let limits = self.limiter.limits();
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
        }
    }

    /// Moves time to `now` and does what was due before it.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(due) = self.poll_timeout()
            && due < self.now
        {
            self.step(due);
        }
        self.limiter.expire(self.now);
    }

    /// Does what is due by now.
    fn catch_up(&mut self) {
        while let Some(due) = self.poll_timeout()
            && due <= self.now
        {
            self.step(due);
        }
    }

    /// One instant: leases, window, then grants and deadlines in turn. A deadline that takes the
    /// head away may let the next one through at the same instant.
    fn step(&mut self, at: Instant) {
        while let Some(ticket) = self.leases.pop_expired(at) {
            self.events.push_back(Event::LeaseExpired { ticket });
        }
        self.limiter.expire(at);
        loop {
            self.grant_heads(at);
            let Some(waiter) = self.queue.pop_due(at) else {
                break;
            };
            self.refuse(waiter, RefusalReason::QueueTimeout);
        }
    }

    fn grant_heads(&mut self, at: Instant) {
        while let Some(head) = self.queue.first()
            && self.limiter.fits(head.tokens, self.leases.count(), at)
            && let Some(waiter) = self.queue.pop_first()
        {
            let ticket = waiter.ticket.clone();
            let grant = self.grant(waiter);
            self.events.push_back(Event::Granted { ticket, grant });
        }
    }

    fn head_fits_at(&self) -> Option<Instant> {
        let head = self.queue.first()?;
        self.limiter.fits_at(head.tokens, self.leases.count())
    }

    fn adopt(&mut self, limits: Limits) {
        if !self.limiter.adopt(limits) {
            return;
        }
        if !self.limiter.limits().enabled {
            while let Some(waiter) = self.queue.pop_first() {
                self.refuse(waiter, RefusalReason::Disabled);
            }
        }
        self.catch_up();
        while let Some((waiter, reason)) = self.pop_overfull() {
            self.refuse(waiter, reason);
        }
    }

    /// Whoever must leave an overfull queue. Counted by arrival, so it makes no difference in
    /// which order waiters come back after a restart.
    fn pop_overfull(&mut self) -> Option<(Waiter, RefusalReason)> {
        let limits = self.limiter.limits();
        if self.queue.total().count <= limits.queue_max {
            return None;
        }
        if limits.queue_max == 0 {
            return Some((self.queue.pop_first()?, RefusalReason::QueueFull));
        }
        Some(match limits.on_full {
            OnFull::EvictOldest => (self.queue.pop_first()?, RefusalReason::QueueEvicted),
            OnFull::RejectNewest => (self.queue.pop_last()?, RefusalReason::QueueFull),
        })
    }

    /// The answer to a request, with nothing due before it.
    fn enter(&mut self, request: &Acquire) -> Acquired {
        if let Some(lease) = self.leases.get(&request.ticket) {
            if lease.attempt >= request.attempt {
                return Acquired::Granted(self.grant_again(lease));
            }
            self.leases.remove(&request.ticket);
        }
        let previous = self.queue.remove(&request.ticket);
        let mut waiter = self.waiter(request, previous.as_ref());
        if !self.limiter.limits().enabled {
            let reason = RefusalReason::Disabled;
            return Acquired::Refused(self.refusal(&waiter, reason, RETRY_AFTER_UNKNOWN));
        }
        let ahead = self.queue.ahead_of(waiter.place);
        let in_flight = self.leases.count();
        if ahead.count == 0 && self.limiter.fits(waiter.tokens, in_flight, self.now) {
            return Acquired::Granted(self.grant(waiter));
        }
        if previous.is_none() {
            waiter.position = ahead.count.saturating_add(1);
        }
        self.wait(waiter, ahead, request.wait_max)
    }

    /// The request as a waiter, at its old place if it has one.
    fn waiter(&mut self, request: &Acquire, previous: Option<&Waiter>) -> Waiter {
        let arrival = request.arrival.unwrap_or(self.now).min(self.now);
        let place = match previous {
            Some(previous) => previous.place,
            None => self.queue.place(arrival),
        };
        let timeout = self.limiter.limits().queue_timeout;
        let timeout = request.wait_max.map_or(timeout, |max| max.min(timeout));
        let tokens = self.estimator.expected_tokens(request);
        Waiter {
            ticket: request.ticket.clone(),
            place,
            deadline: place.arrival.saturating_add(timeout),
            tokens,
            weight: self.limiter.reservation(tokens),
            position: previous.map_or(0, |previous| previous.position),
            attempt: request.attempt,
        }
    }

    /// Queues a request that does not fit now, unless its deadline or the queue's length forbid.
    fn wait(&mut self, waiter: Waiter, ahead: Sums, wait_max: Option<Duration>) -> Acquired {
        let ahead = ahead.minus(self.about_to_be_evicted(ahead));
        let estimate = self.limiter.wait(ahead, waiter.tokens, self.now);
        let unreachable = |wait_max: Duration| {
            let late = |wait| self.now.saturating_add(wait) > waiter.deadline;
            wait_max.is_zero() || estimate.is_some_and(late)
        };
        if wait_max.is_some_and(unreachable) {
            let retry_after = estimate.unwrap_or(RETRY_AFTER_UNKNOWN);
            let reason = RefusalReason::DeadlineUnreachable;
            return Acquired::Refused(self.refusal(&waiter, reason, retry_after));
        }
        if waiter.deadline <= self.now {
            let retry_after = self.wait_at_tail(waiter.tokens);
            let reason = RefusalReason::QueueTimeout;
            return Acquired::Refused(self.refusal(&waiter, reason, retry_after));
        }
        let Waiter {
            ticket, position, ..
        } = waiter.clone();
        self.queue.insert(waiter);
        if let Some((loser, reason)) = self.pop_overfull() {
            if loser.ticket == ticket {
                let retry_after = self.wait_at_tail(loser.tokens);
                return Acquired::Refused(self.refusal(&loser, reason, retry_after));
            }
            self.refuse(loser, reason);
        }
        Acquired::Queued { ticket, position }
    }

    /// The oldest waiter, where it stands ahead of a newcomer and a full queue will evict it.
    fn about_to_be_evicted(&self, ahead: Sums) -> Sums {
        let limits = self.limiter.limits();
        let full = self.queue.total().count >= limits.queue_max;
        match self.queue.first() {
            Some(oldest) if full && ahead.count > 0 && limits.on_full == OnFull::EvictOldest => {
                Sums {
                    count: 1,
                    weight: oldest.weight,
                }
            }
            _ => Sums::default(),
        }
    }

    fn grant(&mut self, waiter: Waiter) -> Grant {
        let (bucket, reserved) = self.limiter.charge(waiter.tokens, self.now);
        let lease = Lease {
            ticket: waiter.ticket,
            granted_at: self.now,
            expires_at: self.now.saturating_add(self.limiter.limits().lease),
            bucket,
            reserved,
            attempt: waiter.attempt,
            position: waiter.position,
            wait: self.now.saturating_since(waiter.place.arrival),
        };
        let grant = self.grant_again(&lease);
        self.leases.insert(lease);
        grant
    }

    /// The grant of a lease, with what is left of the limits now.
    fn grant_again(&self, lease: &Lease) -> Grant {
        Grant {
            permit: lease.permit(),
            admission: self.facts(lease.position, lease.wait),
        }
    }

    /// Answers a waiter that has left the queue.
    fn refuse(&mut self, waiter: Waiter, reason: RefusalReason) {
        let retry_after = match reason {
            RefusalReason::Cancelled => Duration::ZERO,
            RefusalReason::Disabled => RETRY_AFTER_UNKNOWN,
            _ => self.wait_at_tail(waiter.tokens),
        };
        let refusal = self.refusal(&waiter, reason, retry_after);
        self.events.push_back(Event::Refused {
            ticket: waiter.ticket,
            refusal,
        });
    }

    fn refusal(&self, waiter: &Waiter, reason: RefusalReason, retry_after: Duration) -> Refusal {
        let wait = self.now.saturating_since(waiter.place.arrival);
        Refusal {
            reason,
            retry_after,
            admission: self.facts(waiter.position, wait),
        }
    }

    /// What a request of `tokens` would wait behind everybody who waits now.
    fn wait_at_tail(&self, tokens: u64) -> Duration {
        self.limiter
            .wait(self.queue.total(), tokens, self.now)
            .unwrap_or(RETRY_AFTER_UNKNOWN)
    }

    fn facts(&self, position: u64, wait: Duration) -> AdmissionFacts {
        let (requests, tokens) = self.limiter.budgets(self.now);
        AdmissionFacts {
            position,
            wait,
            requests,
            tokens,
            config_version: self.config_version,
        }
    }

    /// Forgets the answers of a call that is repeated: the new call's own answer replaces them.
    fn drop_answers(&mut self, repeated: &TicketId) {
        self.events.retain(|event| match event {
            Event::Granted { ticket, .. } | Event::Refused { ticket, .. } => ticket != repeated,
            Event::LeaseExpired { .. } => true,
        });
    }
}
