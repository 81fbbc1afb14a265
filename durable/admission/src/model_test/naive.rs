//! 参照模型：最笨、一眼可见其正确的写法。
//!
//! The reference model: the rules of the core written down in the plainest way, over plain lists,
//! in quadratic time. It shares the message types with the core and nothing else.
//!
//! At every instant that could matter it does what the rules say for that instant, in order. What
//! is durable it keeps as a copy of itself.

mod ahead;
mod durable;
mod probing;
mod rules;
mod usage;

use crate::protocol::{
    Accepted, Acquire, Limits, Live, RefusalReason, SentLate, Settle, SettleOutcome, TicketId,
};
use crate::time::Instant;
use crate::{Acquired, Ended, Event, Progress};
use core::time::Duration;
use durable::Durable;
use probing::{Kind, Learnt};
use usage::Usage;

const HOUR: u64 = 3_600_000;
const CYCLE: u64 = 60_000 + 100 + 250;

#[derive(Clone)]
struct Charge {
    at: u64,
    requests: u64,
    tokens: u64,
    refused: bool,
    /// Serial number of the lease that made it; none for debt and for what a crash forgot.
    lease: Option<u64>,
}

#[derive(Clone)]
struct Waiter {
    ticket: TicketId,
    arrival: u64,
    sequence: u64,
    deadline: u64,
    demand: Demand,
    weight: u64,
    position: u64,
    attempt: u32,
    note: String,
    exempt: bool,
    present: bool,
}

#[derive(Clone)]
struct Demand {
    model: String,
    bytes: u64,
    output_max: Option<u64>,
}

#[derive(Clone)]
struct Lease {
    serial: u64,
    ticket: TicketId,
    granted_at: u64,
    expires_at: u64,
    reserved: u64,
    attempt: u32,
    note: String,
    position: u64,
    wait: u64,
    arrival: u64,
    sequence: u64,
    demand: Demand,
    probe: Option<Kind>,
    ahead: bool,
}

impl Lease {
    fn ended(&self) -> Ended {
        Ended {
            note: self.note.clone(),
            attempt: self.attempt,
            position: self.position,
            wait: Duration::from_millis(self.wait),
            reserved_tokens: self.reserved,
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct Model {
    now: u64,
    limits: Option<Limits>,
    paused_until: u64,
    config_version: u64,
    charges: Vec<Charge>,
    waiters: Vec<Waiter>,
    leases: Vec<Lease>,
    /// Slots that a crash made everybody forget, each with its end.
    lost: Vec<u64>,
    absent_until: u64,
    serial: u64,
    probe: Option<Learnt>,
    usage: Usage,
    late: Vec<u64>,
    cancelled_at: u64,
    /// Up to when everything due is done.
    done: u64,
    durable: Durable,
    pub(crate) events: Events,
}

/// What was said and not yet heard. A copy of the model has said nothing.
#[derive(Default)]
pub(crate) struct Events(pub(crate) Vec<Event>);

impl Clone for Events {
    fn clone(&self) -> Self {
        Self::default()
    }
}

fn leaves_at(at: u64) -> u64 {
    at / 100 * 100 + CYCLE
}

impl Model {
    pub(crate) fn acquire(&mut self, request: &Acquire, now: Instant) -> Acquired {
        let repeated = self.waiters.iter().any(|w| w.ticket == request.ticket);
        self.run_before(now.as_millis());
        self.config_version = self.config_version.max(request.config_version);
        let lease = self.leases.iter().find(|l| l.ticket == request.ticket);
        let waiter = self.waiters.iter().find(|w| w.ticket == request.ticket);
        let attempts = [lease.map(|l| l.attempt), waiter.map(|w| w.attempt)];
        let heard_of = attempts.into_iter().flatten().max().unwrap_or(0);
        if let Some(pause) = request.pause.filter(|_| request.attempt > heard_of) {
            self.refused_by_upstream(lease.cloned(), as_millis(pause));
        }
        self.adopt(request.limits);
        self.run_now();
        if repeated {
            self.events.0.retain(|event| match event {
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

    pub(crate) fn settle(&mut self, settle: &Settle, now: Instant) -> Option<Ended> {
        self.run_before(now.as_millis());
        let found = self.leases.iter().position(|l| l.ticket == settle.ticket);
        let ended = found.map(|index| self.leases[index].ended());
        if let Some(index) = found {
            let lease = self.leases[index].clone();
            match settle.outcome {
                SettleOutcome::UpstreamRefused => {
                    let pause = settle.pause.map_or(0, as_millis);
                    self.refused_by_upstream(Some(lease.clone()), pause);
                }
                SettleOutcome::NotSent => {
                    self.charges.retain(|c| c.lease != Some(lease.serial));
                }
                _ => {
                    if let Some(actual) = settle.tokens {
                        self.correct(&lease, actual.min(1 << 40));
                    }
                }
            }
            match settle.outcome {
                SettleOutcome::Completed | SettleOutcome::ClientGone => self.heard(&lease),
                SettleOutcome::UpstreamFailed | SettleOutcome::NotSent => self.not_heard(&lease),
                SettleOutcome::UpstreamRefused => {}
            }
            self.leases.remove(index);
            if settle.outcome == SettleOutcome::Completed {
                let mut demand = lease.demand.clone();
                demand.bytes = settle.prompt_bytes.unwrap_or(demand.bytes);
                self.usage.learn(&demand, settle, self.now);
            }
        }
        self.run_now();
        ended
    }

    fn correct(&mut self, lease: &Lease, actual: u64) {
        let now = self.now;
        let more = actual.saturating_sub(lease.reserved);
        self.durable.granted(0, more);
        let charge = self
            .charges
            .iter_mut()
            .find(|c| c.lease == Some(lease.serial) && leaves_at(c.at) > now);
        match charge {
            Some(charge) => charge.tokens = actual,
            None => self.charges.push(Charge {
                at: now,
                requests: 0,
                tokens: more,
                refused: false,
                lease: None,
            }),
        }
    }

    pub(crate) fn accepted(&mut self, accepted: &Accepted, now: Instant) -> bool {
        self.run_before(now.as_millis());
        let find = |model: &Self| {
            let mut leases = model.leases.iter();
            leases.find(|l| l.ticket == accepted.ticket).cloned()
        };
        if let Some(lease) = find(self) {
            self.heard(&lease);
        }
        self.run_now();
        find(self).is_some()
    }

    pub(crate) fn sent_late(&mut self, sent: &SentLate, now: Instant) -> bool {
        self.run_before(now.as_millis());
        let mut leases = self.leases.iter();
        let lease = leases.find(|l| l.ticket == sent.ticket).cloned();
        if let Some(lease) = &lease {
            // Made anew, as the grant would make it now.
            self.charges.retain(|c| c.lease != Some(lease.serial));
            self.charges.push(Charge {
                at: self.now,
                requests: 1,
                tokens: lease.reserved,
                refused: false,
                lease: Some(lease.serial),
            });
            self.durable.granted(1, lease.reserved);
            self.durable.granted_at(self.now);
        }
        self.run_now();
        lease.is_some()
    }

    pub(crate) fn cancel(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.now = self.now.max(now.as_millis());
        self.cancelled_at = self.now;
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
        let mut instants: Vec<u64> = Vec::new();
        instants.extend(self.waiters.iter().map(|w| w.deadline));
        instants.extend(self.leases.iter().map(|l| l.expires_at));
        instants.extend(&self.lost);
        instants.extend(self.silences().iter().map(|(at, _)| *at));
        instants.extend(self.durable.seal_at());
        if self.waiters.iter().any(|w| !w.present) {
            instants.push(self.absent_until);
        }
        instants.extend(self.head_fits_at());
        instants.into_iter().min().map(Instant::from_millis)
    }

    pub(crate) fn progress(&self, ticket: &TicketId, now: Instant) -> Option<Progress> {
        let index = self.waiters.iter().position(|w| w.ticket == *ticket)?;
        let mut later = self.clone();
        later.now = later.now.max(now.as_millis());
        let tokens = self.tokens(&self.waiters[index].demand);
        let estimate = later.estimate(&self.waiters[..index], tokens);
        Some(Progress {
            position: index as u64 + 1,
            estimate: estimate.map(Duration::from_millis),
        })
    }

    pub(crate) fn live(&self, now: Instant) -> Live {
        let now = self.now.max(now.as_millis());
        let limits = self.limits();
        let (requests, tokens) = self.used(now);
        let mut late = self.late.clone();
        late.sort_unstable_by(|a, b| b.cmp(a));
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
            probing: self.probe.is_some(),
            estimates: self.usage.models(),
            wake_late_ms_p99: late.get(late.len() / 100).copied().unwrap_or(0),
            wake_late_ms_max: late.first().copied().unwrap_or(0),
            stalls: 0,
            journal_rows: 0,
            journal_failures: 0,
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
        self.forget(self.now);
        let now = self.now;
        self.done = now;
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
        self.done = at;
        self.durable.seal(at);
        self.lost.retain(|until| *until > at);
        let mut expired: Vec<Lease> = self.leases.clone();
        expired.retain(|l| l.expires_at <= at);
        expired.sort_by_key(|l| (l.expires_at, l.ticket.clone()));
        for lease in expired {
            self.heard(&lease);
            self.leases.retain(|l| l.serial != lease.serial);
            self.events.0.push(Event::LeaseExpired {
                ended: lease.ended(),
                ticket: lease.ticket,
            });
        }
        while let Some((_, lease)) = self.silences().into_iter().find(|(due, _)| *due <= at) {
            self.heard(&lease);
        }
        self.forget(at);
        while at >= self.absent_until
            && let Some(index) = self.waiters.iter().position(|w| !w.present)
        {
            let waiter = self.waiters.remove(index);
            self.refuse(&waiter, RefusalReason::Cancelled);
        }
        while let Some(head) = self.waiters.first() {
            if head.present && self.fits(self.tokens(&head.demand), at) {
                let waiter = self.waiters.remove(0);
                self.late.push(self.now - at.max(self.cancelled_at));
                self.late.drain(..self.late.len().saturating_sub(1_000));
                let grant = self.grant(&waiter, at);
                let ticket = waiter.ticket;
                self.events.0.push(Event::Granted { ticket, grant });
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
