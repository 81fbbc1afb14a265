//! 参照模型的规则：谁能走、谁离开、要等多久。
//!
//! The rules of the reference model: who fits, who leaves, how long it will take, what is said.

use super::{CYCLE, Charge, Lease, Model, Waiter, as_millis, count, leaves_at};
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
        if count(&self.waiters) <= limits.queue_max {
            return None;
        }
        Some(match limits.on_full {
            _ if limits.queue_max == 0 => (self.waiters.remove(0), RefusalReason::QueueFull),
            OnFull::EvictOldest => (self.waiters.remove(0), RefusalReason::QueueEvicted),
            OnFull::RejectNewest => (self.waiters.pop()?, RefusalReason::QueueFull),
        })
    }

    pub(super) fn enter(&mut self, request: &Acquire) -> Acquired {
        let ticket = &request.ticket;
        if let Some(index) = self.leases.iter().position(|l| l.ticket == *ticket) {
            if self.leases[index].attempt >= request.attempt {
                return Acquired::Granted(self.grant_again(&self.leases[index]));
            }
            self.leases.remove(index);
        }
        let limits = self.limits();
        let index = self.waiters.iter().position(|w| w.ticket == *ticket);
        let previous = index.map(|index| self.waiters.remove(index));
        let arrival = request.arrival.map_or(self.now, Instant::as_millis);
        self.serial += 1;
        let (arrival, sequence) = previous
            .as_ref()
            .map_or((arrival.min(self.now), self.serial), |previous| {
                (previous.arrival, previous.sequence)
            });
        let before = |w: &&Waiter| (w.arrival, w.sequence) < (arrival, sequence);
        let ahead: Vec<Waiter> = self.waiters.iter().filter(before).cloned().collect();
        let timeout = limits.queue_timeout;
        let timeout = request.wait_max.map_or(timeout, |max| max.min(timeout));
        let output = request.output_tokens_max.unwrap_or(256).min(256);
        let tokens = request.prompt_bytes.div_ceil(4) + output;
        let mut waiter = Waiter {
            ticket: ticket.clone(),
            arrival,
            sequence,
            deadline: arrival + as_millis(timeout),
            tokens,
            weight: self.reservation(tokens),
            position: previous.as_ref().map_or(0, |previous| previous.position),
            attempt: request.attempt,
        };
        if !limits.enabled {
            let wait = Duration::from_mins(1);
            return Acquired::Refused(self.refusal(&waiter, RefusalReason::Disabled, wait));
        }
        if ahead.is_empty() && self.fits(waiter.tokens, self.now) {
            return Acquired::Granted(self.grant(&waiter));
        }
        if previous.is_none() {
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
        let full = count(&self.waiters) >= limits.queue_max;
        if full && limits.on_full == OnFull::EvictOldest && !ahead.is_empty() {
            ahead.remove(0);
        }
        let estimate = self.estimate(&ahead, waiter.tokens);
        let late = estimate.is_some_and(|wait| self.now + wait > waiter.deadline);
        if wait_max.is_some_and(|max| max.is_zero() || late) {
            let wait = Duration::from_millis(estimate.unwrap_or(60_000));
            let reason = RefusalReason::DeadlineUnreachable;
            return Acquired::Refused(self.refusal(&waiter, reason, wait));
        }
        if waiter.deadline <= self.now {
            let wait = self.tail(waiter.tokens);
            let reason = RefusalReason::QueueTimeout;
            return Acquired::Refused(self.refusal(&waiter, reason, wait));
        }
        self.waiters.push(waiter.clone());
        self.waiters.sort_by_key(|w| (w.arrival, w.sequence));
        if let Some((loser, reason)) = self.overfull() {
            if loser.ticket == waiter.ticket {
                let wait = self.tail(loser.tokens);
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
            && limits
                .concurrency
                .is_none_or(|max| count(&self.leases) < max)
            && limits.rpm.is_none_or(|max| requests_used < max)
            && limits
                .tpm
                .is_none_or(|max| tokens_used + self.reservation(tokens) <= max)
    }

    /// Every instant at which something leaves the window or a pause ends, from `now` on.
    pub(super) fn instants(&self) -> Vec<u64> {
        let mut instants: Vec<u64> = self.charges.iter().map(|c| leaves_at(c.at)).collect();
        instants.extend([self.now, self.paused_until]);
        instants.sort_unstable();
        instants
    }

    pub(super) fn head_fits_at(&self) -> Option<u64> {
        let head = self.waiters.first()?;
        let mut instants = self.instants();
        instants.retain(|at| self.fits(head.tokens, *at));
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
                let used = self.used(*at);
                let used = if which == 0 { used.0 } else { used.1 };
                *at >= self.now.max(self.paused_until) && used + demand <= limit
            };
            let first = self.instants().into_iter().find(room)?;
            latest = latest.max(first + cycles * CYCLE);
        }
        Some(latest - self.now)
    }

    pub(super) fn tail(&self, tokens: u64) -> Duration {
        Duration::from_millis(self.estimate(&self.waiters, tokens).unwrap_or(60_000))
    }

    pub(super) fn grant(&mut self, waiter: &Waiter) -> Grant {
        self.serial += 1;
        let lease = Lease {
            serial: self.serial,
            ticket: waiter.ticket.clone(),
            granted_at: self.now,
            expires_at: self.now + as_millis(self.limits().lease),
            reserved: self.reservation(waiter.tokens),
            attempt: waiter.attempt,
            position: waiter.position,
            wait: self.now - waiter.arrival,
        };
        self.charges.push(Charge {
            at: self.now,
            requests: 1,
            tokens: lease.reserved,
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
        }
    }

    pub(super) fn refuse(&mut self, waiter: &Waiter, reason: RefusalReason) {
        let retry_after = match reason {
            RefusalReason::Cancelled => Duration::ZERO,
            RefusalReason::Disabled => Duration::from_mins(1),
            _ => self.tail(waiter.tokens),
        };
        let refusal = self.refusal(waiter, reason, retry_after);
        let ticket = waiter.ticket.clone();
        self.events.push(Event::Refused { ticket, refusal });
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
