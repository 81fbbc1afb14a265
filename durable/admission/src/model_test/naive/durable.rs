//! 参照模型的持久：一份自己的副本，加上容许量。
//!
//! Durability in the reference model: a copy of itself, and what may be granted beyond it.

use super::{Charge, Model, as_millis};
use crate::protocol::Limits;
use crate::time::Instant;

#[derive(Clone, Default)]
pub(super) struct Durable {
    copy: Option<Box<Model>>,
    /// What the last record allows for, and what of it is used.
    allowed: (u64, u64),
    used: (u64, u64),
    last_grant: u64,
    sealing: bool,
    new_limits: bool,
}

impl Durable {
    pub(super) fn granted(&mut self, requests: u64, tokens: u64) {
        self.used = (self.used.0 + requests, self.used.1 + tokens);
    }

    pub(super) fn granted_at(&mut self, now: u64) {
        self.last_grant = now;
        self.sealing = false;
    }

    pub(super) fn adopted(&mut self) {
        self.new_limits = true;
    }

    pub(super) fn seal_at(&self) -> Option<u64> {
        (self.allowed != (0, 0) && !self.sealing).then_some(self.last_grant + 1_000)
    }

    pub(super) fn seal(&mut self, at: u64) {
        if self.seal_at().is_some_and(|seal_at| seal_at <= at) {
            self.sealing = true;
        }
    }
}

fn allowance(limits: &Limits) -> (u64, u64) {
    let mut requests = limits.rpm.map_or(100, |rpm| rpm / 50);
    if let Some(concurrency) = limits.concurrency {
        requests = requests.min(concurrency / 50);
    }
    (requests, limits.tpm.map_or(100_000, |tpm| tpm / 50))
}

impl Model {
    /// Whether an answer may leave only after a commit.
    pub(crate) fn must_commit(&self) -> bool {
        let Durable { allowed, used, .. } = self.durable;
        self.durable.new_limits || used.0 > allowed.0 || used.1 > allowed.1
    }

    pub(crate) fn commit(&mut self) {
        let idle = self.durable.used == (0, 0) && self.durable.allowed == (0, 0);
        let sealed = self.durable.sealing || idle;
        self.durable.copy = None;
        self.durable.used = (0, 0);
        self.durable.sealing = false;
        self.durable.new_limits = false;
        self.durable.allowed = if sealed {
            (0, 0)
        } else {
            allowance(&self.limits())
        };
        self.durable.copy = Some(Box::new(self.clone()));
    }

    /// Begins again from what is durable.
    pub(crate) fn crash(&mut self, now: Instant) {
        let Some(copy) = self.durable.copy.take() else {
            *self = Self::default();
            return;
        };
        *self = (*copy).clone();
        let (requests, tokens) = self.durable.allowed;
        // What is durable stays so; nothing may be granted beyond it a second time.
        self.durable = Durable {
            copy: Some(copy),
            ..Durable::default()
        };
        let recorded_at = self.now;
        self.now = self.now.max(now.as_millis());
        let now = self.now;
        self.done = now;
        self.cancelled_at = 0;
        self.count_as_sent_late(recorded_at);
        self.charges.retain(|c| leaves_later(c, now));
        self.charges.push(Charge {
            at: now,
            requests,
            tokens,
            refused: false,
            lease: None,
        });
        let limits = self.limits();
        if limits.concurrency.is_some() {
            let until = now + as_millis(limits.lease);
            self.lost.extend((0..requests).map(|_| until));
        }
        for waiter in &mut self.waiters {
            waiter.present = false;
            waiter.exempt = true;
        }
        self.absent_until = now + 1_000;
        self.late.clear();
        self.usage.crash();
        self.lead_again();
        self.handle_timeout(Instant::from_millis(now));
    }
}

impl Model {
    /// Whoever was granted less than 2 s before the record counts from 2 s after the grant, or from now
    /// where that is earlier.
    fn count_as_sent_late(&mut self, recorded_at: u64) {
        for lease in &self.leases {
            let at = (lease.granted_at + 2_000).min(self.now);
            let mut charges = self.charges.iter();
            let charge = charges.find(|c| c.lease == Some(lease.serial));
            let booked = charge.map_or(lease.granted_at, |c| c.at);
            if lease.granted_at + 2_000 > recorded_at && at / 100 > booked / 100 {
                self.charges.retain(|c| c.lease != Some(lease.serial));
                self.charges.push(Charge {
                    at,
                    requests: 1,
                    tokens: lease.reserved,
                    refused: false,
                    lease: Some(lease.serial),
                });
            }
        }
    }
}

fn leaves_later(charge: &Charge, now: u64) -> bool {
    super::leaves_at(charge.at) > now
}
