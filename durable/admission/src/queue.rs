//! 队列：严格按到达先后，另按期限与票据索引。
//!
//! The queue: waiters strictly by arrival, found by ticket and by deadline as well.
//!
//! Owns order and deadlines. Decides neither who enters nor who is granted.
//!
//! Invariant: all views hold the same waiters; every operation is O(log n).

use crate::estimate::{Demand, TOKENS_MAX};
use crate::marks::Marks;
use crate::protocol::TicketId;
use crate::rank::{Place, RankTree, Sums};
use crate::state::{COUNT_MAX, WaiterRow};
use crate::time::Instant;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// Most waiters that any configuration can ask for: at 0.42 KiB each here (`benches/scale.rs`) and
/// about as much again in the shell, two thirds of the 128 MB that an object has.
pub const QUEUE_LEN_MAX: u64 = 100_000;

/// One request that waits, or is about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) ticket: TicketId,
    pub(crate) place: Place,
    /// When it is refused unless granted by then.
    pub(crate) deadline: Instant,
    /// What its tokens are estimated from; how many are reserved is decided at its grant.
    pub(crate) demand: Demand,
    /// What it weighs in the estimates of others, by what was known at its entry.
    pub(crate) weight: u64,
    /// Its place at entry, counted from 1; 0 = straight through.
    pub(crate) position: u64,
    /// Upstream attempts made before.
    pub(crate) attempt: u32,
    /// What the shell wants back at the end.
    pub(crate) note: String,
    /// It was let in once already: a full queue does not evict it, and it fills no place there.
    pub(crate) exempt: bool,
    /// Its call is here. After a restart it is not, until it comes back.
    pub(crate) present: bool,
    /// Whether its row was ever taken.
    pub(crate) stored: bool,
}

/// Longest wait that is believed of a stored row.
const WAIT_MAX: Duration = Duration::from_hours(24);

impl Waiter {
    fn row(&self) -> WaiterRow {
        WaiterRow {
            ticket: self.ticket.as_str().to_owned(),
            arrival_ms: self.place.arrival.as_millis().min(COUNT_MAX),
            sequence: self.place.sequence.min(COUNT_MAX),
            deadline_ms: self.deadline.as_millis().min(COUNT_MAX),
            tokens: self.weight.min(COUNT_MAX),
            position: self.position.min(COUNT_MAX),
            attempt: self.attempt.into(),
            note: self.note.clone(),
            model: self.demand.model.clone(),
            prompt_bytes: self.demand.prompt_bytes.min(COUNT_MAX),
            output_tokens_max: self.demand.output_tokens_max.map(|max| max.min(COUNT_MAX)),
        }
    }

    /// The waiter of a row, as of `now`: absent, and exempt because it was let in before.
    pub(crate) fn from_row(row: WaiterRow, now: Instant) -> Option<Self> {
        Some(Self {
            ticket: TicketId::try_from(row.ticket).ok()?,
            place: Place {
                arrival: Instant::from_millis(row.arrival_ms).min(now),
                sequence: row.sequence.min(COUNT_MAX),
            },
            deadline: Instant::from_millis(row.deadline_ms).min(now.saturating_add(WAIT_MAX)),
            demand: Demand {
                model: row.model,
                prompt_bytes: row.prompt_bytes,
                output_tokens_max: row.output_tokens_max,
            },
            weight: row.tokens.min(TOKENS_MAX),
            position: row.position,
            attempt: u32::try_from(row.attempt).unwrap_or(u32::MAX),
            note: row.note,
            exempt: true,
            present: false,
            stored: true,
        })
    }
}

/// The waiters of one server.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: RankTree<Waiter>,
    places: BTreeMap<TicketId, Place>,
    deadlines: BTreeSet<(Instant, Place)>,
    /// Those who count against the length of the queue.
    counted: BTreeSet<Place>,
    absent: BTreeSet<Place>,
    entered: u64,
    marks: Marks<TicketId>,
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
        if !waiter.exempt {
            self.counted.insert(waiter.place);
        }
        if !waiter.present {
            self.absent.insert(waiter.place);
        }
        if !waiter.stored {
            self.marks.change(&waiter.ticket);
        }
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

    /// Who count against the length of the queue.
    pub(crate) fn counted(&self) -> u64 {
        u64::try_from(self.counted.len()).unwrap_or(u64::MAX)
    }

    /// Who do not count.
    pub(crate) fn exempt(&self) -> u64 {
        self.total().count.saturating_sub(self.counted())
    }

    /// Whether nobody stands at that place.
    pub(crate) fn is_free(&self, place: Place) -> bool {
        self.waiters.get(place).is_none()
    }

    /// The oldest of those who count.
    pub(crate) fn first_counted(&self) -> Option<&Waiter> {
        self.waiters.get(*self.counted.first()?)
    }

    /// Takes the oldest of those who count.
    pub(crate) fn pop_first_counted(&mut self) -> Option<Waiter> {
        self.take(*self.counted.first()?)
    }

    /// Takes the newest of those who count.
    pub(crate) fn pop_last_counted(&mut self) -> Option<Waiter> {
        self.take(*self.counted.last()?)
    }

    /// Takes the oldest whose call has not come back.
    pub(crate) fn pop_absent(&mut self) -> Option<Waiter> {
        self.take(*self.absent.first()?)
    }

    /// Whether anybody's call has not come back.
    pub(crate) fn has_absent(&self) -> bool {
        !self.absent.is_empty()
    }

    /// The waiter with this ticket.
    pub(crate) fn get(&self, ticket: &TicketId) -> Option<&Waiter> {
        self.waiters.get(*self.places.get(ticket)?)
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

    /// Numbers given to places so far.
    pub(crate) const fn entered(&self) -> u64 {
        self.entered
    }

    /// No place given from now on has a number up to this one.
    pub(crate) fn entered_up_to(&mut self, number: u64) {
        self.entered = self.entered.max(number);
    }

    /// Whether there is nothing to store.
    pub(crate) fn is_stored(&self) -> bool {
        self.marks.is_empty()
    }

    /// The rows that changed and the waiters that left.
    pub(crate) fn take_rows(&mut self) -> (Vec<WaiterRow>, Vec<String>) {
        let (changed, gone) = self.marks.take();
        let rows = changed.into_iter().filter_map(|ticket| {
            let place = *self.places.get(&ticket)?;
            let waiter = self.waiters.get_mut(place)?;
            waiter.stored = true;
            Some(waiter.row())
        });
        (rows.collect(), gone.into_iter().map(String::from).collect())
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<WaiterRow> {
        let places = self.places.values();
        places
            .filter_map(|place| self.waiters.get(*place))
            .map(Waiter::row)
            .collect()
    }

    fn take(&mut self, place: Place) -> Option<Waiter> {
        let waiter = self.waiters.remove(place)?;
        self.counted.remove(&place);
        self.absent.remove(&place);
        self.marks.remove(&waiter.ticket, waiter.stored);
        self.places.remove(&waiter.ticket);
        self.deadlines.remove(&(waiter.deadline, waiter.place));
        Some(waiter)
    }
}
