//! 日程：按（时刻，先后）排序的事件。
//!
//! Owns virtual time: events come out by time, those of the same time in the order in which they
//! were put in. Times are spans since the start of the run, to the microsecond and finer.

use core::cmp::Ordering;
use core::time::Duration;
use std::collections::BinaryHeap;

/// What is still to happen.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    entries: BinaryHeap<Entry<E>>,
    sequence: u64,
    now: Duration,
}

#[derive(Debug)]
struct Entry<E> {
    at: Duration,
    sequence: u64,
    event: E,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self {
            entries: BinaryHeap::new(),
            sequence: 0,
            now: Duration::ZERO,
        }
    }
}

impl<E> Agenda<E> {
    /// The present.
    pub(super) const fn now(&self) -> Duration {
        self.now
    }

    /// Lets `event` happen at `at`, but not in the past.
    pub(super) fn at(&mut self, at: Duration, event: E) {
        self.sequence += 1;
        self.entries.push(Entry {
            at: at.max(self.now),
            sequence: self.sequence,
            event,
        });
    }

    /// Lets `event` happen after `span`.
    pub(super) fn after(&mut self, span: Duration, event: E) {
        self.at(self.now + span, event);
    }

    /// Moves time to the next event.
    pub(super) fn advance(&mut self) -> Option<E> {
        let entry = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl<E> Entry<E> {
    /// Reversed: the heap gives its greatest first, and that is to be the earliest.
    fn key(&self) -> (Duration, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}
