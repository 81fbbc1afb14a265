//! 参照模型：最笨、一眼可见其正确的写法。
//!
//! The reference model: the rules of the core written down in the plainest way, over plain lists,
//! in quadratic time. It shares the message types with the core and nothing else.
//!
//! At every instant that could matter it does what the rules say for that instant, in order.

mod rules;

use crate::protocol::{Acquire, Limits, Live, RefusalReason, Settle, SettleOutcome, TicketId};
use crate::time::Instant;
use crate::{Acquired, Event};
use core::time::Duration;

const HOUR: u64 = 3_600_000;
const CYCLE: u64 = 60_000 + 100 + 250;

#[derive(Clone)]
struct Charge {
    at: u64,
    requests: u64,
    tokens: u64,
    /// Serial number of the lease that made it; none for debt.
    lease: Option<u64>,
}

#[derive(Clone)]
struct Waiter {
    ticket: TicketId,
    arrival: u64,
    sequence: u64,
    deadline: u64,
    tokens: u64,
    weight: u64,
    position: u64,
    attempt: u32,
}

#[derive(Clone)]
struct Lease {
    serial: u64,
    ticket: TicketId,
    granted_at: u64,
    expires_at: u64,
    reserved: u64,
    attempt: u32,
    position: u64,
    wait: u64,
}

#[derive(Default)]
pub(crate) struct Model {
    now: u64,
    limits: Option<Limits>,
    paused_until: u64,
    config_version: u64,
    charges: Vec<Charge>,
    waiters: Vec<Waiter>,
    leases: Vec<Lease>,
    serial: u64,
    pub(crate) events: Vec<Event>,
}

fn leaves_at(at: u64) -> u64 {
    at / 100 * 100 + CYCLE
}

impl Model {
    pub(crate) fn acquire(&mut self, request: &Acquire, now: Instant) -> Acquired {
        let repeated = self.waiters.iter().any(|w| w.ticket == request.ticket);
        self.run_before(now.as_millis());
        self.config_version = self.config_version.max(request.config_version);
        self.adopt(request.limits);
        self.run_now();
        if repeated {
            self.events.retain(|event| match event {
                Event::Granted { ticket, .. } | Event::Refused { ticket, .. } => {
                    *ticket != request.ticket
                }
                Event::LeaseExpired { .. } => true,
            });
        }
        let acquired = self.enter(request);
        self.run_now();
        acquired
    }

    pub(crate) fn settle(&mut self, settle: &Settle, now: Instant) -> bool {
        self.run_before(now.as_millis());
        let found = self.leases.iter().position(|l| l.ticket == settle.ticket);
        if let Some(index) = found {
            let lease = self.leases.remove(index);
            let now = self.now;
            let charge = self
                .charges
                .iter_mut()
                .find(|c| c.lease == Some(lease.serial) && leaves_at(c.at) > now);
            match (settle.outcome, settle.tokens, charge) {
                (SettleOutcome::NotSent, _, Some(charge)) => {
                    charge.requests = 0;
                    charge.tokens = 0;
                }
                (SettleOutcome::NotSent, _, None) | (_, None, _) => {}
                (_, Some(actual), Some(charge)) => charge.tokens = actual.min(1 << 40),
                (_, Some(actual), None) => {
                    let tokens = actual.min(1 << 40).saturating_sub(lease.reserved);
                    self.charges.push(Charge {
                        at: now,
                        requests: 0,
                        tokens,
                        lease: None,
                    });
                }
            }
        }
        self.run_now();
        found.is_some()
    }

    pub(crate) fn cancel(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.now = self.now.max(now.as_millis());
        let found = self.waiters.iter().position(|w| w.ticket == *ticket);
        if let Some(index) = found {
            let waiter = self.waiters.remove(index);
            self.refuse(&waiter, RefusalReason::Cancelled);
        }
        self.run_before(now.as_millis());
        self.run_now();
        found.is_some()
    }

    pub(crate) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.run_before(now.as_millis());
        self.adopt(limits);
        self.run_now();
    }

    pub(crate) fn pause_until(&mut self, until: Instant, now: Instant) {
        self.run_before(now.as_millis());
        let until = until.as_millis().min(self.now + HOUR);
        self.paused_until = self.paused_until.max(until);
        self.run_now();
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.run_before(now.as_millis());
        self.run_now();
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = self.waiters.iter().map(|w| w.deadline);
        let leases = self.leases.iter().map(|l| l.expires_at);
        deadlines
            .chain(leases)
            .chain(self.head_fits_at())
            .min()
            .map(Instant::from_millis)
    }

    pub(crate) fn live(&self, now: Instant) -> Live {
        let now = self.now.max(now.as_millis());
        let limits = self.limits();
        let (requests, tokens) = self.used(now);
        Live {
            queue_length: count(&self.waiters),
            queue_oldest_wait: Duration::from_millis(
                self.waiters.first().map_or(0, |w| now - w.arrival),
            ),
            in_flight: count(&self.leases),
            rpm_used: requests,
            rpm_limit: limits.rpm,
            tpm_used: tokens,
            tpm_limit: limits.tpm,
            max_concurrency: limits.concurrency,
            next_grant_in: self
                .head_fits_at()
                .map(|at| Duration::from_millis(at.saturating_sub(now))),
            paused_until: (self.paused_until > now)
                .then(|| Instant::from_millis(self.paused_until)),
            config_version: self.config_version,
        }
    }

    // ---- the course of time

    /// Everything due before `now`, then the clock stands at `now`.
    fn run_before(&mut self, now: u64) {
        self.now = self.now.max(now);
        while let Some(due) = self.poll_timeout().map(Instant::as_millis)
            && due < self.now
        {
            self.run_at(due);
        }
        let now = self.now;
        self.charges.retain(|c| leaves_at(c.at) > now);
    }

    /// Everything due now.
    fn run_now(&mut self) {
        while let Some(due) = self.poll_timeout().map(Instant::as_millis)
            && due <= self.now
        {
            self.run_at(self.now);
        }
    }

    fn run_at(&mut self, at: u64) {
        let mut expired: Vec<Lease> = self.leases.clone();
        expired.retain(|l| l.expires_at <= at);
        expired.sort_by_key(|l| (l.expires_at, l.ticket.clone()));
        for lease in expired {
            self.leases.retain(|l| l.serial != lease.serial);
            self.events.push(Event::LeaseExpired {
                ticket: lease.ticket,
            });
        }
        while let Some(head) = self.waiters.first() {
            if self.fits(head.tokens, at) {
                let waiter = self.waiters.remove(0);
                let grant = self.grant(&waiter);
                let ticket = waiter.ticket;
                self.events.push(Event::Granted { ticket, grant });
                continue;
            }
            let due = self.waiters.iter().filter(|w| w.deadline <= at);
            let Some(first) = due.min_by_key(|w| (w.deadline, w.arrival, w.sequence)) else {
                break;
            };
            let waiter = first.clone();
            self.waiters.retain(|w| w.sequence != waiter.sequence);
            self.refuse(&waiter, RefusalReason::QueueTimeout);
        }
    }
}

fn count<T>(list: &[T]) -> u64 {
    list.len() as u64
}

fn as_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}
