//! 预授许可：队列空闲、离限额很远时，提前发给同类请求。
//!
//! Permits granted ahead of the requests that will use them, so that a Worker with dense traffic need not ask
//! for each.
//!
//! Owns when and how many (`room_ahead`), and how they end. Each is a permit like any other
//! from the moment it is granted: it is charged, takes a slot and is a lease. What differs is that the lease is
//! short until the permit is known to be in use, and that the Worker may give it back as if it had never been.
//!
//! Invariant: nobody waits, no pause, nothing is being found out about the upstream, and each limit is used up
//! to less than half when permits are granted ahead; one block takes at most an eighth of what is left, and
//! there is none where that is less than [`ROOM_MIN`].

use super::Admission;
use crate::estimate::Demand;
use crate::lease::{Lease, PERMITS_MAX};
use crate::protocol::{Ask, Block, TicketId};
use crate::time::Instant;
use core::time::Duration;

/// How long a permit granted ahead lives, unless it is reported in use. A Worker reports after one second and
/// tries for 3.2 s. Where permits live shorter than this, none is granted ahead.
pub const AHEAD_LEASE: Duration = Duration::from_secs(5);

/// Which part of what is left of a limit one block takes at most.
const ROOM_PART: u64 = 8;

/// Room for fewer is none: a limit that low is used up one by one, and what a provider refuses then is to be
/// heard of before the next request goes.
const ROOM_MIN: u64 = 8;

impl Admission {
    /// Grants permits ahead, fewer than asked for or none. The same question again has the same answer for
    /// as long as the first permit of the block is out and unused. Adopts the limits if they are newer.
    ///
    /// The block may be answered only when it is durable.
    pub fn grant_ahead(&mut self, ask: &Ask, now: Instant) -> Option<Block> {
        self.advance(now);
        self.adopt(ask.limits);
        self.catch_up();
        let facts = self.facts(0, Duration::ZERO);
        let lease_of = |number: u64| {
            let lease = self.leases.get(&ask.block.ticket(number)?)?;
            lease.ahead.then_some(lease)
        };
        if let Some(first) = lease_of(0) {
            let out = (0..ask.count).take_while(|number| lease_of(*number).is_some());
            let count = u64::try_from(out.count()).unwrap_or(0);
            let (reserved, granted_at) = (first.reserved, first.granted_at);
            let block = ask.block.clone();
            return Some(Block::new(block, count, reserved, granted_at, facts));
        }
        let demand = Demand {
            model: ask.model.clone(),
            prompt_bytes: ask.prompt_bytes,
            output_tokens_max: ask.output_tokens_max,
        };
        let reserved = self.limiter.reservation(self.tokens(&demand));
        let count = ask.count.min(self.room_ahead(reserved));
        let tickets = (0..count).filter_map(|number| ask.block.ticket(number));
        for ticket in tickets {
            self.lend(ticket, &ask.note, demand.clone());
        }
        self.catch_up();
        let block = ask.block.clone();
        (count > 0).then(|| Block::new(block, count, reserved, self.now, facts))
    }

    /// A permit granted ahead is in use: from now on it lives as long as any other. False if nothing is known
    /// of such a one.
    pub fn used(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.advance(now);
        let known = self.leases.used(ticket, self.limiter.limits().lease);
        self.catch_up();
        known
    }

    /// A permit granted ahead will not be used: as if it had never been granted. False if nothing is known of
    /// such a one, also where it is in use.
    pub fn take_back(&mut self, ticket: &TicketId, now: Instant) -> bool {
        self.advance(now);
        let is_ahead = self.leases.get(ticket).is_some_and(|lease| lease.ahead);
        if is_ahead && let Some(lease) = self.leases.remove(ticket) {
            self.limiter.refund(lease.bucket, lease.reserved);
        }
        self.catch_up();
        is_ahead
    }

    /// How many permits of so many tokens may be granted ahead at once.
    fn room_ahead(&self, reserved: u64) -> u64 {
        let limits = self.limiter.limits();
        let is_quiet = limits.enabled
            && limits.lease >= AHEAD_LEASE
            && self.queue.total().count == 0
            && self.limiter.paused_until(self.now).is_none()
            && !self.limiter.probe().is_probing();
        if !is_quiet {
            return 0;
        }
        let used = self.limiter.used_at(self.now);
        let slots = limits.concurrency.unwrap_or(u64::MAX).min(PERMITS_MAX);
        let rooms = [
            limits.rpm.map(|limit| room(limit, used.requests, 1)),
            limits.tpm.map(|limit| room(limit, used.tokens, reserved)),
            Some(room(slots, self.leases.slots(), 1)),
        ];
        let room = rooms.into_iter().flatten().min();
        room.filter(|room| *room >= ROOM_MIN).unwrap_or(0)
    }

    fn lend(&mut self, ticket: TicketId, note: &str, demand: Demand) {
        let tokens = self.tokens(&demand);
        let charge = self.limiter.charge(&ticket, tokens, self.now, self.now);
        self.ledger.grant(charge.reserved, self.now);
        self.leases.insert(Lease {
            ticket,
            granted_at: self.now,
            expires_at: self.now.saturating_add(AHEAD_LEASE),
            bucket: charge.bucket,
            reserved: charge.reserved,
            attempt: 0,
            note: note.to_owned(),
            position: 0,
            wait: Duration::ZERO,
            place: self.queue.place(self.now),
            demand,
            probe: charge.probe,
            ahead: true,
            stored: false,
        });
    }
}

/// How often `each` goes into the part of what is left that one block may take; nothing where half is used.
fn room(limit: u64, used: u64, each: u64) -> u64 {
    if used >= limit.div_ceil(2) {
        return 0;
    }
    let left = limit.saturating_sub(used);
    left.checked_div(ROOM_PART.saturating_mul(each.max(1)))
        .unwrap_or(0)
}
