//! 入场：一个请求怎样放行、排队或被拒绝。
//!
//! Entry: how a request is granted, queued or refused, and what it is told.
//!
//! Owns who may wait, who leaves an overfull queue, and the facts of every answer. Time has been
//! brought up to date before anything here is called.
//!
//! Invariant: a request that has been let in once (it comes back after a refusal by the upstream,
//! a failed connection or a restart) is never evicted and never fills a place in the queue.

use super::{Acquired, Admission, Event};
use crate::estimate::Demand;
use crate::lease::Lease;
use crate::limiter::RETRY_AFTER_UNKNOWN;
use crate::protocol::{
    Acquire, AdmissionFacts, Grant, Limits, OnFull, Refusal, RefusalReason, TicketId,
};
use crate::queue::{QUEUE_LEN_MAX, Waiter};
use crate::rank::{Place, Sums};
use crate::time::Instant;
use core::time::Duration;

/// What an earlier call of the same ticket left behind.
struct Before {
    place: Place,
    position: u64,
    exempt: bool,
}

impl Admission {
    /// Whether the request's attempt is one that the core has not heard of.
    pub(super) fn is_further_attempt(&self, request: &Acquire) -> bool {
        let lease = self.leases.get(&request.ticket).map(|lease| lease.attempt);
        let waiter = self.queue.get(&request.ticket);
        let known = lease.or(waiter.map(|waiter| waiter.attempt));
        request.attempt > known.unwrap_or(0)
    }

    pub(super) fn adopt(&mut self, limits: Limits) {
        if !self.limiter.adopt(limits) {
            return;
        }
        self.ledger.adopt();
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
        if self.queue.counted() <= limits.queue_max {
            return None;
        }
        if limits.queue_max == 0 {
            return Some((self.queue.pop_first_counted()?, RefusalReason::QueueFull));
        }
        Some(match limits.on_full {
            OnFull::EvictOldest => (self.queue.pop_first_counted()?, RefusalReason::QueueEvicted),
            OnFull::RejectNewest => (self.queue.pop_last_counted()?, RefusalReason::QueueFull),
        })
    }

    /// The answer to a request, with nothing due before it.
    pub(super) fn enter(&mut self, request: Acquire) -> Acquired {
        let lease = self.leases.get(&request.ticket);
        if let Some(lease) = lease.filter(|lease| lease.attempt >= request.attempt) {
            return Acquired::Granted(self.grant_again(lease));
        }
        let before = self.leave(&request.ticket);
        let wait_max = request.wait_max;
        let mut waiter = self.waiter(request, before.as_ref());
        if !self.limiter.limits().enabled {
            let reason = RefusalReason::Disabled;
            return Acquired::Refused(self.refusal(&waiter, reason, RETRY_AFTER_UNKNOWN));
        }
        let ahead = self.queue.ahead_of(waiter.place);
        let tokens = self.tokens(&waiter.demand);
        let slots = self.leases.slots();
        if ahead.count == 0 && self.limiter.fits(tokens, slots, self.now) {
            return Acquired::Granted(self.grant(waiter, self.now));
        }
        if waiter.position == 0 {
            waiter.position = ahead.count.saturating_add(1);
        }
        self.wait(waiter, ahead, wait_max)
    }

    /// Takes the ticket's waiter or used-up permit away and returns what it leaves behind. The
    /// permit's charge stays.
    fn leave(&mut self, ticket: &TicketId) -> Option<Before> {
        let lease = self.leases.remove(ticket);
        let waiter = self.queue.remove(ticket);
        if let Some(Lease {
            probe: Some(kind),
            granted_at,
            ..
        }) = lease
        {
            self.limiter.probe_mut().lost(kind, granted_at, ticket);
        }
        let lease = lease.map(|lease| Before {
            place: lease.place,
            position: lease.position,
            exempt: true,
        });
        let waiter = waiter.map(|waiter| Before {
            place: waiter.place,
            position: waiter.position,
            exempt: waiter.exempt,
        });
        lease.or(waiter)
    }

    /// The request as a waiter, at its old place if it has one.
    fn waiter(&mut self, request: Acquire, before: Option<&Before>) -> Waiter {
        let arrival = request.arrival.unwrap_or(self.now).min(self.now);
        let place = match before {
            Some(before) => before.place,
            None => self.queue.place(arrival),
        };
        let timeout = self.limiter.limits().queue_timeout;
        let timeout = request.wait_max.map_or(timeout, |max| max.min(timeout));
        let demand = Demand {
            model: request.model,
            prompt_bytes: request.prompt_bytes,
            output_tokens_max: request.output_tokens_max,
        };
        let exempt = request.attempt > 0 || before.is_some_and(|before| before.exempt);
        Waiter {
            ticket: request.ticket,
            place,
            deadline: place.arrival.saturating_add(timeout),
            weight: self.limiter.reservation(self.tokens(&demand)),
            demand,
            position: before.map_or(0, |before| before.position),
            attempt: request.attempt,
            note: request.note,
            // Nobody fills the memory by claiming to have been here before.
            exempt: exempt && self.queue.exempt() < QUEUE_LEN_MAX,
            present: true,
            stored: false,
        }
    }

    /// Queues a request that does not fit now, unless its deadline or the queue's length forbid.
    fn wait(&mut self, waiter: Waiter, ahead: Sums, wait_max: Option<Duration>) -> Acquired {
        let ahead = ahead.minus(self.about_to_be_evicted(&waiter));
        let tokens = self.tokens(&waiter.demand);
        let estimate = self.limiter.wait(ahead, tokens, self.now);
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
            let retry_after = self.wait_at_tail(&waiter);
            let reason = RefusalReason::QueueTimeout;
            return Acquired::Refused(self.refusal(&waiter, reason, retry_after));
        }
        let (ticket, position) = (waiter.ticket.clone(), waiter.position);
        self.queue.insert(waiter);
        if let Some((loser, reason)) = self.pop_overfull() {
            if loser.ticket == ticket {
                let retry_after = self.wait_at_tail(&loser);
                return Acquired::Refused(self.refusal(&loser, reason, retry_after));
            }
            self.refuse(loser, reason);
        }
        Acquired::Queued { ticket, position }
    }

    /// The oldest waiter that counts, where it stands ahead of a newcomer and a full queue will
    /// evict it.
    fn about_to_be_evicted(&self, newcomer: &Waiter) -> Sums {
        let limits = self.limiter.limits();
        let full = self.queue.counted() >= limits.queue_max && !newcomer.exempt;
        match self.queue.first_counted() {
            Some(oldest)
                if full
                    && oldest.place < newcomer.place
                    && limits.on_full == OnFull::EvictOldest =>
            {
                Sums {
                    count: 1,
                    weight: oldest.weight,
                }
            }
            _ => Sums::default(),
        }
    }

    /// Grants a request that fits since `at`; the charge is made at the true time.
    pub(super) fn grant(&mut self, waiter: Waiter, at: Instant) -> Grant {
        let tokens = self.tokens(&waiter.demand);
        let charge = self.limiter.charge(&waiter.ticket, tokens, at, self.now);
        self.ledger.grant(charge.reserved, self.now);
        let lease = Lease {
            ticket: waiter.ticket,
            granted_at: self.now,
            expires_at: self.now.saturating_add(self.limiter.limits().lease),
            bucket: charge.bucket,
            reserved: charge.reserved,
            attempt: waiter.attempt,
            note: waiter.note,
            position: waiter.position,
            wait: self.now.saturating_since(waiter.place.arrival),
            place: waiter.place,
            demand: waiter.demand,
            probe: charge.probe,
            ahead: false,
            stored: false,
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
            probe: lease.probe.is_some(),
        }
    }

    /// Answers a waiter that has left the queue.
    pub(super) fn refuse(&mut self, waiter: Waiter, reason: RefusalReason) {
        let retry_after = match reason {
            RefusalReason::Cancelled => Duration::ZERO,
            RefusalReason::Disabled => RETRY_AFTER_UNKNOWN,
            _ => self.wait_at_tail(&waiter),
        };
        let refusal = self.refusal(&waiter, reason, retry_after);
        self.events.push_back(Event::Refused {
            ticket: waiter.ticket,
            refusal,
            attempt: waiter.attempt,
            note: waiter.note,
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

    /// What a request like this one would wait behind everybody who waits now.
    fn wait_at_tail(&self, waiter: &Waiter) -> Duration {
        self.limiter
            .wait(self.queue.total(), self.tokens(&waiter.demand), self.now)
            .unwrap_or(RETRY_AFTER_UNKNOWN)
    }

    /// What a request is expected to use.
    pub(super) fn tokens(&self, demand: &Demand) -> u64 {
        self.estimator.expected_tokens(demand)
    }

    pub(super) fn facts(&self, position: u64, wait: Duration) -> AdmissionFacts {
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
    pub(super) fn drop_answers(&mut self, repeated: &TicketId) {
        self.events.retain(|event| match event {
            Event::Granted { ticket, .. } | Event::Refused { ticket, .. } => ticket != repeated,
            Event::LeaseExpired { .. } => true,
        });
    }

    /// For how long nobody has been granted ahead of those who must come back.
    pub(super) const fn await_absent(&mut self, until: Instant) {
        self.absent_until = until;
    }
}
