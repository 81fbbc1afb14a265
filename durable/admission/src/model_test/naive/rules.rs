//! 参照模型的规则：谁能走、谁离开、要等多久。
//!
//! The rules of the reference model: who fits, who leaves, how long it will take, what is said.

use super::probing::Way;
use super::{CYCLE, Charge, Demand, Lease, Model, Waiter, as_millis, count, leaves_at};
use crate::protocol::{
    Acquire, AdmissionFacts, Budget, Grant, Limits, OnFull, Permit, Refusal, RefusalReason,
};
use crate::time::Instant;
use crate::{Acquired, Event};
use core::time::Duration;

impl Model {
    pub(super) fn limits(&self) -> Limits {
        self.limits.unwrap_or_default()
    }

    pub(super) fn adopt(&mut self, limits: Limits) {
        if self.limits.is_some_and(|old| old.version >= limits.version) {
            return;
        }
        self.durable.adopted();
        self.limits = Some(Limits {
            queue_max: limits.queue_max.min(100_000),
            ..limits
        });
        if !limits.enabled {
            while !self.waiters.is_empty() {
                let waiter = self.waiters.remove(0);
                self.refuse(&waiter, RefusalReason::Disabled);
            }
        }
        self.run_now();
        while let Some((waiter, reason)) = self.overfull() {
            self.refuse(&waiter, reason);
        }
    }

    pub(super) fn overfull(&mut self) -> Option<(Waiter, RefusalReason)> {
        let limits = self.limits();
        let counted = self.counted();
        if count(&counted) <= limits.queue_max {
            return None;
        }
        let (loser, reason) = match limits.on_full {
            _ if limits.queue_max == 0 => (counted.first()?, RefusalReason::QueueFull),
            OnFull::EvictOldest => (counted.first()?, RefusalReason::QueueEvicted),
            OnFull::RejectNewest => (counted.last()?, RefusalReason::QueueFull),
        };
        self.waiters.retain(|w| w.sequence != loser.sequence);
        Some((loser.clone(), reason))
    }

    /// Those who fill the queue: they have not been let in before.
    fn counted(&self) -> Vec<Waiter> {
        let waiters = self.waiters.iter();
        waiters.filter(|w| !w.exempt).cloned().collect()
    }

    pub(super) fn enter(&mut self, request: &Acquire) -> Acquired {
        let ticket = &request.ticket;
        // Place, position and exemption of an earlier call.
        let mut before = None;
        if let Some(index) = self.leases.iter().position(|l| l.ticket == *ticket) {
            if self.leases[index].attempt >= request.attempt {
                return Acquired::Granted(self.grant_again(&self.leases[index]));
            }
            let lease = self.leases[index].clone();
            self.not_heard(&lease);
            self.leases.remove(index);
            before = Some((lease.arrival, lease.sequence, lease.position, true));
        }
        if let Some(index) = self.waiters.iter().position(|w| w.ticket == *ticket) {
            let waiter = self.waiters.remove(index);
            before = Some((
                waiter.arrival,
                waiter.sequence,
                waiter.position,
                waiter.exempt,
            ));
        }
        self.serial += 1;
        let arrival = request.arrival.map_or(self.now, Instant::as_millis);
        let newcomer = (arrival.min(self.now), self.serial, 0, false);
        let (arrival, sequence, position, exempt) = before.unwrap_or(newcomer);
        let limits = self.limits();
        let earlier = |w: &&Waiter| (w.arrival, w.sequence) < (arrival, sequence);
        let ahead: Vec<Waiter> = self.waiters.iter().filter(earlier).cloned().collect();
        let timeout = limits.queue_timeout;
        let timeout = request.wait_max.map_or(timeout, |max| max.min(timeout));
        let demand = Demand {
            model: request.model.clone(),
            bytes: request.prompt_bytes,
            output_max: request.output_tokens_max,
        };
        let tokens = self.tokens(&demand);
        let mut waiter = Waiter {
            ticket: ticket.clone(),
            arrival,
            sequence,
            deadline: arrival + as_millis(timeout),
            demand,
            weight: self.reservation(tokens),
            position,
            attempt: request.attempt,
            note: request.note.clone(),
            exempt: exempt || request.attempt > 0,
            present: true,
        };
        if !limits.enabled {
            let wait = Duration::from_mins(1);
            return Acquired::Refused(self.refusal(&waiter, RefusalReason::Disabled, wait));
        }
        if ahead.is_empty() && self.fits(tokens, self.now) {
            return Acquired::Granted(self.grant(&waiter, self.now));
        }
        if waiter.position == 0 {
            waiter.position = count(&ahead) + 1;
        }
        self.queue(waiter, ahead, request.wait_max)
    }

    pub(super) fn queue(
        &mut self,
        waiter: Waiter,
        mut ahead: Vec<Waiter>,
        wait_max: Option<Duration>,
    ) -> Acquired {
        let limits = self.limits();
        let full = count(&self.counted()) >= limits.queue_max && !waiter.exempt;
        let oldest = ahead.iter().position(|w| !w.exempt);
        if let Some(oldest) = oldest.filter(|_| full && limits.on_full == OnFull::EvictOldest) {
            ahead.remove(oldest);
        }
        let tokens = self.tokens(&waiter.demand);
        let estimate = self.estimate(&ahead, tokens);
        let late = estimate.is_some_and(|wait| self.now + wait > waiter.deadline);
        if wait_max.is_some_and(|max| max.is_zero() || late) {
            let wait = Duration::from_millis(estimate.unwrap_or(60_000));
            let reason = RefusalReason::DeadlineUnreachable;
            return Acquired::Refused(self.refusal(&waiter, reason, wait));
        }
        if waiter.deadline <= self.now {
            let wait = self.tail(&waiter);
            let reason = RefusalReason::QueueTimeout;
            return Acquired::Refused(self.refusal(&waiter, reason, wait));
        }
        self.waiters.push(waiter.clone());
        self.waiters.sort_by_key(|w| (w.arrival, w.sequence));
        if let Some((loser, reason)) = self.overfull() {
            if loser.ticket == waiter.ticket {
                let wait = self.tail(&loser);
                return Acquired::Refused(self.refusal(&loser, reason, wait));
            }
            self.refuse(&loser, reason);
        }
        Acquired::Queued {
            ticket: waiter.ticket,
            position: waiter.position,
        }
    }

    /// Requests and tokens that count at `at`.
    pub(super) fn used(&self, at: u64) -> (u64, u64) {
        let held = self.charges.iter().filter(|c| leaves_at(c.at) > at);
        held.fold((0, 0), |(requests, tokens), c| {
            (requests + c.requests, tokens + c.tokens)
        })
    }

    pub(super) fn reservation(&self, tokens: u64) -> u64 {
        let limit = self.limits().tpm.filter(|limit| *limit > 0);
        tokens.min(limit.unwrap_or(u64::MAX))
    }

    pub(super) fn stopped(&self) -> bool {
        let limits = self.limits();
        [limits.rpm, limits.tpm, limits.concurrency].contains(&Some(0))
    }

    pub(super) fn fits(&self, tokens: u64, at: u64) -> bool {
        let limits = self.limits();
        let (requests_used, tokens_used) = self.used(at);
        !self.stopped()
            && at >= self.paused_until
            && !matches!(self.way(at), Way::Shut)
            && limits
                .concurrency
                .is_none_or(|max| count(&self.leases) + count(&self.lost) < max)
            && limits.rpm.is_none_or(|max| requests_used < max)
            && limits
                .tpm
                .is_none_or(|max| tokens_used + self.reservation(tokens) <= max)
    }

    /// Every instant at which something leaves the window or a pause ends, from `now` on.
    pub(super) fn instants(&self) -> Vec<u64> {
        let mut instants: Vec<u64> = self.charges.iter().map(|c| leaves_at(c.at)).collect();
        instants.extend([self.done, self.now, self.paused_until]);
        instants.extend(self.openings());
        instants.sort_unstable();
        instants
    }

    pub(super) fn head_fits_at(&self) -> Option<u64> {
        let head = self.waiters.first()?;
        let mut instants = self.instants();
        for at in &mut instants {
            *at = self.done.max(*at);
        }
        instants.sort_unstable();
        instants.retain(|at| head.present && self.fits(self.tokens(&head.demand), *at));
        instants.first().copied()
    }

    pub(super) fn estimate(&self, ahead: &[Waiter], tokens: u64) -> Option<u64> {
        if self.stopped() {
            return None;
        }
        let limits = self.limits();
        let weight: u64 = ahead.iter().map(|w| w.weight).sum();
        let demands = [
            (limits.rpm, count(ahead) + 1, 0),
            (limits.tpm, weight + self.reservation(tokens), 1),
            (self.found_out(), count(ahead) + 1, 2),
        ];
        let mut latest = self.now.max(self.paused_until);
        for (limit, mut demand, which) in demands {
            let Some(limit) = limit else { continue };
            let mut cycles = 0;
            while demand > limit {
                demand -= limit;
                cycles += 1;
            }
            let room = |at: &u64| {
                let used = match which {
                    0 => self.used(*at).0,
                    1 => self.used(*at).1,
                    _ => self.taken_on(*at),
                };
                *at >= self.now.max(self.paused_until) && used + demand <= limit
            };
            let first = self.instants().into_iter().find(room)?;
            latest = latest.max(first + cycles * CYCLE);
        }
        Some(latest - self.now)
    }

    fn tail(&self, waiter: &Waiter) -> Duration {
        let tokens = self.tokens(&waiter.demand);
        Duration::from_millis(self.estimate(&self.waiters, tokens).unwrap_or(60_000))
    }

    pub(super) fn grant(&mut self, waiter: &Waiter, at: u64) -> Grant {
        self.serial += 1;
        let lease = Lease {
            serial: self.serial,
            ticket: waiter.ticket.clone(),
            granted_at: self.now,
            expires_at: self.now + as_millis(self.limits().lease),
            reserved: self.reservation(self.tokens(&waiter.demand)),
            attempt: waiter.attempt,
            note: waiter.note.clone(),
            position: waiter.position,
            wait: self.now - waiter.arrival,
            arrival: waiter.arrival,
            sequence: waiter.sequence,
            demand: waiter.demand.clone(),
            probe: self.probe_granted(at),
            ahead: false,
        };
        self.durable.granted(1, lease.reserved);
        self.durable.granted_at(self.now);
        self.charges.push(Charge {
            at: self.now,
            requests: 1,
            tokens: lease.reserved,
            refused: false,
            lease: Some(lease.serial),
        });
        self.leases.push(lease.clone());
        self.grant_again(&lease)
    }

    pub(super) fn grant_again(&self, lease: &Lease) -> Grant {
        let granted_at = Instant::from_millis(lease.granted_at);
        Grant {
            permit: Permit::new(lease.ticket.clone(), lease.reserved, granted_at),
            admission: self.facts(lease.position, lease.wait),
            probe: lease.probe.is_some(),
        }
    }

    pub(super) fn refuse(&mut self, waiter: &Waiter, reason: RefusalReason) {
        let retry_after = match reason {
            RefusalReason::Cancelled => Duration::ZERO,
            RefusalReason::Disabled => Duration::from_mins(1),
            _ => self.tail(waiter),
        };
        let refusal = self.refusal(waiter, reason, retry_after);
        self.events.0.push(Event::Refused {
            ticket: waiter.ticket.clone(),
            refusal,
            attempt: waiter.attempt,
            note: waiter.note.clone(),
        });
    }

    pub(super) fn refusal(
        &self,
        waiter: &Waiter,
        reason: RefusalReason,
        retry_after: Duration,
    ) -> Refusal {
        Refusal {
            reason,
            retry_after,
            admission: self.facts(waiter.position, self.now - waiter.arrival),
        }
    }

    pub(super) fn facts(&self, position: u64, wait: u64) -> AdmissionFacts {
        let (requests, tokens) = self.used(self.now);
        let held = || self.charges.iter().filter(|c| leaves_at(c.at) > self.now);
        let requests_free = held()
            .filter(|c| c.requests > 0)
            .map(|c| leaves_at(c.at))
            .max();
        let tokens_free = held()
            .filter(|c| c.tokens > 0)
            .map(|c| leaves_at(c.at))
            .max();
        let budget = |limit: Option<u64>, used: u64, free: Option<u64>| {
            limit.map(|limit| Budget {
                limit,
                remaining: limit.saturating_sub(used),
                reset: Duration::from_millis(free.map_or(0, |free| free - self.now)),
            })
        };
        let limits = self.limits();
        AdmissionFacts {
            position,
            wait: Duration::from_millis(wait),
            requests: budget(limits.rpm, requests, requests_free),
            tokens: budget(limits.tpm, tokens, tokens_free),
            config_version: self.config_version,
        }
    }
}
