//! 队列：严格按到达先后，另按期限与票据索引。
//!
//! The queue: waiters strictly by arrival, found by ticket and by deadline as well.
//!
//! Owns order and deadlines. Decides neither who enters nor who is granted.
//!
//! Invariant: the three views hold the same waiters; every operation is O(log n).

use crate::protocol::TicketId;
use crate::rank::{Place, RankTree, Sums};
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Most waiters that any configuration can ask for: at about 0.5 KiB each with the shell's part,
/// half of the 128 MB that an object has.
pub const QUEUE_LEN_MAX: u64 = 100_000;

/// One request that waits, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) ticket: TicketId,
    pub(crate) place: Place,
    /// When it is refused unless granted by then.
    pub(crate) deadline: Instant,
    /// Tokens that it is expected to use; how many are reserved is decided at its grant.
    pub(crate) tokens: u64,
    /// What those weigh in the estimates of others, by the token limit at its entry.
    pub(crate) weight: u64,
    /// Its place at entry, counted from 1; 0 = straight through.
    pub(crate) position: u64,
    /// Upstream attempts made before.
    pub(crate) attempt: u32,
}

/// The waiters of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: RankTree<Waiter>,
    places: BTreeMap<TicketId, Place>,
    deadlines: BTreeSet<(Instant, Place)>,
    entered: u64,
}

impl Queue {
    /// A place behind everybody of the same or an earlier arrival.
    pub(crate) const fn place(&mut self, arrival: Instant) -> Place {
        self.entered = self.entered.saturating_add(1);
        Place {
            arrival,
            sequence: self.entered,
        }
    }

    /// Lets a waiter in at its place. Its ticket must not be waiting yet.
    pub(crate) fn insert(&mut self, waiter: Waiter) {
        self.places.insert(waiter.ticket.clone(), waiter.place);
        self.deadlines.insert((waiter.deadline, waiter.place));
        self.waiters.insert(waiter.place, waiter.weight, waiter);
    }

    /// Whether the ticket waits.
    pub(crate) fn contains(&self, ticket: &TicketId) -> bool {
        self.places.contains_key(ticket)
    }

    /// Takes the waiter with this ticket.
    pub(crate) fn remove(&mut self, ticket: &TicketId) -> Option<Waiter> {
        let place = *self.places.get(ticket)?;
        self.take(place)
    }

    /// Who is next.
    pub(crate) fn first(&self) -> Option<&Waiter> {
        self.waiters.first().map(|(_, waiter)| waiter)
    }

    /// Takes the oldest.
    pub(crate) fn pop_first(&mut self) -> Option<Waiter> {
        let (place, _) = self.waiters.first()?;
        self.take(place)
    }

    /// Takes the newest.
    pub(crate) fn pop_last(&mut self) -> Option<Waiter> {
        let (place, _) = self.waiters.last()?;
        self.take(place)
    }

    /// Takes the waiter whose deadline is the earliest, if that is not after `at`.
    pub(crate) fn pop_due(&mut self, at: Instant) -> Option<Waiter> {
        let (deadline, place) = *self.deadlines.first()?;
        if deadline > at {
            return None;
        }
        self.take(place)
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Waiters and their weight before a place.
    pub(crate) fn ahead_of(&self, place: Place) -> Sums {
        self.waiters.before(place)
    }

    /// Waiters and their weight in all.
    pub(crate) fn total(&self) -> Sums {
        self.waiters.total()
    }

    fn take(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.waiters.remove(place)?;
        self.places.remove(&waiter.ticket);
        self.deadlines.remove(&(waiter.deadline, waiter.place));
        Some(waiter)
    }
}
