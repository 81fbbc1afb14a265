//! 租约：已发出而未结算的许可，到期收回。
//!
//! Permits that are out: granted, not settled. Each is a lease and ends by itself.
//!
//! Owns who is in flight and until when, and the slots of permits that a crash may have made
//! everybody forget ([`Leases::lose`]). Knows neither window nor queue.
//!
//! Invariant: both views hold the same permits, at most [`PERMITS_MAX`] of them.

use crate::admission::Ended;
use crate::estimate::Demand;
use crate::marks::Marks;
use crate::probe::Kind;
use crate::protocol::{Permit, TicketId};
use crate::rank::Place;
use crate::state::{COUNT_MAX, LeaseRow, LostRow};
use crate::time::{Instant, millis};
use crate::window::BucketIndex;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// Most permits out at the same time, whatever the configuration: bounds memory where permits are
/// granted without limit and never settled. Beyond it requests wait.
pub const PERMITS_MAX: u64 = 100_000;

/// Longest lease that is believed of a stored row: a wrong one must not hold a slot for ever.
pub(crate) const LEASE_MAX: Duration = Duration::from_hours(24);

/// Groups of lost slots that are told apart; of more, the last two become one.
const LOST_LEN_MAX: usize = 64;

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
    /// What the shell wants back at the end.
    pub(crate) note: String,
    /// What the grant said, in case it must be said again.
    pub(crate) position: u64,
    pub(crate) wait: Duration,
    /// Where its request stood in the queue, in case it comes back.
    pub(crate) place: Place,
    /// What its usage will teach.
    pub(crate) demand: Demand,
    /// Whether something is to be learnt from the upstream's answer.
    pub(crate) probe: Option<Kind>,
    /// Granted ahead, and not known to be in use.
    pub(crate) ahead: bool,
    /// Whether its row was ever taken.
    pub(crate) stored: bool,
}

impl Lease {
    /// The permit that the lease stands for.
    pub(crate) fn permit(&self) -> Permit {
        Permit::new(self.ticket.clone(), self.reserved, self.granted_at)
    }

    /// What is left to say of it when it is over.
    pub(crate) fn ended(self) -> Ended {
        Ended {
            note: self.note,
            attempt: self.attempt,
            position: self.position,
            wait: self.wait,
            reserved_tokens: self.reserved,
        }
    }

    fn row(&self) -> LeaseRow {
        LeaseRow {
            ticket: self.ticket.as_str().to_owned(),
            granted_at_ms: self.granted_at.as_millis().min(COUNT_MAX),
            expires_at_ms: self.expires_at.as_millis().min(COUNT_MAX),
            bucket: self.bucket.number().min(COUNT_MAX),
            reserved_tokens: self.reserved.min(COUNT_MAX),
            attempt: self.attempt.into(),
            note: self.note.clone(),
            position: self.position.min(COUNT_MAX),
            wait_ms: millis(self.wait).min(COUNT_MAX),
            arrival_ms: self.place.arrival.as_millis().min(COUNT_MAX),
            sequence: self.place.sequence.min(COUNT_MAX),
            model: self.demand.model.clone(),
            prompt_bytes: self.demand.prompt_bytes.min(COUNT_MAX),
            output_tokens_max: self.demand.output_tokens_max.map(|max| max.min(COUNT_MAX)),
            probe: match self.probe {
                None => 0,
                Some(Kind::Lead) => 1,
                Some(Kind::Beyond) => 2,
            },
            ahead: self.ahead.into(),
        }
    }

    /// The lease of a row, as of `now`; nothing in it lies in the future but its end, which is
    /// no further off than [`LEASE_MAX`].
    pub(crate) fn from_row(row: LeaseRow, now: Instant) -> Option<Self> {
        let past = |millis: u64| Instant::from_millis(millis).min(now);
        Some(Self {
            ticket: TicketId::try_from(row.ticket).ok()?,
            granted_at: past(row.granted_at_ms),
            expires_at: Instant::from_millis(row.expires_at_ms).min(now.saturating_add(LEASE_MAX)),
            bucket: BucketIndex::new(row.bucket.min(COUNT_MAX)),
            reserved: row.reserved_tokens.min(COUNT_MAX),
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            note: row.note,
            position: row.position,
            wait: Duration::from_millis(row.wait_ms),
            place: Place {
                arrival: past(row.arrival_ms),
                sequence: row.sequence.min(COUNT_MAX),
            },
            demand: Demand {
                model: row.model,
                prompt_bytes: row.prompt_bytes,
                output_tokens_max: row.output_tokens_max,
            },
            probe: match row.probe {
                1 => Some(Kind::Lead),
                2 => Some(Kind::Beyond),
                _ => None,
            },
            ahead: row.ahead > 0,
            stored: true,
        })
    }
}

/// All permits that are out.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_ticket: BTreeMap<TicketId, Lease>,
    by_expiry: BTreeSet<(Instant, TicketId)>,
    count: u64,
    /// Slots of permits that nobody remembers, by the instant at which the last of them ends.
    lost: Vec<(Instant, u64)>,
    marks: Marks<TicketId>,
}

impl Leases {
    /// Permits out.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Slots taken: permits out, and those that may be out.
    pub(crate) fn slots(&self) -> u64 {
        let lost = self.lost.iter();
        lost.fold(self.count, |slots, (_, lost)| slots.saturating_add(*lost))
    }

    /// The lease of a ticket.
    pub(crate) fn get(&self, ticket: &TicketId) -> Option<&Lease> {
        self.by_ticket.get(ticket)
    }

    /// Notes that something was heard of a probe; returns its lease as it was.
    pub(crate) fn probe_ended(&mut self, ticket: &TicketId) -> Option<(Kind, Instant)> {
        let lease = self.by_ticket.get_mut(ticket)?;
        let kind = lease.probe.take()?;
        self.marks.change(ticket);
        Some((kind, lease.granted_at))
    }

    /// Notes that a charge now stands in another bucket.
    pub(crate) fn rebook(&mut self, ticket: &TicketId, bucket: BucketIndex) {
        if let Some(lease) = self.by_ticket.get_mut(ticket) {
            lease.bucket = bucket;
            self.marks.change(ticket);
        }
    }

    /// A permit that was granted ahead is in use, so it lives as long as any other. False if it was not known
    /// to be granted ahead.
    pub(crate) fn used(&mut self, ticket: &TicketId, lease_time: Duration) -> bool {
        let lease = self.by_ticket.get_mut(ticket).filter(|lease| lease.ahead);
        let Some(lease) = lease else {
            return false;
        };
        let until = lease.granted_at.saturating_add(lease_time);
        self.by_expiry.remove(&(lease.expires_at, ticket.clone()));
        self.by_expiry.insert((until, ticket.clone()));
        lease.expires_at = until;
        lease.ahead = false;
        self.marks.change(ticket);
        true
    }

    /// Adds a lease. Its ticket must not be out yet.
    pub(crate) fn insert(&mut self, lease: Lease) {
        self.count = self.count.saturating_add(1);
        self.by_expiry
            .insert((lease.expires_at, lease.ticket.clone()));
        if !lease.stored {
            self.marks.change(&lease.ticket);
        }
        self.by_ticket.insert(lease.ticket.clone(), lease);
    }

    /// Ends a lease.
    pub(crate) fn remove(&mut self, ticket: &TicketId) -> Option<Lease> {
        let (ticket, lease) = self.by_ticket.remove_entry(ticket)?;
        self.count = self.count.saturating_sub(1);
        self.marks.remove(&ticket, lease.stored);
        self.by_expiry.remove(&(lease.expires_at, ticket));
        Some(lease)
    }

    /// Ends the lease that expires first, if that is not after `at`.
    pub(crate) fn pop_expired(&mut self, at: Instant) -> Option<Lease> {
        let (expires_at, ticket) = self.by_expiry.first()?;
        if *expires_at > at {
            return None;
        }
        let ticket = ticket.clone();
        self.remove(&ticket)
    }

    /// Takes `slots` for permits that nobody remembers, until `until`.
    pub(crate) fn lose(&mut self, slots: u64, until: Instant) {
        if slots == 0 {
            return;
        }
        let full = self.lost.len() >= LOST_LEN_MAX;
        match self.lost.last_mut() {
            Some((last, count)) if full => {
                *last = until.max(*last);
                *count = count.saturating_add(slots).min(PERMITS_MAX);
            }
            _ => self.lost.push((until, slots.min(PERMITS_MAX))),
        }
    }

    /// Frees the lost slots whose time is over. True if there were any.
    pub(crate) fn find(&mut self, at: Instant) -> bool {
        let before = self.lost.len();
        self.lost.retain(|(until, _)| *until > at);
        self.lost.len() < before
    }

    /// The earliest expiry.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let lost = self.lost.iter().map(|(until, _)| *until).min();
        let out = self.by_expiry.first().map(|(expiry, _)| *expiry);
        [lost, out].into_iter().flatten().min()
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_stored(&self) -> bool {
        self.marks.is_empty()
    }

    /// The rows that changed and the permits that ended.
    pub(crate) fn take_rows(&mut self) -> (Vec<LeaseRow>, Vec<String>) {
        let (changed, gone) = self.marks.take();
        let rows = changed.into_iter().filter_map(|ticket| {
            let lease = self.by_ticket.get_mut(&ticket)?;
            lease.stored = true;
            Some(lease.row())
        });
        (rows.collect(), gone.into_iter().map(String::from).collect())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<LeaseRow> {
        self.by_ticket.values().map(Lease::row).collect()
    }

    /// The lost slots, to be stored.
    pub(crate) fn lost_rows(&self) -> Vec<LostRow> {
        let rows = self.lost.iter().map(|(until, slots)| LostRow {
            until_ms: until.as_millis().min(COUNT_MAX),
            slots: *slots,
        });
        rows.collect()
    }
}
