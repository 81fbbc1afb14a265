//! 租约：已发出而未结算的许可，到期收回。
//!
//! Permits that are out: granted, not settled. Each is a lease and ends by itself.
//!
//! Owns who is in flight and until when. Knows neither window nor queue.
//!
//! Invariant: both views hold the same permits, at most [`PERMITS_MAX`] of them.

use crate::protocol::{Permit, TicketId};
use crate::time::Instant;
use crate::window::BucketIndex;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// Most permits out at the same time, whatever the configuration: bounds memory where permits are
/// granted without limit and never settled. Beyond it requests wait.
pub const PERMITS_MAX: u64 = 100_000;

/// A permit that is out.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) ticket: TicketId,
    pub(crate) granted_at: Instant,
    pub(crate) expires_at: Instant,
    /// Where its charge stands in the window.
    pub(crate) bucket: BucketIndex,
    pub(crate) reserved: u64,
    pub(crate) attempt: u32,
    /// What the grant said, in case it must be said again.
    pub(crate) position: u64,
    pub(crate) wait: Duration,
}

impl Lease {
    /// The permit that the lease stands for.
    pub(crate) fn permit(&self) -> Permit {
        Permit::new(self.ticket.clone(), self.reserved, self.granted_at)
    }
}

/// All permits that are out.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_ticket: BTreeMap<TicketId, Lease>,
    by_expiry: BTreeSet<(Instant, TicketId)>,
    count: u64,
}

impl Leases {
    /// Permits out.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The lease of a ticket.
    pub(crate) fn get(&self, ticket: &TicketId) -> Option<&Lease> {
        self.by_ticket.get(ticket)
    }

    /// Adds a lease. Its ticket must not be out yet.
    pub(crate) fn insert(&mut self, lease: Lease) {
        self.count = self.count.saturating_add(1);
        self.by_expiry
            .insert((lease.expires_at, lease.ticket.clone()));
        self.by_ticket.insert(lease.ticket.clone(), lease);
    }

    /// Ends a lease.
    pub(crate) fn remove(&mut self, ticket: &TicketId) -> Option<Lease> {
        let (ticket, lease) = self.by_ticket.remove_entry(ticket)?;
        self.count = self.count.saturating_sub(1);
        self.by_expiry.remove(&(lease.expires_at, ticket));
        Some(lease)
    }

    /// Ends the lease that expires first, if that is not after `at`.
    pub(crate) fn pop_expired(&mut self, at: Instant) -> Option<TicketId> {
        if self.next_expiry()? > at {
            return None;
        }
        let (_, ticket) = self.by_expiry.pop_first()?;
        self.by_ticket.remove(&ticket);
        self.count = self.count.saturating_sub(1);
        Some(ticket)
    }

    /// The earliest expiry.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.by_expiry.first().map(|(expiry, _)| *expiry)
    }
}
