//! 参照模型的预授：条件逐条直写。
//!
//! Permits granted ahead in the reference model: each condition by itself, each permit charged one by one.

use super::{Charge, Demand, Lease, Model, count};
use crate::protocol::{Ask, Block, TicketId};
use crate::time::Instant;
use core::time::Duration;

impl Model {
    pub(crate) fn grant_ahead(&mut self, ask: &Ask, now: Instant) -> Option<Block> {
        self.run_before(now.as_millis());
        self.adopt(ask.limits);
        self.run_now();
        let facts = self.facts(0, 0);
        let tickets: Vec<TicketId> = (0..ask.count)
            .map(|number| ask.block.ticket(number).unwrap())
            .collect();
        let unused = |ticket: &TicketId| {
            let mut leases = self.leases.iter();
            leases.find(|l| l.ticket == *ticket && l.ahead).cloned()
        };
        let known: Vec<Lease> = tickets.iter().map_while(unused).collect();
        if let Some(first) = known.first() {
            let at = Instant::from_millis(first.granted_at);
            let block = ask.block.clone();
            return Some(Block::new(block, count(&known), first.reserved, at, facts));
        }
        let demand = Demand {
            model: ask.model.clone(),
            bytes: ask.prompt_bytes,
            output_max: ask.output_tokens_max,
        };
        let reserved = self.reservation(self.tokens(&demand));
        let mut granted = 0;
        let room = self.room_ahead(reserved);
        for ticket in tickets {
            if granted < room {
                self.lend(ticket, &ask.note, demand.clone(), reserved);
                granted += 1;
            }
        }
        let now = Instant::from_millis(self.now);
        (granted > 0).then(|| Block::new(ask.block.clone(), granted, reserved, now, facts))
    }

    pub(crate) fn in_use(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.run_before(now.as_millis());
        let lease_time = super::as_millis(self.limits().lease);
        let lease = self
            .leases
            .iter_mut()
            .find(|l| l.ticket == *ticket && l.ahead);
        let known = lease.is_some();
        if let Some(lease) = lease {
            lease.ahead = false;
            lease.expires_at = lease.granted_at + lease_time;
        }
        self.run_now();
        known
    }

    pub(crate) fn take_back(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.run_before(now.as_millis());
        let mut leases = self.leases.iter();
        let lease = leases.find(|l| l.ticket == *ticket && l.ahead).cloned();
        if let Some(lease) = &lease {
            self.charges.retain(|c| c.lease != Some(lease.serial));
            self.leases.retain(|l| l.serial != lease.serial);
        }
        self.run_now();
        lease.is_some()
    }

    fn room_ahead(&self, reserved: u64) -> u64 {
        let limits = self.limits();
        let (requests, tokens) = self.used(self.now);
        let slots = count(&self.leases) + count(&self.lost);
        let budgets = [
            (limits.rpm, requests, 1),
            (limits.tpm, tokens, reserved.max(1)),
            (limits.concurrency.or(Some(100_000)), slots, 1),
        ];
        let waits = !self.waiters.is_empty() || self.paused_until > self.now;
        if waits || self.probe.is_some() || !limits.enabled {
            return 0;
        }
        if limits.lease < Duration::from_secs(5) {
            return 0;
        }
        let mut room = u64::MAX;
        for (limit, used, each) in budgets {
            let Some(limit) = limit else { continue };
            if used * 2 >= limit {
                return 0;
            }
            room = room.min((limit - used) / 8 / each);
        }
        if room < 8 { 0 } else { room }
    }

    fn lend(&mut self, ticket: TicketId, note: &str, demand: Demand, reserved: u64) {
        self.serial += 1;
        let sequence = self.serial;
        self.serial += 1;
        self.durable.granted(1, reserved);
        self.durable.granted_at(self.now);
        self.charges.push(Charge {
            at: self.now,
            requests: 1,
            tokens: reserved,
            refused: false,
            lease: Some(self.serial),
        });
        self.leases.push(Lease {
            serial: self.serial,
            ticket,
            granted_at: self.now,
            expires_at: self.now + 5_000,
            reserved,
            attempt: 0,
            note: note.to_owned(),
            position: 0,
            wait: 0,
            arrival: self.now,
            sequence,
            demand,
            probe: None,
            ahead: true,
        });
    }
}
